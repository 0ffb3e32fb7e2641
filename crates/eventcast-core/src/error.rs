//! Errors by operation.

use std::time::Duration;

use crate::backplane::BackplaneError;
use crate::name::{Key, NameError};

/// Why a publish was refused. Nothing was stored, but for [`PublishError::OutcomeUnknown`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The channel's name breaks the rules. The caller is at fault.
    #[error("the channel's name is not valid")]
    Channel(#[from] NameError),
    /// The channel is completed. The caller is at fault.
    #[error("the channel is completed")]
    Completed,
    /// The hub's log has no room: a disk is full, a limit is reached. Nothing was stored.
    #[error("the log has no room")]
    Full(#[source] BackplaneError),
    /// The hub's log is outside this process and has to be waited for: use the async method of the
    /// same name, or the one with `_async`. The caller is at fault.
    #[error("the hub's log has to be waited for: use the async method")]
    NeedsAsync,
    /// The hub's log did not answer in time, and the events may be stored or not. Only a retry with
    /// the same idempotency keys is safe, and only within the time for which the log knows them.
    #[error("the log did not answer within {waited:?}: the events may be stored or not")]
    OutcomeUnknown {
        /// The events' idempotency keys, in their order, for
        /// [`Event::with_idempotency_key`](crate::Event::with_idempotency_key): the caller's own, or
        /// such as the hub has given them. Empty when the log knows no keys, and for a channel's
        /// end, which is stored once anyhow.
        keys: Vec<Key>,
        /// For how long it was tried.
        waited: Duration,
        /// What went wrong.
        source: BackplaneError,
    },
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
    /// The hub's log cannot be reached. Nothing was stored; a retry helps once it is back.
    #[error("the log could not be reached within {waited:?}: nothing was stored")]
    Unavailable {
        /// For how long it was tried.
        waited: Duration,
        /// What went wrong.
        source: BackplaneError,
    },
}

/// Why a subscription was refused. The session is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The channel's name breaks the rules. The caller is at fault.
    #[error("the channel's name is not valid")]
    Channel(#[from] NameError),
    /// The hub's log is outside this process and has to be asked: use
    /// [`SessionBuilder::open_async`](crate::SessionBuilder::open_async), or
    /// [`Session::subscribe_with_async`](crate::Session::subscribe_with_async). The caller is at
    /// fault.
    #[error("the hub's log has to be asked: use the async method")]
    NeedsAsync,
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
    /// The hub's log cannot be reached, and without it nobody knows where the session begins. A
    /// retry helps once it is back; a session that resumes opens all the same.
    #[error("the log cannot be reached")]
    Unavailable,
}

/// Why there is no page of a channel's history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The channel's name breaks the rules. The caller is at fault.
    #[error("the channel's name is not valid")]
    Channel(#[from] NameError),
    /// The hub's log cannot be reached; a retry helps once it is back.
    #[error("the log cannot be reached")]
    Unavailable(#[from] BackplaneError),
}
