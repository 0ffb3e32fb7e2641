//! One event out of a stream.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use eventcast_core::Payload;

use super::error::DecodeError;

/// An event as a client reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParsedEvent {
    /// The name in its `event` field; `None` when it has none or an empty one, which a browser
    /// dispatches as `message`.
    pub name: Option<String>,
    /// Its `data` lines, joined with LF.
    pub data: String,
    /// The last id that the stream gave up to and with this event; empty before the first one.
    /// This is what to send as `Last-Event-ID` to go on after this event.
    pub last_event_id: String,
    /// How `data` is encoded, by a field of our own; `None` when it is the text itself.
    pub encoding: Option<String>,
}

impl ParsedEvent {
    /// The name that a browser dispatches it under: `message` when it has none.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.name.as_deref().unwrap_or("message")
    }

    /// The bytes that were published: the data, or what its base64 stands for.
    ///
    /// # Errors
    /// [`DecodeError`] when the data is not what its encoding says.
    pub fn decode(self) -> Result<Bytes, DecodeError> {
        match self.encoding.as_deref() {
            None => Ok(self.data.into()),
            Some("base64") => STANDARD
                .decode(&self.data)
                .map(Bytes::from)
                .map_err(|error| DecodeError::Base64(error.into())),
            Some(_) => Err(DecodeError::UnknownEncoding),
        }
    }

    /// The payload of an event in [`PlainFormat`](crate::PlainFormat): bytes when it is encoded,
    /// else a text, for JSON is not marked there.
    ///
    /// # Errors
    /// [`DecodeError`] when the data is not what its encoding says.
    pub fn into_payload(self) -> Result<Payload, DecodeError> {
        match self.encoding {
            None => Ok(Payload::text(self.data)),
            Some(_) => self.decode().map(Payload::binary),
        }
    }
}
