//! A connection, read by a client that knows only frames and JSON, keeps the delivery contract in
//! both modes.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eventcast_core::{PayloadKind, Session, Sleep, Timer};
use eventcast_testkit::transport::{
    Capabilities, Capability, Decoder, Harness, Seen, SeenEvent, ServerEnd, Serving,
};
use eventcast_ws::{Mode, SubscribeOnly, WsConfig, serve};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct WebSocket(Mode);

impl Harness for WebSocket {
    fn serve(&self, session: Session, io: ServerEnd) -> Serving {
        let config = WsConfig::new().with_mode(self.0);
        let handler = Arc::new(SubscribeOnly);
        let connection = serve(io, session, handler, Arc::new(TokioTimer), config);
        Box::pin(async move {
            connection.await;
        })
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Client {
            mode: self.0,
            ..Client::default()
        })
    }

    fn heartbeat(&self) -> Duration {
        WsConfig::new().heartbeat()
    }

    fn capabilities(&self) -> Capabilities {
        match self.0 {
            // Its client can subscribe to more.
            Mode::Json => Capabilities::all().without(Capability::Finite),
            _ => Capabilities::all()
                .without(Capability::Channels)
                .without(Capability::Completions)
                .without(Capability::Gaps)
                .without(Capability::Ids)
                .without(Capability::Kinds)
                .without(Capability::Names)
                .without(Capability::Opening),
        }
    }
}

#[derive(Default)]
struct Client {
    mode: Mode,
    unread: Vec<u8>,
    reply: Vec<u8>,
    draining: bool,
    closed: bool,
}

impl Decoder for Client {
    fn decode(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), String> {
        self.unread.extend_from_slice(bytes);
        while let Some((first, payload)) = take_frame(&mut self.unread) {
            if self.closed {
                return Err("a frame after the close frame".to_owned());
            }
            seen.extend(self.frame(first, payload)?);
        }
        Ok(())
    }

    fn reply(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.reply)
    }
}

impl Client {
    fn frame(&mut self, first: u8, payload: Vec<u8>) -> Result<Option<Seen>, String> {
        match (first, self.mode) {
            (TEXT, Mode::Json) => {
                let text = String::from_utf8(payload).map_err(|error| error.to_string())?;
                self.message(&text).map(Some)
            }
            (TEXT | BINARY, Mode::Plain) => Ok(Some(Seen::Event(SeenEvent {
                payload,
                ..SeenEvent::default()
            }))),
            (CLOSE, _) => {
                self.closed = true;
                self.answer(CLOSE, &payload);
                Ok(self.close(&payload))
            }
            (PING, _) => {
                self.answer(PONG, &payload);
                Ok(Some(Seen::Heartbeat))
            }
            _ => Err(format!("a frame that begins with {first:#x}")),
        }
    }

    /// An end that a message told already is not told again by the close frame.
    fn close(&self, payload: &[u8]) -> Option<Seen> {
        let (code, said) = payload.split_at(2);
        let reason = match u16::from_be_bytes([code[0], code[1]]) {
            1008 => std::str::from_utf8(said).ok()?,
            1000 => "completed",
            1013 => "slow",
            1001 => "closed",
            1012 if !self.draining => "draining",
            _ => return None,
        };
        Some(Seen::End {
            reason: reason.to_owned(),
        })
    }

    fn message(&mut self, text: &str) -> Result<Seen, String> {
        let message = Object::parse(text)?;
        let id = message.get("id");
        Ok(match message.get::<String>("type").as_deref() {
            None => Seen::Event(event(&message)?),
            Some("open") => Seen::Open {
                id,
                channels: message.get("channels"),
            },
            Some("completed") => Seen::Completed {
                channel: message.get("channel"),
                failure: message.get("reason"),
                id,
            },
            Some("gap") => Seen::Gap {
                channel: message.get("channel"),
                reason: message.get("reason").ok_or("a gap without a reason")?,
                missed: message.get("missed"),
                id,
            },
            Some("position") => Seen::Position {
                id: id.ok_or("a position without an id")?,
            },
            Some("draining") => {
                self.draining = true;
                Seen::End {
                    reason: "draining".to_owned(),
                }
            }
            Some(other) => return Err(format!("a message of the type {other}")),
        })
    }

    fn answer(&mut self, first: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("a short control frame");
        // Masked with zeros, which changes nothing.
        self.reply.extend([first, 0x80 | length, 0, 0, 0, 0]);
        self.reply.extend_from_slice(payload);
    }
}

fn event(message: &Object) -> Result<SeenEvent, String> {
    let raw = message.0.get("data").ok_or("an event without data")?.get();
    let text = message.get::<String>("data");
    let (kind, payload) = match (message.get::<String>("encoding").as_deref(), text) {
        (Some("base64"), Some(text)) => (PayloadKind::Binary, STANDARD.decode(text).unwrap()),
        (None, Some(text)) => (PayloadKind::Text, text.into_bytes()),
        _ => (PayloadKind::Json, raw.as_bytes().to_vec()),
    };
    Ok(SeenEvent {
        id: message.get("id"),
        channel: message.get("channel"),
        name: message.get("event"),
        kind: Some(kind),
        payload,
    })
}

/// A JSON object whose values keep their text.
struct Object(HashMap<String, Box<RawValue>>);

impl Object {
    fn parse(text: &str) -> Result<Self, String> {
        let object = serde_json::from_str(text);
        object.map(Self).map_err(|error| format!("{text}: {error}"))
    }

    fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }
}

/// A whole unmasked frame: its first byte and its payload.
fn take_frame(bytes: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (size, start) = match *bytes.get(1)? {
        126 => {
            let size = bytes.get(2..4)?.try_into().ok()?;
            (usize::from(u16::from_be_bytes(size)), 4)
        }
        127 => {
            let size = bytes.get(2..10)?.try_into().ok()?;
            (usize::try_from(u64::from_be_bytes(size)).ok()?, 10)
        }
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(start..start + size)?.to_vec();
    let first = bytes[0];
    bytes.drain(..start + size);
    Some((first, payload))
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

mod json {
    use super::{Mode, WebSocket};

    eventcast_testkit::transport_conformance!(WebSocket(Mode::Json));
}

mod plain {
    use super::{Mode, WebSocket};

    // Without ids and gaps nothing can be resumed or told.
    eventcast_testkit::transport_conformance!(WebSocket(Mode::Plain), skipped = 7);
}
