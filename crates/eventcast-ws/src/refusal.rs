//! Why a request is refused.

use std::borrow::Cow;
use std::fmt;

use eventcast_core::{ChannelSelector, NameError, PresenceError, PublishError, SubscribeError};

/// A refused request: a code for programs, a message for people. The connection goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: ErrorCode,
    message: Cow<'static, str>,
    channels: Vec<ChannelSelector>,
}

impl Refusal {
    /// A refusal. The message reaches the client: it should tell no secrets.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            channels: Vec::new(),
        }
    }

    /// The same, because of these channels of the request; the client is told which.
    #[must_use]
    pub fn with_channels(mut self, channels: impl IntoIterator<Item = ChannelSelector>) -> Self {
        self.channels = channels.into_iter().collect();
        self
    }

    /// The channels of the request that it is about, if it is about some and not others.
    #[must_use]
    pub fn channels(&self) -> &[ChannelSelector] {
        &self.channels
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let code = match error {
            PublishError::Channel(_) => ErrorCode::BadChannel,
            PublishError::Completed => ErrorCode::Completed,
            PublishError::TooLarge { .. } => ErrorCode::TooLarge,
            PublishError::Full(_)
            | PublishError::TooManyChannels { .. }
            | PublishError::Unavailable { .. } => ErrorCode::Unavailable,
            PublishError::OutcomeUnknown { .. } => ErrorCode::Timeout,
            _ => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl From<SubscribeError> for Refusal {
    fn from(error: SubscribeError) -> Self {
        let code = match error {
            SubscribeError::Channel(_) => ErrorCode::BadChannel,
            SubscribeError::PatternStart => ErrorCode::BadRequest,
            SubscribeError::SessionFull { .. } => ErrorCode::TooManyChannels,
            SubscribeError::TooManyChannels { .. } | SubscribeError::Unavailable => {
                ErrorCode::Unavailable
            }
            _ => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PresenceError> for Refusal {
    fn from(error: PresenceError) -> Self {
        let code = match error {
            PresenceError::Channel(_) => ErrorCode::BadChannel,
            PresenceError::Binary => ErrorCode::BadRequest,
            PresenceError::StateTooLarge { .. } => ErrorCode::TooLarge,
            PresenceError::ChannelFull { .. }
            | PresenceError::Full { .. }
            | PresenceError::Left
            | PresenceError::TooManyChannels { .. } => ErrorCode::Unavailable,
            _ => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl Refusal {
    pub(crate) fn into_message(self) -> Cow<'static, str> {
        self.message
    }

    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    pub(crate) fn bad_channel(error: NameError) -> Self {
        Self::new(ErrorCode::BadChannel, error.to_string())
    }

    pub(crate) fn bad_event(error: NameError) -> Self {
        Self::new(ErrorCode::BadEvent, error.to_string())
    }
}

/// The codes of refused requests; stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// `bad_channel`: a channel's name breaks the rules.
    BadChannel,
    /// `bad_event`: an event's name breaks the rules.
    BadEvent,
    /// `bad_request`: not JSON, or not a request that this version knows.
    BadRequest,
    /// `completed`: the channel is completed, and takes no events.
    Completed,
    /// `forbidden`: the client may not do this.
    Forbidden,
    /// `internal`: the server is at fault. Whether the request took effect is not known.
    Internal,
    /// `not_found`: there is no request of this name.
    NotFound,
    /// `rate_limited`: too much at once; a retry helps later.
    RateLimited,
    /// `timeout`: the server took too long. Whether the request took effect is not known.
    Timeout,
    /// `too_large`: the payload is larger than the server takes.
    TooLarge,
    /// `too_many_channels`: the request, or the session with it, names more channels than it may.
    TooManyChannels,
    /// `unavailable`: not now; nothing took effect, and a retry helps later.
    Unavailable,
}

impl ErrorCode {
    /// The code on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadChannel => "bad_channel",
            Self::BadEvent => "bad_event",
            Self::BadRequest => "bad_request",
            Self::Completed => "completed",
            Self::Forbidden => "forbidden",
            Self::Internal => "internal",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::TooManyChannels => "too_many_channels",
            Self::Unavailable => "unavailable",
        }
    }
}
