//! Payloads in a JSON envelope.

use eventcast_core::{Delivery, Format, FormatId};

use super::{control, field};

/// The event stream whose data is a JSON envelope on one line, for sessions of several channels.
///
/// [`StoredEvent::write_envelope`](eventcast_core::StoredEvent::write_envelope) says what is in it.
///
/// ```
/// use std::sync::Arc;
/// use eventcast_core::{ChannelName, Delivery, Epoch, Event, Position, StoredEvent, Timestamp};
/// use eventcast_sse::JsonFormat;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let event = StoredEvent::new(
///     Position::new(Epoch::from_bits(7), 42),
///     Timestamp::default(),
///     ChannelName::new("news")?,
///     Event::text("two\nlines"),
/// );
/// let block = Delivery::Event(Arc::new(event)).encoded(&JsonFormat);
/// assert_eq!(
///     block,
///     "data: {\"id\":\"00000007-b42\",\"channel\":\"news\",\"data\":\"two\\nlines\"}\n\
///      id: 00000007-b42\n\n"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonFormat;

impl Format for JsonFormat {
    fn id(&self) -> FormatId {
        FormatId::new("sse.json")
    }

    fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        let (name, id) = match delivery {
            Delivery::Ephemeral(event) => (event.name(), None),
            Delivery::Event(event) => (event.name(), Some(event.id())),
            _ => return control::encode(delivery, out),
        };
        field::event_block(name, id, out, |out| {
            out.extend_from_slice(b"data: ");
            match delivery {
                Delivery::Ephemeral(event) => event.write_envelope(out),
                Delivery::Event(event) => event.write_envelope(out),
                _ => {}
            }
            out.push(b'\n');
        });
    }
}
