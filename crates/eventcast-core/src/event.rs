//! What a user publishes.

use bytes::Bytes;

use crate::name::{EventName, Key, NameError};

/// An event to publish: a payload and, if wanted, a name.
///
/// ```
/// use eventcast_core::Event;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plain = Event::text("hello");
/// let named = Event::binary(vec![0, 1, 2]).named("frame")?;
/// assert_eq!(named.name().map(|name| name.as_str()), Some("frame"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    name: Option<EventName>,
    payload: Payload,
    key: Option<Key>,
    idempotency_key: Option<Key>,
}

impl Event {
    /// An event with a payload and no name.
    #[must_use]
    pub fn new(payload: Payload) -> Self {
        Self {
            name: None,
            payload,
            key: None,
            idempotency_key: None,
        }
    }

    /// A text. Over SSE each CR, LF or CRLF in it arrives as one LF; every other transport
    /// delivers it unchanged.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Payload::text(text))
    }

    /// Bytes. Transports that carry only text send them as base64, marked as such.
    #[must_use]
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::new(Payload::binary(bytes))
    }

    /// A value as JSON.
    ///
    /// ```
    /// # #[cfg(feature = "json")] {
    /// use eventcast_core::Event;
    ///
    /// let event = Event::json(&[1, 2]).unwrap();
    /// assert_eq!(event.payload().as_str(), Some("[1,2]"));
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`JsonError`] when the value cannot be written as JSON (a map with keys that are no
    /// strings, or its own `Serialize` fails).
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        let text = serde_json::to_vec(value).map_err(JsonError::Syntax)?;
        Ok(Self::new(Payload::json_on_one_line(text)))
    }

    /// The same event with a name.
    ///
    /// # Errors
    /// [`NameError`] when the name breaks the rules of [`EventName`].
    pub fn named(
        mut self,
        name: impl TryInto<EventName, Error: Into<NameError>>,
    ) -> Result<Self, NameError> {
        self.name = Some(name.try_into().map_err(Into::into)?);
        Ok(self)
    }

    /// The same event with a key: what it is the newest state of, such as a stock's symbol. A
    /// subscriber that is behind and [conflates](crate::SlowPolicy::Conflate) gets only the newest
    /// event of each key.
    ///
    /// # Errors
    /// [`NameError`] when the key breaks the rules of [`Key`].
    pub fn keyed(
        mut self,
        key: impl TryInto<Key, Error: Into<NameError>>,
    ) -> Result<Self, NameError> {
        self.key = Some(key.try_into().map_err(Into::into)?);
        Ok(self)
    }

    /// The same event with an idempotency key: publishing another event with this key to the same
    /// channel, within the hub's window, stores nothing and returns the first one's id. So a
    /// publish whose outcome is not known can be tried again.
    ///
    /// # Errors
    /// [`NameError`] when the key breaks the rules of [`Key`].
    pub fn with_idempotency_key(
        mut self,
        key: impl TryInto<Key, Error: Into<NameError>>,
    ) -> Result<Self, NameError> {
        self.idempotency_key = Some(key.try_into().map_err(Into::into)?);
        Ok(self)
    }

    /// The key that subscribers conflate by.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// The idempotency key.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&Key> {
        self.idempotency_key.as_ref()
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> Option<&EventName> {
        self.name.as_ref()
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }
}

/// A payload: text, one JSON value, or bytes. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    kind: PayloadKind,
    bytes: Bytes,
}

impl Payload {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            kind: PayloadKind::Text,
            bytes: text.into().into_bytes().into(),
        }
    }

    /// Bytes.
    #[must_use]
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self {
            kind: PayloadKind::Binary,
            bytes: bytes.into(),
        }
    }

    /// How deep a JSON value may be nested, as a text that is published: subscribers' parsers have
    /// limits too, 128 in many, and the envelope takes a level.
    #[cfg(feature = "json")]
    pub const MAX_JSON_DEPTH: usize = 100;

    /// One JSON value, as text that is checked and kept as it is, but for line ends between
    /// tokens, which become spaces so that the value stays on one line.
    ///
    /// # Errors
    /// [`JsonError`] when the text is not exactly one JSON value, or nested too deep.
    #[cfg(feature = "json")]
    pub fn json_text(text: impl Into<String>) -> Result<Self, JsonError> {
        let text = text.into();
        serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(JsonError::Syntax)?;
        if depth(text.as_bytes()) > Self::MAX_JSON_DEPTH {
            return Err(JsonError::TooDeep);
        }
        Ok(Self::json_on_one_line(text.into_bytes()))
    }

    /// A valid JSON string holds no raw line end, so those in the text stand between tokens.
    #[cfg(feature = "json")]
    fn json_on_one_line(mut text: Vec<u8>) -> Self {
        for byte in &mut text {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        Self {
            kind: PayloadKind::Json,
            bytes: text.into(),
        }
    }

    /// A payload that a log kept; `None` when text is no UTF-8, or JSON has line ends, which no
    /// payload has that was published. The log is trusted with the rest.
    pub(crate) fn from_log(kind: PayloadKind, bytes: Bytes) -> Option<Self> {
        let is_whole = match kind {
            PayloadKind::Binary => true,
            PayloadKind::Text => std::str::from_utf8(&bytes).is_ok(),
            PayloadKind::Json => {
                std::str::from_utf8(&bytes).is_ok()
                    && !bytes.iter().any(|b| matches!(b, b'\n' | b'\r'))
            }
        };
        is_whole.then_some(Self { kind, bytes })
    }

    /// Which of the three it is.
    #[must_use]
    pub fn kind(&self) -> PayloadKind {
        self.kind
    }

    /// Its bytes: UTF-8 for text and JSON.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The text of a text or JSON payload; `None` for bytes.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self.kind {
            PayloadKind::Binary => None,
            PayloadKind::Json | PayloadKind::Text => std::str::from_utf8(&self.bytes).ok(),
        }
    }

    /// Its size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// What a payload's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    /// Bytes of any kind.
    Binary,
    /// Exactly one JSON value, on one line.
    Json,
    /// UTF-8 text.
    Text,
}

/// Not JSON that subscribers can read: the publisher is at fault, and a retry is of no use.
#[cfg(feature = "json")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is not one JSON value.
    #[error("the payload is not one JSON value")]
    Syntax(#[source] serde_json::Error),
    /// It is nested deeper than [`Payload::MAX_JSON_DEPTH`].
    #[error("the payload is nested deeper than {} levels", Payload::MAX_JSON_DEPTH)]
    TooDeep,
}

/// How deep a valid JSON text is nested.
#[cfg(feature = "json")]
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

#[cfg(all(test, feature = "json"))]
mod tests {
    use super::*;

    #[test]
    fn json_is_checked_and_kept_on_one_line() {
        let payload = Payload::json_text("{\r\n \"a\": 1.0e3}").unwrap();
        assert_eq!(payload.as_str(), Some("{   \"a\": 1.0e3}"));
        let raw = serde_json::value::RawValue::from_string("[1,\n2]".to_owned()).unwrap();
        let event = Event::json(&raw).unwrap();
        assert_eq!(event.payload().as_str(), Some("[1, 2]"));
        let nested = |depth| "[".repeat(depth) + "\"[[\\\"[\"" + &"]".repeat(depth);
        assert!(Payload::json_text(nested(Payload::MAX_JSON_DEPTH)).is_ok());
        assert!(Payload::json_text(nested(Payload::MAX_JSON_DEPTH + 1)).is_err());
        for bad in ["", "{", "1 2", "\"a\nb\"", "nul"] {
            assert!(Payload::json_text(bad).is_err(), "{bad:?}");
        }
    }
}
