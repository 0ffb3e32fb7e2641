//! What a client hands to its user.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{ChannelName, ChannelSelector, EventName, Payload, Position};

use crate::error::Interruption;
use crate::transport::Transport;

/// One thing that a [`Client`](crate::Client) tells, in the order of the hub's log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// An event of the log. It comes once.
    Event(Event),
    /// An event that is stored nowhere: it may come, or not.
    Ephemeral(Ephemeral),
    /// Events were lost: load the state of this channel anew. What follows is good. After a cut a
    /// gap may be told again.
    Gap(Gap),
    /// A channel ended; nothing of it follows.
    Completed(Completed),
    /// The server left events out in favour of newer ones of their keys, as was asked.
    Conflated {
        /// Where.
        channel: ChannelName,
        /// How many.
        count: u64,
    },
    /// The server cannot reach the log of its events, or is behind: events may be late, and a user
    /// may want to see that what is shown may be old. None is lost by it; publishing may fail
    /// meanwhile. It has no channel and no id. [`Recovered`](Self::Recovered) follows. Another
    /// connection begins anew: after [`Connected`](Self::Connected) it is told again, if it is still
    /// so. Over long-polling it is told within the [wait](crate::ClientBuilder::with_poll_wait).
    Stalled,
    /// After [`Stalled`](Self::Stalled): the server has its log again, and what was published meanwhile
    /// follows, or a gap.
    Recovered,
    /// A connection is open, the first or another one; events go on where they stopped.
    Connected {
        /// Over which transport.
        transport: Transport,
        /// What the session carries; empty where the transport does not tell.
        channels: Vec<ChannelSelector>,
    },
    /// There is no connection; another one is tried after a pause. Nothing is lost by it.
    Reconnecting {
        /// How long the pause is.
        after: Duration,
        /// Why.
        cause: Arc<Interruption>,
    },
}

/// An event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Its id, and the place right after it.
    pub id: Position,
    /// Its channel.
    pub channel: ChannelName,
    /// Its name, if it has one.
    pub name: Option<EventName>,
    /// What was published.
    pub payload: Payload,
}

/// An event that is stored nowhere, and has no id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ephemeral {
    /// Its channel.
    pub channel: ChannelName,
    /// Its name, if it has one.
    pub name: Option<EventName>,
    /// What was published.
    pub payload: Payload,
}

/// Events that are lost to this client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Where; a pattern, if the server does not know which of its channels.
    pub channel: ChannelSelector,
    /// Why.
    pub reason: Loss,
    /// How many events, if the server knows.
    pub missed: Option<u64>,
}

impl Gap {
    /// A gap whose number of events is not known: for tests of one's own, and for what is told
    /// elsewhere than in the stream.
    #[must_use]
    pub fn new(channel: impl Into<ChannelSelector>, reason: Loss) -> Self {
        Self {
            channel: channel.into(),
            reason,
            missed: None,
        }
    }
}

/// Why events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// Retention removed them before the session began.
    Trimmed,
    /// Retention removed them while the session was behind.
    Slow,
    /// The log began anew, such as by a restart of a server in memory.
    Epoch,
    /// The server does not know the id that was resumed with.
    Unknown,
    /// A reason that this version does not know.
    Other,
}

impl Loss {
    pub(crate) fn read(text: &str) -> Self {
        match text {
            "trimmed" => Self::Trimmed,
            "slow" => Self::Slow,
            "epoch" => Self::Epoch,
            "unknown" => Self::Unknown,
            _ => Self::Other,
        }
    }

    /// Whether ids from before it say nothing about those after it.
    pub(crate) fn breaks_order(self) -> bool {
        matches!(self, Self::Epoch | Self::Unknown)
    }
}

/// The end of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completed {
    /// Which.
    pub channel: ChannelName,
    /// `None` when it ended well, else why it failed.
    pub failure: Option<String>,
}
