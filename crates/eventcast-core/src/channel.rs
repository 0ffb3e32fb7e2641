//! A channel, seen by a publisher.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::Stream;

use crate::delivery::Outcome;
use crate::error::PublishError;
use crate::event::Event;
use crate::hub::Hub;
use crate::id::Position;
use crate::name::ChannelName;
use crate::ring::Ring;
use crate::sync::Mutex;

/// Somewhere to publish to, for code that should not know a hub: a test double, a filter in front
/// of a channel, or a remote channel can stand in for a [`ChannelHandle`].
///
/// # Contract
/// - `publish` returns an id only when the event is stored.
/// - Ids of one channel increase in the order in which its publishes returned.
#[async_trait]
pub trait Channel: Send + Sync {
    /// The channel's name.
    fn name(&self) -> &ChannelName;

    /// Publishes an event and returns its id once it is stored.
    async fn publish(&self, event: Event) -> Result<Position, PublishError>;
}

/// A hub's channel. It remembers where its channel is, so many publishes through one handle cost
/// one look-up; it keeps no channel alive.
///
/// ```
/// use eventcast_core::{Event, Hub};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new();
/// let ticker = hub.channel("ticker")?;
/// let first = ticker.try_publish(Event::text("1"))?;
/// let second = ticker.try_publish(Event::text("2"))?;
/// assert!(first < second);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ChannelHandle {
    hub: Hub,
    name: ChannelName,
    ring: Mutex<Option<Arc<Ring>>>,
}

impl ChannelHandle {
    pub(crate) fn new(hub: Hub, name: ChannelName) -> Self {
        Self {
            hub,
            name,
            ring: Mutex::default(),
        }
    }

    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Publishes an event and returns its id once it is in the log.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was stored then, unless it says that that is not known.
    ///
    /// # Cancel safety
    /// As [`Hub::publish`].
    pub async fn publish(&self, event: Event) -> Result<Position, PublishError> {
        let Some(remote) = &self.hub.log.remote else {
            return self.try_publish(event);
        };
        let log = &self.hub.log;
        let ids = log.append_events(remote, &self.name, [event]).await?;
        Ok(ids[0])
    }

    /// [`complete`](Self::complete) for hubs whose log is outside, and for others.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn complete_async(&self) -> Result<Position, PublishError> {
        self.hub.log.end(&self.name, Outcome::Complete).await
    }

    /// [`fail`](Self::fail) for hubs whose log is outside, and for others.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn fail_async(&self, reason: &str) -> Result<Position, PublishError> {
        let outcome = Outcome::Failed(reason.into());
        self.hub.log.end(&self.name, outcome).await
    }

    /// [`publish`](Self::publish) for code that is not async.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was stored then.
    pub fn try_publish(&self, event: Event) -> Result<Position, PublishError> {
        let known = self.ring.lock().clone();
        let (ids, ring) = self.hub.log.publish(&self.name, known.clone(), [event])?;
        if known.is_none_or(|known| !Arc::ptr_eq(&known, &ring)) {
            *self.ring.lock() = Some(ring);
        }
        Ok(ids[0])
    }

    /// Completes the channel: nothing more is published to it. Whoever subscribes, now or later,
    /// gets what is retained and then [`Delivery::Completed`](crate::Delivery::Completed); the
    /// channel is forgotten after its retention's age, and remembered as completed for longer
    /// ([`HubConfig::with_max_tombstones`](crate::HubConfig::with_max_tombstones)).
    ///
    /// # Errors
    /// [`PublishError`], among them [`PublishError::Completed`] the second time.
    pub fn complete(&self) -> Result<Position, PublishError> {
        self.hub.log.complete(&self.name, Outcome::Complete)
    }

    /// Completes the channel as failed, and tells subscribers why.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn fail(&self, reason: &str) -> Result<Position, PublishError> {
        let outcome = Outcome::Failed(reason.into());
        self.hub.log.complete(&self.name, outcome)
    }

    /// Publishes all chunks of a stream and then completes the channel: a resumable AI answer, a
    /// build's log, a job's progress. A chunk that is an error fails the channel with its text.
    ///
    /// Spawn it, and the chunks are published whether or not somebody reads them:
    /// ```
    /// use eventcast_core::{Delivery, End, Event, Hub};
    /// use futures_util::{StreamExt, stream};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::new();
    /// let answer = hub.channel("answers/1")?;
    /// let chunks = stream::iter(["Hel", "lo"]).map(|token| Ok::<_, String>(Event::text(token)));
    /// let producing = tokio::spawn(async move { answer.publish_all(chunks).await });
    ///
    /// producing.await??;
    /// // Nobody was listening; who comes late gets all of it, and the end.
    /// let mut session = hub.subscribe("answers/1")?;
    /// let mut text = String::new();
    /// while let Some(delivery) = session.next().await {
    ///     match delivery {
    ///         Delivery::Event(chunk) => text += chunk.payload().as_str().unwrap(),
    ///         Delivery::End(end) => assert_eq!(end, End::Completed),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(text, "Hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`PublishError`] of the first publish that fails; the channel is not completed then.
    ///
    /// # Cancel safety
    /// Dropping it stops publishing between two chunks and leaves the channel open.
    pub async fn publish_all<S, E>(&self, chunks: S) -> Result<Position, PublishError>
    where
        S: Stream<Item = Result<Event, E>> + Send,
        E: fmt::Display,
    {
        let mut chunks = pin!(chunks);
        while let Some(chunk) = poll_fn(|cx| chunks.as_mut().poll_next(cx)).await {
            match chunk {
                Ok(event) => self.publish(event).await?,
                Err(error) => return self.fail_async(&error.to_string()).await,
            };
        }
        self.complete_async().await
    }
}

#[async_trait]
impl Channel for ChannelHandle {
    fn name(&self) -> &ChannelName {
        &self.name
    }

    async fn publish(&self, event: Event) -> Result<Position, PublishError> {
        Self::publish(self, event).await
    }
}
