//! One client: at the first hub until it is sent away, then at the second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventcast::Position;
use eventcast_testkit::{Ledger, Observer};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::publisher::CHANNELS;
use crate::wire::{Seen, Wire};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Poll,
    Sse,
    Stream,
    WebSocket,
}

impl Transport {
    pub(crate) const ALL: [Self; 4] = [Self::Poll, Self::Sse, Self::Stream, Self::WebSocket];
}

/// What all clients do.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) first: SocketAddr,
    pub(crate) second: SocketAddr,
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) connecting: Arc<Semaphore>,
}

/// What a client saw of one hub.
struct Stay {
    observer: Observer,
    last_id: Option<String>,
    /// A gap with the reason `epoch` was told.
    is_told_of_another_log: bool,
    /// How long it is to wait, once it was told that the server drains.
    retry: Option<Duration>,
}

pub(crate) struct Client {
    channel: &'static str,
    transport: Transport,
    plan: Plan,
}

/// What became of a client.
pub(crate) struct Outcome {
    pub(crate) transport: Transport,
    channel: &'static str,
    old: Stay,
    new: Stay,
    /// When the first hub ended it, and when it stood at the second.
    pub(crate) left: Instant,
    pub(crate) back: Instant,
    failure: Option<String>,
}

impl Client {
    pub(crate) fn new(number: usize, transport: Transport, plan: Plan) -> Self {
        let channel = CHANNELS[number / Transport::ALL.len() % CHANNELS.len()];
        Self {
            channel,
            transport,
            plan,
        }
    }

    pub(crate) async fn run(self, opened: Arc<watch::Sender<usize>>) -> Outcome {
        let mut old = self.stay();
        let mut new = self.stay();
        let (mut left, mut back) = (Instant::now(), Instant::now());
        let went = async {
            let first = self.plan.first;
            self.attend(first, &mut old, || opened.send_modify(|count| *count += 1))
                .await?;
            left = Instant::now();
            tokio::time::sleep(old.retry.unwrap_or_default()).await;
            new.last_id.clone_from(&old.last_id);
            let second = self.plan.second;
            self.attend(second, &mut new, || back = Instant::now())
                .await
        };
        let failure = went.await.err();
        Outcome {
            transport: self.transport,
            channel: self.channel,
            old,
            new,
            left,
            back,
            failure,
        }
    }

    fn stay(&self) -> Stay {
        Stay {
            observer: Observer::new([self.channel], 0),
            last_id: None,
            is_told_of_another_log: false,
            retry: None,
        }
    }

    /// Reads until the hub sends it away, or all is over.
    async fn attend(
        &self,
        address: SocketAddr,
        stay: &mut Stay,
        mut open: impl FnMut(),
    ) -> Result<(), String> {
        let mut stopped = self.plan.stopped.clone();
        let mut is_open = false;
        while stay.retry.is_none() {
            let mut wire = {
                let _turn = self.plan.connecting.acquire().await;
                let id = stay.last_id.as_deref();
                Wire::open(address, self.transport, self.channel, id)
                    .await
                    .map_err(|error| format!("cannot connect: {error}"))?
            };
            loop {
                let seen = tokio::select! {
                    seen = wire.next() => seen?,
                    _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
                };
                let Seen::Objects(objects) = seen else { break };
                if !std::mem::replace(&mut is_open, true) {
                    open();
                }
                for object in &objects {
                    stay.see(object)?;
                }
                // The last word: a WebSocket's server waits for its client to hang up.
                if self.transport == Transport::Poll || stay.retry.is_some() {
                    break;
                }
            }
            // A poll ends with its answer; nothing else does without a word.
            if self.transport != Transport::Poll && stay.retry.is_none() {
                return Err("ended without a word".into());
            }
        }
        Ok(())
    }
}

impl Stay {
    fn see(&mut self, object: &Value) -> Result<(), String> {
        let id = object["id"].as_str();
        if let Some(id) = id {
            self.last_id = Some(id.to_owned());
        }
        let id: Option<Position> = id.and_then(|id| id.parse().ok());
        let sequence = id.map(|id| id.sequence());
        match (object["type"].as_str(), sequence) {
            (Some("draining"), _) => {
                let retry = object["retry"].as_u64().ok_or("draining without retry")?;
                self.retry = Some(Duration::from_millis(retry));
            }
            (Some("gap"), sequence) if object["reason"] == "epoch" => {
                self.is_told_of_another_log = true;
                sequence.into_iter().for_each(|id| self.observer.id(id));
            }
            // The id that it came with is another log's.
            (Some("open" | "position"), _) if id.is_none() => {}
            (Some("open" | "position"), Some(id)) => self.observer.id(id),
            (None, Some(id)) => {
                let channel = object["channel"].as_str().ok_or("an event of no channel")?;
                self.observer.event(channel, id);
            }
            _ => return Err(format!("unexpected {object}")),
        }
        Ok(())
    }
}

impl Outcome {
    /// Compares what was seen with what was published: at the first hub up to the last position that
    /// was told, at the second all of it.
    pub(crate) fn check(&self, old: &Ledger, new: &Ledger) -> Result<(), String> {
        let Self {
            transport, channel, ..
        } = self;
        let fail = |what: &str| Err(format!("{transport:?} of {channel}: {what}"));
        if let Some(failure) = &self.failure {
            return fail(failure);
        }
        if self.old.retry.is_none() {
            return fail("it was never sent away");
        }
        let last = self.old.observer.position();
        if let Err(violation) = self.old.observer.check_until(old, last) {
            return fail(&format!("at the first hub {violation:?}"));
        }
        if !self.new.is_told_of_another_log {
            return fail("the second hub did not tell that its log is another");
        }
        if let Err(violation) = self.new.observer.check(new) {
            return fail(&format!("at the second hub {violation:?}"));
        }
        Ok(())
    }

    pub(crate) fn events(&self) -> usize {
        self.old.observer.events() + self.new.observer.events()
    }
}
