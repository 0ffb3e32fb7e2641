//! The hub: one log, its channels, and the sessions that read it.

use std::fmt;
use std::sync::Arc;

use crate::channel::ChannelHandle;
use crate::config::HubConfig;
use crate::delivery::Outcome;
use crate::error::{HistoryError, PublishError, SubscribeError};
use crate::event::Event;
use crate::history::{HistoryPage, HistoryQuery};
use crate::id::Position;
use crate::log::Log;
use crate::name::{ChannelName, NameError};
use crate::observer::Observer;
use crate::selector::ChannelSelector;
use crate::session::{Session, SessionBuilder};
use crate::stored::Timestamp;

/// Publishes events and hands them to sessions: exactly one totally ordered log over all its
/// channels.
///
/// A hub is a handle: clones share the log, which lives until the last handle, channel handle and
/// session are dropped.
///
/// # Drivers
/// Publishing wakes subscribers, and old events have to be removed. With [`Hub::drivers`] spawned,
/// a publish costs the same however many subscribe. Without them everything still works, but a
/// publish wakes its subscribers itself and age is enforced at publishes only.
///
/// # Examples
/// ```
/// use eventcast_core::{Delivery, Event, Hub};
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new();
/// let mut session = hub.subscribe("news")?;
/// let id = hub.publish("news", Event::text("hello")).await?;
///
/// let Some(Delivery::Event(event)) = session.next().await else { panic!() };
/// assert_eq!(event.id(), id);
/// assert_eq!(event.payload().as_str(), Some("hello"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hub {
    pub(crate) log: Arc<Log>,
}

impl Hub {
    /// A hub in memory with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::with_config(HubConfig::new())
    }

    /// A hub in memory.
    #[must_use]
    pub fn with_config(config: HubConfig) -> Self {
        Self {
            log: Arc::new(Log::new(config)),
        }
    }

    /// A handle for publishing to one channel. It creates nothing.
    ///
    /// # Errors
    /// [`NameError`] when the name breaks the rules of [`ChannelName`].
    pub fn channel(
        &self,
        name: impl TryInto<ChannelName, Error: Into<NameError>>,
    ) -> Result<ChannelHandle, NameError> {
        let name = name.try_into().map_err(Into::into)?;
        Ok(ChannelHandle::new(self.clone(), name))
    }

    /// Publishes an event and returns its id once it is in the log.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was stored then, unless it says that that is not known.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is polled publishes nothing. With a memory log it is
    /// done at its first poll; with another one, the event may be stored or not when the future is
    /// dropped later.
    pub async fn publish(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>> + Send,
        event: Event,
    ) -> Result<Position, PublishError> {
        let Some(remote) = &self.log.remote else {
            return self.try_publish(channel, event);
        };
        let name = channel.try_into().map_err(Into::into)?;
        let ids = self.log.append_events(remote, &name, [event]).await?;
        Ok(ids[0])
    }

    /// Publishes several events to one channel at once, as
    /// [`try_publish_batch`](Self::try_publish_batch) does, and returns their ids once all are in
    /// the log.
    ///
    /// ```
    /// use eventcast_core::{Event, Hub};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::new();
    /// let ids = hub.publish_batch("orders", ["made", "paid"].map(Event::text)).await?;
    /// assert_eq!(ids[1].sequence(), ids[0].sequence() + 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`PublishError`]; nothing was stored then, not even a part, unless it says that that is not
    /// known.
    ///
    /// # Cancel safety
    /// As [`publish`](Self::publish).
    pub async fn publish_batch(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>> + Send,
        events: impl IntoIterator<Item = Event> + Send,
    ) -> Result<Vec<Position>, PublishError> {
        let Some(remote) = &self.log.remote else {
            return self.try_publish_batch(channel, events);
        };
        let name = channel.try_into().map_err(Into::into)?;
        let events: Vec<_> = events.into_iter().collect();
        self.log.append_events(remote, &name, events).await
    }

    /// [`complete`](Self::complete) for hubs whose log is outside, and for others.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn complete_async(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>> + Send,
    ) -> Result<Position, PublishError> {
        let name = channel.try_into().map_err(Into::into)?;
        self.log.end(&name, Outcome::Complete).await
    }

    /// [`fail`](Self::fail) for hubs whose log is outside, and for others.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn fail_async(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>> + Send,
        reason: &str,
    ) -> Result<Position, PublishError> {
        let name = channel.try_into().map_err(Into::into)?;
        self.log.end(&name, Outcome::Failed(reason.into())).await
    }

    /// [`publish`](Self::publish) for code that is not async.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was stored then.
    pub fn try_publish(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
        event: Event,
    ) -> Result<Position, PublishError> {
        let name = channel.try_into().map_err(Into::into)?;
        let (ids, _) = self.log.publish(&name, None, [event])?;
        Ok(ids[0])
    }

    /// Publishes several events to one channel at once: nothing of the channel or of the hub comes
    /// between them. Returns their ids, in order.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was stored then, not even a part.
    pub fn try_publish_batch(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Vec<Position>, PublishError> {
        let name = channel.try_into().map_err(Into::into)?;
        let (ids, _) = self.log.publish(&name, None, events)?;
        Ok(ids.into_vec())
    }

    /// Hands an event to the subscribers that are connected now, and stores it nowhere: for typing
    /// marks, cursors and the like. It has no id, moves no position, and may be dropped; at most
    /// 16 KiB. Returns whether the channel has subscribers.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish_ephemeral(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
        event: Event,
    ) -> Result<bool, PublishError> {
        let name = channel.try_into().map_err(Into::into)?;
        self.log.publish_ephemeral(&name, event)
    }

    /// Completes a channel: its events are all published. Subscribers get the rest and then the
    /// end, late ones too; see [`ChannelHandle::complete`].
    ///
    /// # Errors
    /// [`PublishError`], among them [`PublishError::Completed`] the second time.
    pub fn complete(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
    ) -> Result<Position, PublishError> {
        let name = channel.try_into().map_err(Into::into)?;
        self.log.complete(&name, Outcome::Complete)
    }

    /// Completes a channel that failed, and tells subscribers why.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn fail(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
        reason: &str,
    ) -> Result<Position, PublishError> {
        let name = channel.try_into().map_err(Into::into)?;
        self.log.complete(&name, Outcome::Failed(reason.into()))
    }

    /// A page of what a channel retains.
    ///
    /// # Errors
    /// [`NameError`] when the name is not valid. A channel that does not exist has an empty page.
    /// Of a hub whose log is outside, the page is what memory holds: see
    /// [`history_async`](Self::history_async).
    pub fn history(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
        query: HistoryQuery,
    ) -> Result<HistoryPage, NameError> {
        let name = channel.try_into().map_err(Into::into)?;
        Ok(self.log.history(&name, query))
    }

    /// [`history`](Self::history) for hubs whose log is outside this process, which is asked, and
    /// for others.
    ///
    /// # Errors
    /// [`HistoryError`] when the name is not valid, or the log cannot be reached.
    pub async fn history_async(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>> + Send,
        query: HistoryQuery,
    ) -> Result<HistoryPage, HistoryError> {
        let name = channel.try_into().map_err(Into::into)?;
        match &self.log.remote {
            None => Ok(self.log.history(&name, query)),
            Some(remote) => Ok(self.log.stored_history(remote, &name, query).await?),
        }
    }

    /// Subscribes to one channel, or to a [pattern](crate::ChannelPattern), from now on; see [`session`](Self::session) for more.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(
        &self,
        channel: impl TryInto<ChannelSelector, Error: Into<NameError>>,
    ) -> Result<Session, SubscribeError> {
        self.session().channel(channel).open()
    }

    /// A session in the making: channels, where to start, or where to resume.
    pub fn session(&self) -> SessionBuilder {
        SessionBuilder::new(self.clone())
    }

    /// The position of the last event in the log.
    ///
    /// Read it first, then your database, and hand both to the client: a session resumed at this
    /// position continues the snapshot exactly. (What was published between the two reads is in
    /// the snapshot and comes as an event too; nothing is missing.)
    #[must_use]
    pub fn position(&self) -> Position {
        self.log.position(self.log.committed())
    }

    /// How many channels a session may have;
    /// [`HubConfig::with_max_session_channels`](crate::HubConfig::with_max_session_channels).
    #[must_use]
    pub fn max_session_channels(&self) -> usize {
        self.log.config.max_session_channels
    }

    /// The hub's counters.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        self.log.stats()
    }

    /// The time by the hub's [clock](HubConfig::with_clock), which its events' times are by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.log.config.clock.now()
    }

    /// Has an observer told what the hub does from now on, beside
    /// [the one of its settings](HubConfig::with_observer). There can be one; `false` when there is
    /// one already, which stays.
    pub fn observe(&self, observer: impl Observer) -> bool {
        self.log.observer.set(Arc::new(observer)).is_ok()
    }
}

/// Whether a hub's log answers; see [`Hub::health`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// [`Hub::close`] was called.
    Closed,
    /// It does.
    Connected,
    /// It does not, or cannot be reached: events may be late.
    Stalled,
}

impl Health {
    /// Its name, in figures: `closed`, `connected` or `stalled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Connected => "connected",
            Self::Stalled => "stalled",
        }
    }
}

/// What a hub holds; see [`Hub::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Channels that have a subscriber or retain an event, or did so lately.
    pub channels: usize,
    /// Events that are retained, of all channels together.
    pub retained_events: usize,
    /// What the retained events are charged for, in bytes.
    pub retained_bytes: u64,
    /// How many channels there may be ([`HubConfig::with_max_channels`]).
    pub max_channels: usize,
    /// How much retained events may be charged for ([`HubConfig::with_max_bytes`]), in bytes.
    pub max_bytes: u64,
    /// The sequence below which a resume may find a gap that nobody can account for exactly: the
    /// highest that was forgotten together with its channel.
    pub floor: u64,
    /// The sequence up to which the hub has its log: in memory, how many events and ends were
    /// published since it was made.
    pub published: u64,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("position", &self.position())
            .field("config", &self.log.config)
            .finish_non_exhaustive()
    }
}
