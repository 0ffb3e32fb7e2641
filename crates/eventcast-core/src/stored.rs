//! An event in the log, with its encodings.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::delivery::Delivery;
use crate::event::{Event, Payload, PayloadKind};
use crate::format::{Format, FormatId};
use crate::id::{Epoch, Position};
use crate::name::{ChannelName, EventName, Key};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time so many milliseconds after the Unix epoch.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// Whether it is `age` or more before `now`.
    pub(crate) fn is_older_than(self, age: Duration, now: Self) -> bool {
        u128::from(now.0.saturating_sub(self.0)) >= age.as_millis()
    }
}

/// An event that is in the log: what was published, where, when, and under which id.
///
/// It also keeps the bytes of up to [`StoredEvent::CACHED_FORMATS`] formats, so that an event is
/// encoded once and its bytes are shared by every connection.
pub struct StoredEvent {
    position: Position,
    time: Timestamp,
    channel: ChannelName,
    event: Event,
    encodings: [OnceLock<Encoding>; Self::CACHED_FORMATS],
}

struct Encoding {
    format: FormatId,
    bytes: Bytes,
}

impl StoredEvent {
    /// How many formats' bytes an event keeps; a further format is encoded at each delivery.
    pub const CACHED_FORMATS: usize = 2;

    /// An event of a log, for implementors of logs and buffers and their tests.
    #[must_use]
    pub fn new(position: Position, time: Timestamp, channel: ChannelName, event: Event) -> Self {
        Self {
            position,
            time,
            channel,
            event,
            encodings: Default::default(),
        }
    }

    /// An event not yet in the log: allocated before the log is locked.
    pub(crate) fn unplaced(channel: ChannelName, event: Event) -> Arc<Self> {
        let nowhere = Position::new(Epoch::from_bits(0), 0);
        Arc::new(Self::new(nowhere, Timestamp::default(), channel, event))
    }

    /// Gives an event that nobody else has seen its place.
    pub(crate) fn place(event: &mut Arc<Self>, position: Position, time: Timestamp) {
        let event = Arc::get_mut(event).expect("an unplaced event is not shared");
        event.position = position;
        event.time = time;
    }

    /// The event's id, which is the position after it.
    #[must_use]
    pub fn id(&self) -> Position {
        self.position
    }

    /// The event's sequence in the hub's log.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.position.sequence()
    }

    /// When it was published; never before an event with a lower sequence.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

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

    /// The key that subscribers conflate by, if it has one.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.event.key()
    }

    pub(crate) fn idempotency_key(&self) -> Option<&Key> {
        self.event.idempotency_key()
    }

    /// Its payload.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        self.event.payload()
    }

    /// What it is charged for in [`Retention`](crate::Retention) bytes: itself, its payload and
    /// room for the encodings that it may keep.
    #[must_use]
    pub fn charge(&self) -> u64 {
        charge(&self.channel, &self.event)
    }

    /// Its bytes in a format: from the cache, or encoded now.
    #[must_use]
    pub fn encoded(self: &Arc<Self>, format: &dyn Format) -> Bytes {
        self.encoded_as(format.id(), format)
    }

    /// The same for who has asked the format for its id before.
    #[inline]
    pub(crate) fn encoded_as(self: &Arc<Self>, id: FormatId, format: &dyn Format) -> Bytes {
        for slot in &self.encodings {
            match slot.get() {
                Some(encoding) if encoding.format == id => return encoding.bytes.clone(),
                Some(_) => {}
                None => return self.encode_into(slot, format),
            }
        }
        encode(&Delivery::Event(Arc::clone(self)), format)
    }

    fn encode_into(self: &Arc<Self>, slot: &OnceLock<Encoding>, format: &dyn Format) -> Bytes {
        let bytes = encode(&Delivery::Event(Arc::clone(self)), format);
        if bytes.len() <= encoding_room(&self.channel, &self.event) {
            let encoding = Encoding {
                format: format.id(),
                bytes: bytes.clone(),
            };
            // Another connection may have filled the slot meanwhile: its bytes serve as well, and
            // those of another format cost one encoding more.
            let _ = slot.set(encoding);
        }
        bytes
    }
}

impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEvent")
            .field("position", &self.position)
            .field("time", &self.time)
            .field("channel", &self.channel)
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

pub(crate) fn charge(channel: &ChannelName, event: &Event) -> u64 {
    let room = StoredEvent::CACHED_FORMATS * encoding_room(channel, event);
    (EVENT_OVERHEAD + event.payload().len() + room) as u64
}

pub(crate) fn encode(delivery: &Delivery, format: &dyn Format) -> Bytes {
    let hint = match delivery {
        Delivery::Event(event) => {
            let factor = usize::from(event.payload().kind() == PayloadKind::Binary);
            event.payload().len() * (3 + factor) / 3 + 96
        }
        _ => 128,
    };
    let mut out = Vec::with_capacity(hint);
    format.encode(delivery, &mut out);
    out.into()
}

/// The longest encoding that is kept: base64 fits, so does text with a usual share of escapes.
fn encoding_room(channel: &ChannelName, event: &Event) -> usize {
    let name = event.name().map_or(0, |name| name.as_str().len());
    event.payload().len() * 3 / 2 + channel.as_str().len() + name + ENVELOPE_ROOM
}

/// The event itself, its reference counts and its place in the buffer.
const EVENT_OVERHEAD: usize = 256;
/// What the longest of our formats adds to names and payload.
const ENVELOPE_ROOM: usize = 160;
