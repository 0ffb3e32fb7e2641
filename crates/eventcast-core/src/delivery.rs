//! What a session hands out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::event::{Event, Payload};
use crate::format::{Format, FormatId};
use crate::id::Position;
use crate::name::{ChannelName, EventName};
use crate::selector::ChannelSelector;
use crate::stored::{StoredEvent, encode};

/// One step of a session: an event, or something its reader has to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// A channel is completed: no event of it follows.
    Completed(Completed),
    /// Older events of a channel, between the last delivery and the next, were left out in favour
    /// of newer ones with the same key, as the subscriber asked.
    Conflated(Conflated),
    /// The session ends here; nothing follows.
    End(End),
    /// An event that is not in the log: it has no id and moves no position.
    Ephemeral(Arc<EphemeralEvent>),
    /// An event.
    Event(Arc<StoredEvent>),
    /// Events that will not be delivered, in their place.
    Gap(Gap),
    /// A sign of life of an idle connection. Made by drivers, never by a session.
    Heartbeat,
    /// The first block of a connection. Made by [`Session::opening`](crate::Session::opening).
    Open(Open),
    /// The position moved although nothing was delivered, and resuming from the one told before
    /// could soon give a false gap.
    Position(Position),
    /// The hub's log is back after a [`Delivery::Stalled`]: what was published meanwhile follows.
    Recovered,
    /// The hub's log, which is outside its process, cannot be reached or is behind: events may be
    /// late. Nothing is lost by that. [`Delivery::Recovered`] follows once it is back.
    Stalled,
    /// The session's channels were changed through its [handle](crate::SessionHandle).
    Subscribed(Subscribed),
}

impl Delivery {
    /// The bytes in a format: an event's shared ones, or freshly encoded.
    #[must_use]
    pub fn encoded(&self, format: &dyn Format) -> Bytes {
        self.encoded_as(format.id(), format)
    }

    #[inline]
    pub(crate) fn encoded_as(&self, id: FormatId, format: &dyn Format) -> Bytes {
        match self {
            Self::Event(event) => event.encoded_as(id, format),
            _ => encode(self, format),
        }
    }
}

/// A loss: events of one channel that this session will not deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The channel whose events are lost, or the pattern of channels that are forgotten.
    pub channel: ChannelSelector,
    /// Why.
    pub reason: GapReason,
    /// How many, where that is known.
    pub missed: Option<u64>,
    /// The session's position after the gap. Absent while a gap of the same opening is still to
    /// come: until the last of them is read, the reader keeps the id it resumed with, and a cut
    /// brings them all again.
    pub position: Option<Position>,
}

impl Gap {
    /// A gap, for implementors of formats and their tests.
    #[must_use]
    pub fn new(
        channel: impl Into<ChannelSelector>,
        reason: GapReason,
        missed: Option<u64>,
        position: Option<Position>,
    ) -> Self {
        Self {
            channel: channel.into(),
            reason,
            missed,
            position,
        }
    }
}

/// Reads as `gap in CHANNEL: REASON, N missed`.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gap in {}: {}", self.channel, self.reason.as_str())?;
        match self.missed {
            Some(missed) => write!(f, ", {missed} missed"),
            None => Ok(()),
        }
    }
}

/// Why events are lost to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The resume id is of another run of the log, whose events this one cannot account for.
    Epoch,
    /// The connected reader was so slow that the log trimmed what it had not read yet.
    Slow,
    /// What follows the resume id was trimmed from the log before the session began.
    Trimmed,
    /// The resume id was never given by this log.
    Unknown,
}

impl GapReason {
    /// The reason's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Slow => "slow",
            Self::Trimmed => "trimmed",
            Self::Unknown => "unknown",
        }
    }
}

/// The end of a finite channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completed {
    /// The channel.
    pub channel: ChannelName,
    /// Whether it ended well.
    pub outcome: Outcome,
    /// The session's position after it. Absent for a channel of which only this is remembered.
    pub position: Option<Position>,
}

/// How a channel ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Whole: nothing more was to come.
    Complete,
    /// With a failure, and this reason.
    Failed(Arc<str>),
}

/// Events left out in favour of newer ones; see [`SlowPolicy::Conflate`](crate::SlowPolicy).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflated {
    /// The channel.
    pub channel: ChannelName,
    /// How many events were left out.
    pub count: u64,
}

/// An event that nobody stores: a typing mark, a cursor. Connected subscribers may get it, and may
/// not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EphemeralEvent {
    pub(crate) channel: ChannelName,
    pub(crate) event: Event,
}

impl EphemeralEvent {
    /// Where it was published.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&EventName> {
        self.event.name()
    }

    /// Its payload.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        self.event.payload()
    }
}

/// The first block's content: where the session stands and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Open {
    /// The starting position, so that a reader cut before its first event loses nothing. Absent
    /// when the id it resumed with cannot be honoured: gaps follow and bring a new one.
    pub position: Option<Position>,
    /// The session's channels and patterns, in the order they were named.
    pub channels: Vec<ChannelSelector>,
    /// The session's key, by which its client can change it; see
    /// [`Session::set_key`](crate::Session::set_key).
    pub session: Option<Arc<str>>,
    /// How often an idle connection gives a sign of life; the transport sets it.
    pub heartbeat: Option<Duration>,
    /// How long a reader should wait before it reconnects; the transport sets it.
    pub retry: Option<Duration>,
}

/// What a session carries after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribed {
    /// The session's channels and patterns.
    pub channels: Vec<ChannelSelector>,
    /// The session's position; new channels deliver what follows it. Absent while gaps of a resume
    /// that cannot be honoured are still to come.
    pub position: Option<Position>,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The server closed the session; coming back is of no use for now.
    Closed,
    /// Every channel of the session is completed and delivered; coming back is of no use.
    Completed,
    /// The server is going away or making room: come back after `retry`.
    Draining {
        /// How long to wait before reconnecting, if the server says.
        retry: Option<Duration>,
    },
    /// What the reader was allowed has expired: come back with new credentials, and resume.
    Expired,
    /// What the reader was allowed was taken back; coming back needs other credentials.
    Revoked,
    /// The reader was slower than retention and asked to be disconnected then; it can resume, and
    /// finds a gap.
    Slow,
    /// More channels fit the session's patterns, and have something for it, than a session may
    /// have; it can resume once it is less far behind.
    TooManyChannels,
}

impl End {
    /// The end's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Completed => "completed",
            Self::Draining { .. } => "draining",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Slow => "slow",
            Self::TooManyChannels => "too_many_channels",
        }
    }
}
