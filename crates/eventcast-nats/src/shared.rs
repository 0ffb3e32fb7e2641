//! What the feed, the appends and the reads of one node share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eventcast_core::{BackplaneError, ChannelName, Sink};
use futures_util::StreamExt as _;
use tokio::sync::{Notify, watch};

use crate::chain::Chain;
use crate::config::NatsConfig;
use crate::failure::because;
use crate::feed::Feed;
use crate::lane::Lane;
use crate::link::{Known, Link};

/// How many channels' ends are remembered; of others the end is read before the next append.
const MAX_LANES: usize = 65_536;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: NatsConfig,
    pub(crate) node: u64,
    counter: AtomicU64,
    /// The time of the newest record that came by, in milliseconds.
    time: AtomicU64,
    link: watch::Sender<Option<Arc<Link>>>,
    known: Mutex<Option<Known>>,
    lanes: Mutex<HashMap<ChannelName, Arc<Lane>>>,
    again: Notify,
    pub(crate) closed: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(config: NatsConfig) -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        Self {
            config,
            node: RandomState::new().build_hasher().finish(),
            counter: AtomicU64::new(0),
            time: AtomicU64::new(0),
            link: watch::Sender::new(None),
            known: Mutex::new(None),
            lanes: Mutex::default(),
            again: Notify::new(),
            closed: watch::Sender::new(false),
        }
    }

    /// The connection that may be published on, once there is one.
    pub(crate) async fn link(&self) -> Arc<Link> {
        let mut link = self.link.subscribe();
        loop {
            if let Some(link) = link.borrow_and_update().clone() {
                return link;
            }
            // The sender is ours: it does not go away.
            let _ = link.changed().await;
        }
    }

    /// The same within the time that reads wait.
    pub(crate) async fn link_to_read(&self) -> Result<Arc<Link>, BackplaneError> {
        let link = tokio::time::timeout(self.config.publish_timeout, self.link()).await;
        link.map_err(|late| because("the server could not be reached", late))
    }

    pub(crate) fn current(&self) -> Option<Arc<Link>> {
        self.link.borrow().clone()
    }

    pub(crate) fn message_id(&self) -> String {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        format!("{:x}-{count:x}", self.node)
    }

    pub(crate) fn lane(&self, channel: &ChannelName) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= MAX_LANES {
            // Those that nobody is about to append to.
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        lanes.entry(channel.clone()).or_default().clone()
    }

    /// The highest message that this node knows of.
    pub(crate) fn highest(&self) -> u64 {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map_or(0, |known| known.highest)
    }

    pub(crate) fn time(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    pub(crate) fn given(&self, chain: &Arc<Chain>, message: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known
            .as_mut()
            .filter(|known| known.chain.mark == chain.mark)
        {
            known.highest = known.highest.max(message);
        }
    }

    /// Has the log looked at again: something is not as it was.
    pub(crate) fn look_again(&self) {
        self.again.notify_one();
    }

    fn known(&self) -> Option<Known> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn connected(&self, link: Arc<Link>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = match &*known {
            // What is lost is lost; the new epoch is above it.
            Some(known) if known.chain.epoch() == link.chain.epoch() => known.highest,
            _ => link.last,
        };
        *known = Some(Known {
            chain: link.chain.clone(),
            highest: highest.max(link.last),
        });
        drop(known);
        self.link.send_replace(Some(link));
    }

    fn disconnected(&self) {
        if let Some(link) = self.link.send_replace(None) {
            link.give_up();
        }
    }

    pub(crate) async fn open(&self, attempt: usize) -> Result<Arc<Link>, BackplaneError> {
        let limit = self.config.publish_timeout * 2;
        let known = self.known();
        let link = Link::open(&self.config, known.as_ref(), attempt);
        match tokio::time::timeout(limit, link).await {
            Ok(link) => link.map(Arc::new),
            Err(late) => Err(because("the server does not answer", late)),
        }
    }

    /// Feeds the sink until the log is closed, over all connections.
    pub(crate) async fn run(self: Arc<Self>, mut link: Arc<Link>, sink: Arc<dyn Sink>) {
        let mut feed = Feed {
            sink,
            at: link.last,
            fork: None,
            stalled: false,
            time: 0,
            heartbeat: self.config.heartbeat,
        };
        let mut closed = self.closed.subscribe();
        loop {
            self.connected(link.clone());
            let chain = link.chain.clone();
            let sink = feed.sink.clone();
            let given = |message, time| {
                self.given(&chain, message);
                self.time.fetch_max(time, Ordering::Relaxed);
            };
            tokio::select! {
                () = feed.run(&link, &given) => {}
                () = self.again.notified() => {}
                () = self.messages(&link, &sink) => {}
                _ = closed.wait_for(|closed| *closed) => {
                    self.disconnected();
                    return;
                }
            }
            self.disconnected();
            feed.stall();
            let mut attempt = 0;
            let next = loop {
                tokio::select! {
                    opened = self.open(attempt) => if let Ok(next) = opened {
                        break next;
                    },
                    _ = closed.wait_for(|closed| *closed) => return,
                }
                attempt += 1;
                let pause = Duration::from_millis(50 << attempt.min(4));
                tokio::time::sleep(pause).await;
            };
            if next.chain.mark != link.chain.mark {
                // Nothing of the old stream is there any more.
                feed.at = 0;
                feed.fork = Some((0, next.chain.lineage()));
            } else if next.chain.epoch() != link.chain.epoch() {
                let last = next.chain.before_epoch();
                feed.at = feed.at.min(last);
                feed.fork = Some((last, next.chain.lineage()));
            }
            link = next;
        }
    }

    /// Other nodes' messages, for as long as the connection lasts.
    async fn messages(&self, link: &Link, sink: &Arc<dyn Sink>) {
        let Some(mut messages) = link.take_messages() else {
            return;
        };
        while let Some(message) = messages.next().await {
            if message.payload.len() >= 8 && message.payload[..8] != self.node.to_be_bytes() {
                sink.message(message.payload.slice(8..));
            }
        }
    }
}
