//! The JSON envelope, which every transport that speaks JSON has in common.

mod delivery;
mod object;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::delivery::EphemeralEvent;
use crate::event::{Payload, PayloadKind};
use crate::name::{ChannelName, EventName};
use crate::stored::StoredEvent;

impl StoredEvent {
    /// Appends the event as a JSON object on one line:
    /// `{"id":…,"channel":…,"event"?:…,"encoding"?:…,"data":…}`.
    ///
    /// A JSON payload stands in it as it is, a text as a string, bytes as a base64 string with
    /// `"encoding":"base64"`. A JSON payload that is itself a string has `"encoding":"json"`, which
    /// tells it from a text.
    ///
    /// ```
    /// use eventcast_core::{ChannelName, Epoch, Event, Position, StoredEvent, Timestamp};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let event = StoredEvent::new(
    ///     Position::new(Epoch::from_bits(7), 42),
    ///     Timestamp::default(),
    ///     ChannelName::new("news")?,
    ///     Event::text("two\nlines"),
    /// );
    /// let mut json = Vec::new();
    /// event.write_envelope(&mut json);
    /// assert_eq!(json, br#"{"id":"00000007-b42","channel":"news","data":"two\nlines"}"#);
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_envelope(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(self.id().text().as_bytes());
        out.extend_from_slice(b"\",");
        write_rest(self.channel(), self.name(), self.payload(), out);
    }
}

impl EphemeralEvent {
    /// Appends the event as a JSON object on one line:
    /// `{"type":"ephemeral","channel":…,"event"?:…,"encoding"?:…,"data":…}`; otherwise as
    /// [`StoredEvent::write_envelope`].
    pub fn write_envelope(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"ephemeral\",");
        write_rest(self.channel(), self.name(), self.payload(), out);
    }
}

fn write_rest(
    channel: &ChannelName,
    name: Option<&EventName>,
    payload: &Payload,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"\"channel\":");
    string(out, channel.as_str());
    if let Some(name) = name {
        out.extend_from_slice(b",\"event\":");
        string(out, name.as_str());
    }
    let bytes = payload.as_bytes();
    match payload.kind() {
        PayloadKind::Binary => {
            out.extend_from_slice(b",\"encoding\":\"base64\",\"data\":\"");
            base64(out, bytes);
            out.push(b'"');
        }
        PayloadKind::Json => {
            if bytes.trim_ascii_start().starts_with(b"\"") {
                out.extend_from_slice(b",\"encoding\":\"json\"");
            }
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(bytes);
        }
        PayloadKind::Text => {
            out.extend_from_slice(b",\"data\":");
            string(out, payload.as_str().unwrap_or_default());
        }
    }
    out.push(b'}');
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is JSON and a vector takes it");
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("base64 takes four bytes for every three begun");
}
