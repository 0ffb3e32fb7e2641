//! Who decides about requests.

use async_trait::async_trait;
use eventcast_core::{ChannelName, ChannelPattern, Event, Position};

use crate::refusal::{ErrorCode, Refusal};

/// Decides what the client of one connection may do, and publishes for it.
///
/// # Contract
/// - One request of a connection is handled at a time. While it is, events go on flowing and
///   nothing more is read from the client, so a handler bounds the time it takes.
/// - A future is dropped when the connection ends first: whether it took effect is the handler's
///   to know.
/// - `publish` returns an id only when the event is stored.
///
/// # Examples
/// ```
/// use async_trait::async_trait;
/// use eventcast_core::{ChannelName, Event, Hub, Position};
/// use eventcast_ws::{ClientHandler, ErrorCode, Refusal};
///
/// struct Chat {
///     hub: Hub,
///     room: ChannelName,
/// }
///
/// #[async_trait]
/// impl ClientHandler for Chat {
///     async fn authorize_subscribe(&self, channel: &ChannelName) -> Result<(), Refusal> {
///         if *channel == self.room {
///             Ok(())
///         } else {
///             Err(Refusal::new(ErrorCode::Forbidden, "not your room"))
///         }
///     }
///
///     async fn publish(&self, channel: ChannelName, event: Event) -> Result<Position, Refusal> {
///         self.authorize_subscribe(&channel).await?;
///         Ok(self.hub.publish(channel, event).await?)
///     }
/// }
/// ```
#[async_trait]
pub trait ClientHandler: Send + Sync + 'static {
    /// Whether the client may subscribe to a channel. Asked for each channel of a request; the
    /// session gets all of them or none.
    async fn authorize_subscribe(&self, channel: &ChannelName) -> Result<(), Refusal>;

    /// Whether the client may subscribe to all channels that fit a pattern, whose names it may not
    /// know; nobody may unless the handler says so.
    async fn authorize_pattern(&self, _pattern: &ChannelPattern) -> Result<(), Refusal> {
        Err(Refusal::new(
            ErrorCode::Forbidden,
            "subscribing to this pattern is not allowed",
        ))
    }

    /// Publishes for the client, if it may.
    async fn publish(&self, channel: ChannelName, event: Event) -> Result<Position, Refusal>;
}

/// Lets a client subscribe to any channel and publish nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubscribeOnly;

#[async_trait]
impl ClientHandler for SubscribeOnly {
    async fn authorize_subscribe(&self, _channel: &ChannelName) -> Result<(), Refusal> {
        Ok(())
    }

    async fn publish(&self, _channel: ChannelName, _event: Event) -> Result<Position, Refusal> {
        Err(Refusal::new(
            ErrorCode::Forbidden,
            "publishing is not allowed",
        ))
    }
}
