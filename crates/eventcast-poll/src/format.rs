//! One JSON object a line.

use eventcast_core::{Delivery, Format, FormatId};

/// Newline-delimited JSON: every delivery as the object that
/// [`Delivery::write_envelope`] writes, and LF; a heartbeat as LF alone.
///
/// Streams send the lines, answers to polls hold the objects, so that both share one encoding of
/// an event.
///
/// ```
/// use std::sync::Arc;
/// use eventcast_core::{ChannelName, Delivery, Epoch, Event, Position, StoredEvent, Timestamp};
/// use eventcast_poll::LineFormat;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let event = StoredEvent::new(
///     Position::new(Epoch::from_bits(7), 42),
///     Timestamp::default(),
///     ChannelName::new("news")?,
///     Event::text("two\nlines"),
/// );
/// let line = Delivery::Event(Arc::new(event)).encoded(&LineFormat);
/// assert_eq!(line, "{\"id\":\"00000007-b42\",\"channel\":\"news\",\"data\":\"two\\nlines\"}\n");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineFormat;

impl Format for LineFormat {
    fn id(&self) -> FormatId {
        FormatId::new("poll.lines")
    }

    fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        if delivery.write_envelope(out) || matches!(delivery, Delivery::Heartbeat) {
            out.push(b'\n');
        }
    }
}
