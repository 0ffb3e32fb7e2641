//! What a client makes of a response's body, by transport.

use eventcast::sse::{ParsedEvent, Parser};
use eventcast_testkit::transport::Seen;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Transport;
use super::object::Object;
use super::websocket::Frames;

/// A client's decoder for one connection.
pub(crate) enum Decoder {
    Poll {
        document: Vec<u8>,
        opened: bool,
        /// What it asks with next; nothing after the end.
        again: Option<Option<String>>,
    },
    Sse {
        parser: Box<Parser>,
        /// The last byte was not a line's end.
        in_line: bool,
    },
    Stream(Vec<u8>),
    WebSocket(Frames),
}

impl Decoder {
    pub(crate) fn new(transport: Transport) -> Self {
        match transport {
            Transport::Poll => Self::Poll {
                document: Vec::new(),
                opened: false,
                again: None,
            },
            Transport::Sse => Self::Sse {
                parser: Box::default(),
                in_line: false,
            },
            Transport::Stream => Self::Stream(Vec::new()),
            Transport::WebSocket => Self::WebSocket(Frames::default()),
        }
    }

    pub(crate) fn decode(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), String> {
        match self {
            Self::Poll { document, .. } => document.extend_from_slice(bytes),
            Self::Sse { parser, in_line } => {
                let mut blocks = Vec::new();
                let parsed = parser.push(bytes, |block| blocks.push(block));
                parsed.map_err(|error| error.to_string())?;
                for block in blocks {
                    seen.push(understand(&block)?);
                }
                for byte in bytes {
                    // A comment, which the parser does not hand out.
                    if !*in_line && *byte == b':' {
                        seen.push(Seen::Heartbeat);
                    }
                    *in_line = *byte != b'\n';
                }
            }
            Self::Stream(unread) => {
                unread.extend_from_slice(bytes);
                let mut begin = 0;
                while let Some(end) = unread[begin..].iter().position(|byte| *byte == b'\n') {
                    let line = &unread[begin..begin + end];
                    seen.push(match line {
                        b"" => Seen::Heartbeat,
                        line => Object::parse(line)?.understand()?,
                    });
                    begin += end + 1;
                }
                unread.drain(..begin);
            }
            Self::WebSocket(frames) => frames.decode(bytes, seen)?,
        }
        Ok(())
    }

    /// The body is whole.
    pub(crate) fn ended(&mut self, seen: &mut Vec<Seen>) -> Result<(), String> {
        if let Self::Poll {
            document,
            opened,
            again,
        } = self
        {
            *again = read_document(&std::mem::take(document), *opened, seen)?;
            *opened = true;
        }
        Ok(())
    }

    /// What is to be sent because of what came.
    pub(crate) fn reply(&mut self) -> Vec<u8> {
        match self {
            Self::WebSocket(frames) => std::mem::take(&mut frames.reply),
            _ => Vec::new(),
        }
    }

    /// Whether the client has nothing more to say.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::WebSocket(frames) if frames.closed)
    }

    /// Whether the client asks again, and with which newer id.
    pub(crate) fn again(&mut self) -> Option<Option<String>> {
        match self {
            Self::Poll { again, .. } => again.take(),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    position: Option<String>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    end: Option<String>,
}

/// Tells what the client asks with next.
fn read_document(
    document: &[u8],
    opened: bool,
    seen: &mut Vec<Seen>,
) -> Result<Option<Option<String>>, String> {
    let text = String::from_utf8_lossy(document);
    let document: Document<'_> =
        serde_json::from_str(&text).map_err(|error| format!("{text}: {error}"))?;
    let before = seen.len();
    for object in document.events {
        seen.push(Object::parse(object.get().as_bytes())?.understand()?);
    }
    let id = document.position;
    match (&id, document.end) {
        (_, Some(reason)) => {
            seen.push(Seen::End { reason });
            return Ok(None);
        }
        // The first answer of a client without backlog is its opening.
        (Some(id), None) if !opened && seen.len() == before => seen.push(Seen::Open {
            id: Some(id.clone()),
            channels: None,
        }),
        (Some(id), None) => seen.push(Seen::Position { id: id.clone() }),
        (None, None) => return Err("an answer without a position or an end".to_owned()),
    }
    Ok(Some(id))
}

/// A block of an event stream.
fn understand(block: &ParsedEvent) -> Result<Seen, String> {
    let id = (!block.last_event_id.is_empty()).then(|| block.last_event_id.clone());
    let mut object = Object::parse(block.data.as_bytes())?;
    let Some(control) = block.event_type().strip_prefix("eventcast.") else {
        if object.id != id || object.event != block.name {
            return Err(format!(
                "the envelope contradicts its block: {}",
                block.data
            ));
        }
        return object.understand();
    };
    object.id = id;
    object.kind = Some(match control {
        "closed" => "end".into(),
        other => other.to_owned().into(),
    });
    object.understand()
}
