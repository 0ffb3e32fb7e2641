//! What goes wrong with presence.

use crate::name::NameError;

/// Why a member could not enter a channel, or its state not be set. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// The channel's name breaks the rules. The caller is at fault.
    #[error("the channel's name is not valid")]
    Channel(#[from] NameError),
    /// A state is text or JSON. The caller is at fault.
    #[error("a member's state is text or JSON, not bytes")]
    Binary,
    /// The state is larger than allowed. The caller is at fault.
    #[error("the state of {size} bytes is larger than the limit of {limit}")]
    StateTooLarge {
        /// The state's size in bytes.
        size: usize,
        /// The limit; see [`PresenceConfig::with_max_state`](crate::PresenceConfig::with_max_state).
        limit: usize,
    },
    /// The channel has as many members as it may; a retry helps once some have left.
    #[error("the channel has its limit of {limit} connections of members")]
    ChannelFull {
        /// The limit; see
        /// [`PresenceConfig::with_max_connections_per_channel`](crate::PresenceConfig::with_max_connections_per_channel).
        limit: usize,
    },
    /// There are members on as many channels as there may be; a retry helps once some are empty.
    #[error("there are members on the limit of {limit} channels")]
    TooManyChannels {
        /// The limit; see [`PresenceConfig::with_max_channels`](crate::PresenceConfig::with_max_channels).
        limit: usize,
    },
    /// All members together take as much memory as they may; a retry helps once some have left.
    #[error("the members take up their limit of {limit} bytes")]
    Full {
        /// The limit; see [`PresenceConfig::with_max_bytes`](crate::PresenceConfig::with_max_bytes).
        limit: usize,
    },
    /// The connection has left, or its node was told to [leave](crate::Presence::close).
    #[error("the member has left")]
    Left,
}

/// Why a message of another node was not taken. What it lacks is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceMessageError {
    /// It ends too early, has something left over, or holds what no node sends.
    #[error("the message of presence is damaged")]
    Damaged,
    /// It is larger than any that a node sends.
    #[error("the message of presence is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// There are as many nodes as there may be.
    #[error("presence knows its limit of {limit} nodes")]
    TooManyNodes {
        /// The limit.
        limit: usize,
    },
    /// It is of a later version, or none of presence's messages at all.
    #[error("the message is none of this version of presence")]
    Version,
}
