//! Who decides about what clients send.

use async_trait::async_trait;
use eventcast_core::{ChannelName, ChannelPattern, ChannelSelector, Event, Payload, Position};

use crate::refusal::{ErrorCode, Refusal};

/// Decides what the client of one connection may do, publishes for it, and answers its requests.
///
/// # Contract
/// - One request of a connection is handled at a time. While it is, events go on flowing and
///   nothing more is read from the client, so a handler bounds the time it takes.
/// - Whether the client may subscribe is asked once more after the hub's log had to be waited for, which
///   takes ten seconds at most; meanwhile other requests are handled.
/// - A future is dropped when the connection ends first: whether it took effect is the handler's
///   to know.
/// - `publish` returns an id only when the event is stored.
/// - What the client sends is as large as [`WsConfig::max_message`](crate::WsConfig::max_message)
///   at most. What is returned has no bound but the handler's; nothing more is read from the client
///   while more than [`WsConfig::max_queued`](crate::WsConfig::max_queued) bytes wait to be written.
///
/// # Examples
/// ```
/// use async_trait::async_trait;
/// use eventcast_core::{ChannelName, Event, Hub, Payload, Position};
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
///
///     async fn request(&self, name: &str, payload: Payload) -> Result<Payload, Refusal> {
///         match (name, payload.as_str()) {
///             ("shout", Some(text)) => Ok(Payload::text(text.to_uppercase())),
///             ("shout", None) => Err(Refusal::new(ErrorCode::BadRequest, "a text is needed")),
///             _ => Err(Refusal::new(ErrorCode::NotFound, "there is no such request")),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait ClientHandler: Send + Sync + 'static {
    /// Whether the next message is taken: one refused is answered with the refusal; in plain mode, and
    /// after a thousand in a row, the connection is closed with [`CloseCode::Policy`](crate::CloseCode).
    /// All are by default.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`], as a rule.
    fn admit(&self) -> Result<(), Refusal> {
        Ok(())
    }

    /// A request of the client was answered with an error of this code, whoever refused it: for
    /// counting. It is called on the connection's task, so it has to be quick.
    fn refused(&self, code: ErrorCode) {
        let _ = code;
    }

    /// So many bytes of deliveries wait to be written to the client, once a batch: for counting.
    /// Answers to requests are none. It is called on the connection's task, so it has to be quick.
    fn queued(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Whether the client may subscribe to a channel. Asked for each channel of a request; the
    /// session gets all of them or none, and the client is told which ones were refused.
    async fn authorize_subscribe(&self, channel: &ChannelName) -> Result<(), Refusal>;

    /// Whether the client may subscribe to all channels that fit a pattern, whose names it may not
    /// know; nobody may unless the handler says so.
    async fn authorize_pattern(&self, _pattern: &ChannelPattern) -> Result<(), Refusal> {
        Err(Refusal::new(
            ErrorCode::Forbidden,
            "subscribing to this pattern is not allowed",
        ))
    }

    /// The client subscribes to these channels with presence, in JSON mode: it is to be entered in
    /// those that are no patterns, with this state if it gave one, and is told who joins and leaves
    /// all of them. It comes before the session has them; [`leave`](Self::leave) follows when the
    /// session does not get them.
    ///
    /// # Errors
    /// A refusal is sent in place of the answer, and the session is as before. By default there is
    /// no presence.
    fn enter(&self, _channels: &[ChannelSelector], _state: Option<Payload>) -> Result<(), Refusal> {
        Err(no_presence())
    }

    /// The same for a client that does not say whether it subscribes with presence. Returns whether
    /// it is told who joins and leaves; by default it is not.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    fn may_enter(&self, _channels: &[ChannelSelector]) -> Result<bool, Refusal> {
        Ok(false)
    }

    /// The session does not carry these channels any more, or not after all.
    fn leave(&self, _channels: &[ChannelSelector]) {}

    /// Sets the state of the client's member on a channel that it has entered, in JSON mode; none
    /// takes it away.
    ///
    /// # Errors
    /// A refusal is sent in place of the answer. By default there is no presence.
    fn update(&self, _channel: &ChannelName, _state: Option<Payload>) -> Result<(), Refusal> {
        Err(no_presence())
    }

    /// Publishes for the client, if it may.
    async fn publish(&self, channel: ChannelName, event: Event) -> Result<Position, Refusal>;

    /// Answers a request, in JSON mode: a name, which keeps the rules of an
    /// [event's](eventcast_core::EventName), and a payload. By default there is none of any name.
    ///
    /// # Errors
    /// A refusal is sent in place of the answer, and the connection goes on.
    ///
    /// # Cancel safety
    /// Dropped when the connection ends first.
    async fn request(&self, _name: &str, _payload: Payload) -> Result<Payload, Refusal> {
        Err(Refusal::new(
            ErrorCode::NotFound,
            "there is no such request",
        ))
    }

    /// Takes new credentials for the connection, in JSON mode, so that it goes on when the old ones
    /// expire. By default there are none to refresh.
    ///
    /// # Errors
    /// A refusal is sent in place of the answer; the connection goes on with what it had.
    ///
    /// # Cancel safety
    /// Dropped when the connection ends first.
    async fn refresh(&self, _token: &str) -> Result<(), Refusal> {
        Err(Refusal::new(
            ErrorCode::Forbidden,
            "this connection has no credentials to refresh",
        ))
    }

    /// Takes a message in plain mode: text from a text message, bytes from a binary one. What is
    /// returned is sent back, text and JSON as a text message, bytes as a binary one. By default
    /// messages are refused.
    ///
    /// # Errors
    /// Plain mode has no form for errors: a refusal closes the connection with
    /// [`CloseCode::Unsupported`](crate::CloseCode::Unsupported), the first 123 bytes of its
    /// message being the reason.
    ///
    /// # Cancel safety
    /// Dropped when the connection ends first.
    async fn message(&self, _message: Payload) -> Result<Option<Payload>, Refusal> {
        Err(Refusal::new(
            ErrorCode::BadRequest,
            "plain mode takes no messages",
        ))
    }
}

fn no_presence() -> Refusal {
    Refusal::new(ErrorCode::Forbidden, "presence is not allowed")
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
