//! The body, pulled as a server does, and the parser keep the delivery contract together, in both
//! formats.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eventcast_core::{PayloadKind, Session, Sleep, Timer};
use eventcast_sse::{ParsedEvent, Parser, SseBody, SseConfig, SseFormat};
use eventcast_testkit::transport::{
    Capabilities, Capability, Decoder, Harness, Seen, SeenEvent, ServerEnd, Serving, pull,
};
use http_body::Body;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct Sse(SseFormat);

impl Harness for Sse {
    fn serve(&self, session: Session, io: ServerEnd) -> Serving {
        let config = SseConfig::new().with_format(self.0);
        let mut body = SseBody::new(session, config, Arc::new(TokioTimer));
        Box::pin(pull(io, move |cx| {
            let frame = Pin::new(&mut body).poll_frame(cx);
            frame.map(|frame| Some(frame?.unwrap().into_data().expect("no trailers")))
        }))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Client {
            parser: Parser::new(),
            format: self.0,
            in_line: false,
        })
    }

    fn heartbeat(&self) -> Duration {
        SseConfig::new().heartbeat()
    }

    fn capabilities(&self) -> Capabilities {
        match self.0 {
            SseFormat::Json => Capabilities::all(),
            _ => Capabilities::all()
                .without(Capability::Channels)
                .without(Capability::Kinds)
                .without(Capability::LineEnds),
        }
    }
}

struct Client {
    parser: Parser,
    format: SseFormat,
    /// The last byte was not a line's end.
    in_line: bool,
}

impl Decoder for Client {
    fn decode(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), String> {
        let mut blocks = Vec::new();
        self.parser
            .push(bytes, |block| blocks.push(block))
            .map_err(|error| error.to_string())?;
        for block in blocks {
            seen.push(understand(block, self.format)?);
        }
        for byte in bytes {
            // A comment, which the parser does not hand out.
            if !self.in_line && *byte == b':' {
                seen.push(Seen::Heartbeat);
            }
            self.in_line = *byte != b'\n';
        }
        Ok(())
    }
}

fn understand(block: ParsedEvent, format: SseFormat) -> Result<Seen, String> {
    let id = (!block.last_event_id.is_empty()).then(|| block.last_event_id.clone());
    let Some(control) = block.event_type().strip_prefix("eventcast.") else {
        return event(block, id, format).map(Seen::Event);
    };
    let data = Object::parse(&block.data)?;
    Ok(match control {
        "open" => Seen::Open {
            id,
            channels: data.get("channels"),
        },
        "completed" => Seen::Completed {
            channel: data.get("channel"),
            failure: data.get("reason"),
            id,
        },
        "gap" => Seen::Gap {
            channel: data.get("channel"),
            reason: data.get("reason").ok_or("a gap without a reason")?,
            missed: data.get("missed"),
            id,
        },
        "position" => Seen::Position {
            id: id.ok_or("a position without an id")?,
        },
        "closed" | "draining" => Seen::End {
            reason: data.get("reason").ok_or("an end without a reason")?,
        },
        other => return Err(format!("a block named {other}")),
    })
}

fn event(block: ParsedEvent, id: Option<String>, format: SseFormat) -> Result<SeenEvent, String> {
    let name = block.name.clone();
    if format == SseFormat::Plain {
        let payload = block.decode().map_err(|error| error.to_string())?;
        return Ok(SeenEvent {
            id,
            name,
            payload: payload.into(),
            ..SeenEvent::default()
        });
    }
    let data = Object::parse(&block.data)?;
    if data.get("id") != id || data.get("event") != name {
        return Err(format!(
            "the envelope contradicts its block: {}",
            block.data
        ));
    }
    let raw = data.0.get("data").ok_or("no data")?.get();
    let text = data.get::<String>("data");
    let (kind, payload) = match (data.get::<String>("encoding").as_deref(), text) {
        (Some("base64"), Some(text)) => (PayloadKind::Binary, STANDARD.decode(text).unwrap()),
        (None, Some(text)) => (PayloadKind::Text, text.into_bytes()),
        _ => (PayloadKind::Json, raw.as_bytes().to_vec()),
    };
    Ok(SeenEvent {
        id,
        channel: data.get("channel"),
        name,
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

mod json {
    use super::{Sse, SseFormat};

    eventcast_testkit::transport_conformance!(Sse(SseFormat::Json));
}

mod plain {
    use super::{Sse, SseFormat};

    eventcast_testkit::transport_conformance!(Sse(SseFormat::Plain));
}
