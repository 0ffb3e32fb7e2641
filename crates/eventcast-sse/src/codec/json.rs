//! Payloads in a JSON envelope.

use eventcast_core::{Delivery, Format, FormatId, PayloadKind, StoredEvent};

use super::{control, field};

/// The event stream whose data is a JSON envelope on one line, for sessions of several channels.
///
/// A JSON payload stands in the envelope as it is, a text as a string, bytes as a base64 string
/// with `"encoding":"base64"`. A JSON payload that is itself a string has `"encoding":"json"`,
/// which tells it from a text.
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
        let Delivery::Event(event) = delivery else {
            return control::encode(delivery, out);
        };
        field::event_block(event, out, |out| {
            out.extend_from_slice(b"data: ");
            write_envelope(event, out);
            out.push(b'\n');
        });
    }
}

/// Writes the envelope: id, channel, event if named, encoding if any, data.
fn write_envelope(event: &StoredEvent, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":\"");
    out.extend_from_slice(event.id().text().as_bytes());
    out.extend_from_slice(b"\",\"channel\":");
    field::json_string(out, event.channel().as_str());
    if let Some(name) = event.name() {
        out.extend_from_slice(b",\"event\":");
        field::json_string(out, name.as_str());
    }
    let payload = event.payload();
    match payload.kind() {
        PayloadKind::Binary => {
            out.extend_from_slice(b",\"encoding\":\"base64\",\"data\":\"");
            field::base64(out, payload.as_bytes());
            out.push(b'"');
        }
        PayloadKind::Json => {
            if payload.as_bytes().trim_ascii_start().starts_with(b"\"") {
                out.extend_from_slice(b",\"encoding\":\"json\"");
            }
            out.extend_from_slice(b",\"data\":");
            write_on_one_line(out, payload.as_bytes());
        }
        PayloadKind::Text => {
            out.extend_from_slice(b",\"data\":");
            field::json_string(out, payload.as_str().expect("a text is UTF-8"));
        }
    }
    out.push(b'}');
}

/// Writes JSON text. A line end in it can only stand between tokens, where a space means the same;
/// left in, it would end the field.
fn write_on_one_line(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    for byte in &mut out[start..] {
        if field::is_line_end(*byte) {
            *byte = b' ';
        }
    }
}
