//! One entry of a log, and its bytes.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::delivery::Outcome;
use crate::event::{Event, Payload, PayloadKind};
use crate::id::Position;
use crate::name::{ChannelName, Key};
use crate::stored::{self, StoredEvent, Timestamp};

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's place, which is the position after it.
    pub position: Position,
    /// When it was published; never before a record with a lower sequence.
    pub time: Timestamp,
    /// The channel.
    pub channel: ChannelName,
    /// What it is.
    pub body: Body,
}

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An event.
    Event(Event),
    /// The channel's end: nothing of it follows.
    Completion(Outcome),
}

impl Record {
    /// The payload's length in bytes; 0 for a channel's end.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        match &self.body {
            Body::Event(event) => event.payload().len(),
            Body::Completion(_) => 0,
        }
    }

    /// The record as an event in the log; `None` for a channel's end.
    #[must_use]
    pub fn into_event(self) -> Option<StoredEvent> {
        match self.body {
            Body::Event(event) => Some(StoredEvent::new(
                self.position,
                self.time,
                self.channel,
                event,
            )),
            Body::Completion(_) => None,
        }
    }
}

impl Body {
    /// The key under which an event is published once, however often that is tried.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&Key> {
        match self {
            Self::Event(event) => event.idempotency_key(),
            Self::Completion(_) => None,
        }
    }

    /// What an event is [charged](StoredEvent::charge) for in the bytes of its channel, before it has
    /// a place; 0 for a channel's end.
    #[must_use]
    pub fn charge(&self, channel: &ChannelName) -> u64 {
        match self {
            Self::Event(event) => stored::charge(channel, event),
            Self::Completion(_) => 0,
        }
    }

    /// The body as bytes that [`Body::decode`] reads, now and in later versions. Keys are part of
    /// it; position, time and channel are the log's to store.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(VERSION);
        match self {
            Self::Completion(Outcome::Complete) => out.put_u8(COMPLETE),
            Self::Completion(Outcome::Failed(reason)) => {
                out.put_u8(FAILED);
                out.put_slice(reason.as_bytes());
            }
            Self::Event(event) => {
                out.put_u8(match event.payload().kind() {
                    PayloadKind::Text => TEXT,
                    PayloadKind::Json => JSON,
                    PayloadKind::Binary => BINARY,
                });
                put_short(&mut out, event.name().map(|name| name.as_str()));
                put_short(&mut out, event.key().map(|key| key.as_str()));
                put_short(&mut out, event.idempotency_key().map(|key| key.as_str()));
                out.put_slice(event.payload().as_bytes());
            }
        }
        out.freeze()
    }

    /// Reads what [`encode`](Self::encode) wrote. The payload shares the bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are cut short, altered, or of a version that is not known.
    pub fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let [version, kind, ..] = *bytes.as_ref() else {
            return Err(DecodeError);
        };
        if version != VERSION {
            return Err(DecodeError);
        }
        bytes = bytes.slice(2..);
        let payload = match kind {
            COMPLETE if bytes.is_empty() => return Ok(Self::Completion(Outcome::Complete)),
            FAILED => {
                let reason = std::str::from_utf8(&bytes).map_err(|_| DecodeError)?;
                return Ok(Self::Completion(Outcome::Failed(Arc::from(reason))));
            }
            TEXT | JSON | BINARY => kind,
            _ => return Err(DecodeError),
        };
        let name = take_short(&mut bytes)?;
        let key = take_short(&mut bytes)?;
        let idempotency_key = take_short(&mut bytes)?;
        let payload = Payload::from_log(payload_kind(payload), bytes).ok_or(DecodeError)?;
        let mut event = Event::new(payload);
        if let Some(name) = name {
            event = event.named(name.as_str()).map_err(|_| DecodeError)?;
        }
        if let Some(key) = key {
            event = event.keyed(key.as_str()).map_err(|_| DecodeError)?;
        }
        if let Some(key) = idempotency_key {
            event = event
                .with_idempotency_key(key.as_str())
                .map_err(|_| DecodeError)?;
        }
        Ok(Self::Event(event))
    }
}

/// The bytes are no record: cut short, altered, or of a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no record of a log")]
pub struct DecodeError;

fn payload_kind(kind: u8) -> PayloadKind {
    match kind {
        JSON => PayloadKind::Json,
        BINARY => PayloadKind::Binary,
        _ => PayloadKind::Text,
    }
}

/// Names and keys have at least one byte and at most 200, so that 0 stands for none.
fn put_short(out: &mut BytesMut, text: Option<&str>) {
    let text = text.unwrap_or_default();
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

fn take_short(bytes: &mut Bytes) -> Result<Option<String>, DecodeError> {
    let (len, rest) = bytes.split_first().ok_or(DecodeError)?;
    let len = usize::from(*len);
    let text = rest.get(..len).ok_or(DecodeError)?;
    let text = std::str::from_utf8(text)
        .map_err(|_| DecodeError)?
        .to_owned();
    *bytes = bytes.slice(1 + len..);
    Ok((len > 0).then_some(text))
}

const VERSION: u8 = 1;
const TEXT: u8 = 0;
const JSON: u8 = 1;
const BINARY: u8 = 2;
const COMPLETE: u8 = 3;
const FAILED: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bodies_read_back(text: String, bytes: Vec<u8>, named: bool, keyed: bool) {
            for payload in [Payload::text(text.clone()), Payload::binary(bytes)] {
                let mut event = Event::new(payload);
                if named {
                    event = event.named("tick").unwrap();
                }
                if keyed {
                    event = event.keyed("ACME").unwrap().with_idempotency_key("k-1").unwrap();
                }
                let body = Body::Event(event);
                prop_assert_eq!(Body::decode(body.encode()), Ok(body));
            }
            let end = Body::Completion(Outcome::Failed(text.into()));
            prop_assert_eq!(Body::decode(end.encode()), Ok(end));
        }

        #[test]
        fn any_bytes_are_a_body_or_an_error(bytes: Vec<u8>) {
            let _ = Body::decode(bytes.into());
        }

        #[test]
        fn a_cut_is_an_error_or_a_shorter_payload(cut in 0usize..12) {
            let event = Event::text("x").named("tick").unwrap().keyed("ACME").unwrap();
            let bytes = Body::Event(event).encode();
            let _ = Body::decode(bytes.slice(..cut.min(bytes.len())));
        }
    }

    #[test]
    fn json_reads_back() {
        let payload = Payload::from_log(PayloadKind::Json, Bytes::from_static(b"{\"a\":1}"));
        let body = Body::Event(Event::new(payload.unwrap()));
        assert_eq!(Body::decode(body.encode()), Ok(body));
    }
}
