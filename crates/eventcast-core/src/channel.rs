//! A channel, seen by a publisher.

use std::sync::Arc;

use async_trait::async_trait;

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
    /// [`PublishError`]; nothing was stored then.
    ///
    /// # Cancel safety
    /// As [`Hub::publish`].
    #[allow(
        clippy::unused_async,
        reason = "logs outside this process have to be waited for"
    )]
    pub async fn publish(&self, event: Event) -> Result<Position, PublishError> {
        self.try_publish(event)
    }

    /// [`publish`](Self::publish) for code that is not async.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was stored then.
    pub fn try_publish(&self, event: Event) -> Result<Position, PublishError> {
        let known = self.ring.lock().clone();
        let (id, ring) = self.hub.log.publish(&self.name, known.clone(), event)?;
        if known.is_none_or(|known| !Arc::ptr_eq(&known, &ring)) {
            *self.ring.lock() = Some(ring);
        }
        Ok(id)
    }
}

#[async_trait]
impl Channel for ChannelHandle {
    fn name(&self) -> &ChannelName {
        &self.name
    }

    async fn publish(&self, event: Event) -> Result<Position, PublishError> {
        self.try_publish(event)
    }
}
