//! Errors by operation.

use crate::name::NameError;

/// Why a publish was refused. Nothing was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The channel's name breaks the rules. The caller is at fault.
    #[error("the channel's name is not valid")]
    Channel(#[from] NameError),
    /// The channel is completed. The caller is at fault.
    #[error("the channel is completed")]
    Completed,
    /// The payload is larger than the hub takes. The caller is at fault.
    #[error("the payload of {size} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// The payload's size in bytes.
        size: usize,
        /// The hub's limit in bytes; see [`HubConfig::with_max_payload`](crate::HubConfig::with_max_payload).
        limit: usize,
    },
    /// The hub has as many channels as it may; a retry helps once idle ones are collected.
    #[error("the hub has its limit of {limit} channels")]
    TooManyChannels {
        /// The hub's limit; see [`HubConfig::with_max_channels`](crate::HubConfig::with_max_channels).
        limit: usize,
    },
}

/// Why a subscription was refused. The session is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The channel's name breaks the rules. The caller is at fault.
    #[error("the channel's name is not valid")]
    Channel(#[from] NameError),
    /// A pattern that joins a live session starts live; another start is for a session that opens.
    /// The caller is at fault.
    #[error("a pattern joins a live session from now on")]
    PatternStart,
    /// The session would have more channels than it may. The caller is at fault.
    #[error("a session may have {limit} channels")]
    SessionFull {
        /// The limit; see [`HubConfig::with_max_session_channels`](crate::HubConfig::with_max_session_channels).
        limit: usize,
    },
    /// The hub has as many channels as it may; a retry helps once idle ones are collected.
    #[error("the hub has its limit of {limit} channels")]
    TooManyChannels {
        /// The hub's limit; see [`HubConfig::with_max_channels`](crate::HubConfig::with_max_channels).
        limit: usize,
    },
}
