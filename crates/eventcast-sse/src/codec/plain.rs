//! Payloads alone.

use eventcast_core::{Delivery, Format, FormatId, PayloadKind};

use super::{control, field};

/// The event stream whose data is the payload as it was published.
///
/// A binary payload is sent as base64 behind a line `encoding: base64`, a field that every
/// `EventSource` passes over and [`Parser`](crate::Parser) reads. Text and JSON look alike, and an
/// event does not tell its channel: [`JsonFormat`](crate::JsonFormat) does both.
///
/// ```
/// use std::sync::Arc;
/// use eventcast_core::{ChannelName, Delivery, Epoch, Event, Position, StoredEvent, Timestamp};
/// use eventcast_sse::PlainFormat;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let event = StoredEvent::new(
///     Position::new(Epoch::from_bits(7), 42),
///     Timestamp::default(),
///     ChannelName::new("news")?,
///     Event::text("two\nlines").named("headline")?,
/// );
/// let block = Delivery::Event(Arc::new(event)).encoded(&PlainFormat);
/// assert_eq!(block, "event: headline\ndata: two\ndata: lines\nid: 00000007-b42\n\n");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainFormat;

impl Format for PlainFormat {
    fn id(&self) -> FormatId {
        FormatId::new("sse.plain")
    }

    fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        let (name, id, payload) = match delivery {
            Delivery::Ephemeral(event) => (event.name(), None, event.payload()),
            Delivery::Event(event) => (event.name(), Some(event.id()), event.payload()),
            _ => return control::encode(delivery, out),
        };
        field::event_block(name, id, out, |out| match payload.kind() {
            PayloadKind::Binary => {
                out.extend_from_slice(b"encoding: base64\ndata: ");
                field::base64(out, payload.as_bytes());
                out.push(b'\n');
            }
            PayloadKind::Json | PayloadKind::Text => field::data_lines(out, payload.as_bytes()),
        });
    }
}
