//! What a client makes of the bytes that come.

use eventcast_core::PayloadKind;

/// One thing that a client read from the wire.
///
/// Every id is the text as it came. What a wire format does not tell is `None`, and the harness's
/// [`Capabilities`](super::Capabilities) say so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// A channel is completed.
    Completed {
        /// The channel.
        channel: Option<String>,
        /// Why it failed, if it did.
        failure: Option<String>,
        /// The position after it.
        id: Option<String>,
    },
    /// The session's end.
    End {
        /// Why: `closed`, `completed`, `draining` or `slow`.
        reason: String,
    },
    /// An event.
    Event(SeenEvent),
    /// A gap.
    Gap {
        /// The channel whose events are lost.
        channel: Option<String>,
        /// Why: `epoch`, `slow`, `trimmed` or `unknown`.
        reason: String,
        /// How many, where that is told.
        missed: Option<u64>,
        /// The position after it.
        id: Option<String>,
    },
    /// A sign of life without content.
    Heartbeat,
    /// The first block.
    Open {
        /// The position to resume from.
        id: Option<String>,
        /// The session's channels.
        channels: Option<Vec<String>>,
    },
    /// A newer position of an idle connection.
    Position {
        /// The position.
        id: String,
    },
}

/// An event as a client read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenEvent {
    /// Its id.
    pub id: Option<String>,
    /// Its channel.
    pub channel: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// What kind of payload it is.
    pub kind: Option<PayloadKind>,
    /// The payload's bytes.
    pub payload: Vec<u8>,
}

impl Seen {
    /// The id that a client which saw this would resume with.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Event(event) => event.id.as_deref(),
            Self::Completed { id, .. } | Self::Gap { id, .. } | Self::Open { id, .. } => {
                id.as_deref()
            }
            Self::Position { id } => Some(id),
            Self::End { .. } | Self::Heartbeat => None,
        }
    }
}
