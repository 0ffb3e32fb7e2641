//! The log as a hub sees it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use eventcast_core::{
    Append, AppendError, Attached, Backplane, BackplaneError, Body, Capabilities, ChannelFacts,
    ChannelName, OutcomeKnown, Page, PageQuery, Position, ReplayStore, Sink,
};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::NatsConfig;
use crate::failure::because;
use crate::lane::{Appending, broadcast, parking};
use crate::shared::Shared;

/// A log in NATS JetStream, for hubs on any number of nodes.
///
/// Needs a tokio runtime with time and I/O. See the [crate] for what it promises.
pub struct NatsBackplane {
    shared: Arc<Shared>,
    feed: Mutex<Option<JoinHandle<()>>>,
}

impl NatsBackplane {
    /// A log that is not connected yet: [`attach`](Backplane::attach) does that, and makes the
    /// streams unless they are there.
    #[must_use]
    pub fn new(config: NatsConfig) -> Self {
        Self {
            shared: Arc::new(Shared::new(config)),
            feed: Mutex::new(None),
        }
    }
}

impl fmt::Debug for NatsBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBackplane")
            .field("namespace", &self.shared.config.namespace())
            .field("connected", &self.shared.current().is_some())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ReplayStore for NatsBackplane {
    async fn page(&self, channel: &ChannelName, query: PageQuery) -> Result<Page, BackplaneError> {
        let link = self.shared.link_to_read().await?;
        link.page_of(channel, query).await
    }

    async fn facts(&self, channel: &ChannelName) -> Result<ChannelFacts, BackplaneError> {
        let link = self.shared.link_to_read().await?;
        link.facts_of(channel).await
    }

    async fn channels(
        &self,
        prefix: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChannelName>, BackplaneError> {
        let link = self.shared.link_to_read().await?;
        link.channels_of(prefix, after, limit).await
    }
}

#[async_trait]
impl Backplane for NatsBackplane {
    fn capabilities(&self) -> Capabilities {
        let config = &self.shared.config;
        Capabilities::new(config.durability())
            .shared()
            .deduplicating(config.idempotency_window)
    }

    async fn attach(&self, sink: Arc<dyn Sink>) -> Result<Attached, BackplaneError> {
        if !self.shared.config.is_valid() {
            return Err(BackplaneError::new(
                "the namespace or the servers are not valid",
            ));
        }
        let mut feed = self.feed.lock().await;
        if feed.is_some() || *self.shared.closed.borrow() {
            return Err(BackplaneError::new(
                "the log has a hub already, or is closed",
            ));
        }
        let link = self.shared.open(0).await?;
        let attached = Attached {
            lineage: link.chain.lineage(),
            committed: link.chain.end(link.last),
            floor: link.chain.end(link.first.saturating_sub(1)),
        };
        *feed = Some(tokio::spawn(self.shared.clone().run(link, sink)));
        Ok(attached)
    }

    async fn append(&self, append: Append) -> Result<Vec<Position>, AppendError> {
        let Append {
            channel,
            bodies,
            time,
            ..
        } = append;
        let Some((_, all_but_last)) = bodies.split_last() else {
            return Ok(Vec::new());
        };
        if all_but_last
            .iter()
            .any(|b| matches!(b, Body::Completion(_)))
        {
            return Err(AppendError::Completed);
        }
        let started = Instant::now();
        let open = AtomicBool::new(false);
        let failure = parking::Slot::default();
        let lane = self.shared.lane(&channel);
        let appending = Appending {
            shared: &self.shared,
            channel: &channel,
            bodies: &bodies,
            time: time.as_millis(),
            open: &open,
        };
        let limit = self.shared.config.publish_timeout;
        let done = tokio::time::timeout(limit, appending.run(&lane, &failure)).await;
        let outcome = match done {
            Ok(Ok(positions)) => return Ok(positions),
            Ok(Err(Some(error))) => return Err(error),
            Ok(Err(None)) => OutcomeKnown::Unknown,
            Err(_) if open.load(Ordering::Relaxed) => OutcomeKnown::Unknown,
            Err(_) => OutcomeKnown::NotStored,
        };
        Err(AppendError::Unavailable {
            outcome,
            waited: started.elapsed(),
            source: failure.take(),
        })
    }

    async fn broadcast(&self, message: Bytes) -> Result<(), BackplaneError> {
        let failed = || BackplaneError::new("the server could not be reached");
        let link = self.shared.current().ok_or_else(failed)?;
        let subject = self.shared.config.broadcast_subject();
        let payload = broadcast(self.shared.node, &message);
        let sent = link.client.publish(subject, payload).await;
        sent.map_err(|error| because("the message was not sent", error))
    }

    async fn close(&self) -> Result<(), BackplaneError> {
        // Messages may still be in the client, which is dropped: the server has them once it answers.
        if let Some(link) = self.shared.current() {
            let _ = link.floor().await;
        }
        self.shared.closed.send_replace(true);
        if let Some(feed) = self.feed.lock().await.take() {
            let _ = feed.await;
        }
        Ok(())
    }
}

impl Drop for NatsBackplane {
    fn drop(&mut self) {
        self.shared.closed.send_replace(true);
    }
}
