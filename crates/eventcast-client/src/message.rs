//! From the protocol's JSON objects to what they mean.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eventcast_core::{ChannelName, ChannelSelector, EventName, Payload, Position};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::delivery::{Completed, Delivery, Ephemeral, Event, Gap, Loss};
use crate::error::{BoxError, Interruption};

/// One object from the server.
#[derive(Debug)]
pub(crate) struct Message {
    /// The id to take over.
    pub(crate) id: Option<Position>,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Open(Opening),
    Deliver(Delivery),
    /// Nothing but an id, or what this version does not know.
    Position,
    Draining {
        retry: Option<Duration>,
    },
    End {
        reason: String,
    },
    /// The answer to a request of this number.
    Answer(u64, Answer),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Opening {
    #[serde(default)]
    channels: Vec<String>,
    heartbeat: Option<u64>,
    retry: Option<u64>,
}

impl Opening {
    pub(crate) fn channels(&self) -> Result<Vec<ChannelSelector>, Interruption> {
        self.channels.iter().map(|name| name_of(name)).collect()
    }

    pub(crate) fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat.map(Duration::from_millis)
    }

    pub(crate) fn retry(&self) -> Option<Duration> {
        self.retry.map(Duration::from_millis)
    }
}

/// What was answered to a change of the session's channels.
#[derive(Debug)]
pub(crate) enum Answer {
    Done(Box<RawValue>),
    Refused { code: String, message: String },
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<std::borrow::Cow<'a, str>>,
    id: Option<String>,
    #[serde(rename = "ref", borrow)]
    reference: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    channel: String,
    event: Option<String>,
    encoding: Option<String>,
    #[serde(borrow, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// `null` is a payload, not an absent one.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[derive(Deserialize)]
struct GapBody {
    channel: String,
    reason: String,
    missed: Option<u64>,
}

#[derive(Deserialize)]
struct CompletedBody {
    channel: String,
    outcome: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct ConflatedBody {
    channel: String,
    count: u64,
}

#[derive(Deserialize)]
struct EndBody {
    reason: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    message: String,
}

impl Message {
    /// Reads an object of a WebSocket, a stream or a poll.
    pub(crate) fn read(text: &str) -> Result<Self, Interruption> {
        let head: Head<'_> = parse(text)?;
        let id = head.id.as_deref().map(position).transpose()?;
        let reference = head.reference.and_then(|raw| raw.get().parse().ok());
        match head.kind.as_deref() {
            None => Self::event(text, id),
            Some(kind) => Self::of_kind(kind, text, id, reference),
        }
    }

    /// Reads the data of an event stream's control event.
    pub(crate) fn control(
        name: &str,
        data: &str,
        id: Option<Position>,
        retry: Option<Duration>,
    ) -> Result<Self, Interruption> {
        let mut message = Self::of_kind(name, data, id, None)?;
        match &mut message.kind {
            Kind::Open(open) => open.retry = retry.map(|retry| retry.as_millis() as u64),
            Kind::Draining { retry: told } => *told = retry,
            _ => {}
        }
        Ok(message)
    }

    /// That the log is back, where a server does not say it.
    pub(crate) fn recovery() -> Self {
        Self {
            id: None,
            kind: Kind::Deliver(Delivery::Recovered),
        }
    }

    /// Whether it says that the log is away.
    pub(crate) fn is_stall(&self) -> bool {
        matches!(self.kind, Kind::Deliver(Delivery::Stalled))
    }

    fn event(text: &str, id: Option<Position>) -> Result<Self, Interruption> {
        let id = id.ok_or_else(|| garbled("an event without an id"))?;
        let (channel, name, payload) = envelope(text)?;
        Ok(Self {
            id: Some(id),
            kind: Kind::Deliver(Delivery::Event(Event {
                id,
                channel,
                name,
                payload,
            })),
        })
    }

    fn of_kind(
        kind: &str,
        text: &str,
        mut id: Option<Position>,
        reference: Option<u64>,
    ) -> Result<Self, Interruption> {
        let kind = match kind {
            "open" => Kind::Open(parse(text)?),
            // As an event stream names it.
            "ephemeral" | "presence" => {
                let (channel, name, payload) = envelope(text)?;
                Kind::Deliver(Delivery::Ephemeral(Ephemeral {
                    channel,
                    name,
                    payload,
                }))
            }
            "gap" => {
                let gap: GapBody = parse(text)?;
                Kind::Deliver(Delivery::Gap(Gap {
                    channel: name_of(&gap.channel)?,
                    reason: Loss::read(&gap.reason),
                    missed: gap.missed,
                }))
            }
            "completed" => {
                let end: CompletedBody = parse(text)?;
                let failed = end.outcome != "complete";
                Kind::Deliver(Delivery::Completed(Completed {
                    channel: channel(&end.channel)?,
                    failure: failed.then(|| end.reason.unwrap_or_default()),
                }))
            }
            "conflated" => {
                let conflated: ConflatedBody = parse(text)?;
                Kind::Deliver(Delivery::Conflated {
                    channel: channel(&conflated.channel)?,
                    count: conflated.count,
                })
            }
            "stalled" => Kind::Deliver(Delivery::Stalled),
            "recovered" => Kind::Deliver(Delivery::Recovered),
            "draining" => Kind::Draining {
                retry: parse::<Opening>(text)?.retry(),
            },
            "end" | "closed" => Kind::End {
                reason: shortened(parse::<EndBody>(text)?.reason),
            },
            "subscribed" | "unsubscribed" | "updated" | "refreshed" => match reference {
                Some(reference) => Kind::Answer(reference, Answer::Done(parse(text)?)),
                None => Kind::Position,
            },
            "error" => {
                let ErrorBody { code, message } = parse(text)?;
                match reference {
                    Some(reference) => Kind::Answer(reference, Answer::Refused { code, message }),
                    None => Kind::Position,
                }
            }
            // Events before it may still be on their way.
            "published" => {
                id = None;
                Kind::Position
            }
            _ => Kind::Position,
        };
        Ok(Self { id, kind })
    }
}

fn envelope(text: &str) -> Result<(ChannelName, Option<EventName>, Payload), Interruption> {
    let envelope: Envelope<'_> = parse(text)?;
    let raw = envelope.data.ok_or_else(|| garbled("no payload"))?.get();
    let text = |raw| parse::<String>(raw);
    let payload = match envelope.encoding.as_deref() {
        None if raw.starts_with('"') => Payload::text(text(raw)?),
        None | Some("json") => Payload::json_text(raw).map_err(garbled)?,
        Some("base64") => Payload::binary(STANDARD.decode(text(raw)?).map_err(garbled)?),
        Some(_) => return Err(garbled("an unknown encoding")),
    };
    let name = match envelope.event.as_deref() {
        Some(EventName::PRESENCE) => Some(EventName::presence()),
        Some(name) => Some(EventName::new(name).map_err(garbled)?),
        None => None,
    };
    Ok((channel(&envelope.channel)?, name, payload))
}

pub(crate) fn position(id: &str) -> Result<Position, Interruption> {
    id.parse().map_err(|_| garbled("not an id"))
}

fn channel(name: &str) -> Result<ChannelName, Interruption> {
    ChannelName::new(name).map_err(garbled)
}

fn name_of(name: &str) -> Result<ChannelSelector, Interruption> {
    ChannelSelector::try_from(name).map_err(garbled)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Interruption> {
    serde_json::from_str(text).map_err(garbled)
}

pub(crate) fn garbled(what: impl Into<BoxError>) -> Interruption {
    Interruption::Garbled(shortened(what.into().to_string()))
}

/// The server's words, of which errors may quote any number, at a bounded length.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    // What is quoted may hold anything; a terminal obeys some of it.
    text.replace(char::is_control, "\u{fffd}")
}

/// In bytes.
const MAX_TEXT: usize = 300;
