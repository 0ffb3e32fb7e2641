//! What clients send.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eventcast_core::{
    ChannelName, ChannelSelector, Event, EventName, ParseOptionError, Payload, SlowPolicy, Start,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::refusal::{ErrorCode, Refusal};

/// A client's request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) reference: Option<RequestRef>,
    pub(crate) action: Action,
}

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Ping,
    Publish {
        channel: ChannelName,
        event: Event,
    },
    Refresh {
        token: String,
    },
    Request {
        name: String,
        payload: Payload,
    },
    Subscribe(Subscribe),
    Unsubscribe {
        channels: Vec<ChannelSelector>,
    },
    Update {
        channel: ChannelName,
        state: Option<Payload>,
    },
}

/// Channels to add to the session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Subscribe {
    pub(crate) channels: Vec<ChannelSelector>,
    pub(crate) start: Start,
    pub(crate) slow: SlowPolicy,
    /// Whether it enters them, and is told who else does, if it says so.
    pub(crate) presence: Option<bool>,
    pub(crate) state: Option<Payload>,
}

/// A request that is refused as it stands, with the reference to answer it by if that much could
/// be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) reference: Option<RequestRef>,
    pub(crate) refusal: Refusal,
}

/// What a client tells its requests apart by, as the JSON text that it sent: a string of at most
/// [`RequestRef::MAX_TEXT`] bytes, or an integer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestRef(Box<str>);

impl RequestRef {
    pub(crate) const MAX_TEXT: usize = 64;

    pub(crate) fn as_json(&self) -> &str {
        &self.0
    }

    fn parse(json: &str) -> Option<Self> {
        let fits = match serde_json::from_str::<String>(json) {
            Ok(text) => text.len() <= Self::MAX_TEXT,
            Err(_) => serde_json::from_str::<i64>(json).is_ok(),
        };
        fits.then(|| Self(json.into()))
    }
}

/// Reads a request.
pub(crate) fn decode(text: &str) -> Result<Request, Rejected> {
    let unreadable = |message| Rejected {
        reference: None,
        refusal: Refusal::bad_request(message),
    };
    // The derived reader would take an array for an object as well.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(unreadable("a request is a JSON object".into()));
    }
    // The error's own text may repeat what was sent, however long.
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        unreadable(format!("not valid at line {line} column {column}"))
    })?;
    let reference = match fields.reference {
        None => None,
        Some(json) => Some(RequestRef::parse(json.get()).ok_or_else(|| {
            unreadable("`ref` is a string of at most 64 bytes or an integer".into())
        })?),
    };
    match fields.action() {
        Ok(action) => Ok(Request { reference, action }),
        Err(refusal) => Err(Rejected { reference, refusal }),
    }
}

/// The fields of all requests, each to be read on its own, so that a wrong one does not hide the
/// reference.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    channels: Option<&'a RawValue>,
    #[serde(borrow)]
    start: Option<&'a RawValue>,
    #[serde(borrow)]
    slow: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    encoding: Option<&'a RawValue>,
    #[serde(borrow)]
    presence: Option<&'a RawValue>,
    #[serde(borrow)]
    state: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    data: Option<&'a RawValue>,
}

/// `null` is a payload.
fn even_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl Fields<'_> {
    fn action(&self) -> Result<Action, Refusal> {
        match text("type", self.kind)?.as_deref() {
            Some("ping") => Ok(Action::Ping),
            Some("publish") => self.publish(),
            Some("refresh") => Ok(Action::Refresh {
                token: text("token", self.token)?
                    .ok_or_else(|| Refusal::bad_request("`token` is missing"))?,
            }),
            Some("request") => self.request(),
            Some("subscribe") => Ok(Action::Subscribe(Subscribe {
                channels: self.channels()?,
                start: option("start", self.start)?,
                slow: option("slow", self.slow)?,
                presence: self.presence()?,
                state: self.state()?,
            })),
            Some("unsubscribe") => Ok(Action::Unsubscribe {
                channels: self.channels()?,
            }),
            Some("update") => Ok(Action::Update {
                channel: self.channel()?,
                state: self.state()?,
            }),
            Some(_) => Err(Refusal::bad_request("unknown `type`")),
            None => Err(Refusal::bad_request("`type` is missing")),
        }
    }

    fn channels(&self) -> Result<Vec<ChannelSelector>, Refusal> {
        let names: Vec<String> = self
            .channels
            .and_then(|json| serde_json::from_str(json.get()).ok())
            .filter(|names: &Vec<String>| !names.is_empty())
            .ok_or_else(|| Refusal::bad_request("`channels` is an array of one or more strings"))?;
        if names.len() > MAX_REQUEST_CHANNELS {
            return Err(Refusal::new(
                ErrorCode::TooManyChannels,
                format!("a request may name {MAX_REQUEST_CHANNELS} channels"),
            ));
        }
        let names = names.iter().map(|name| name.parse());
        names
            .collect::<Result<_, _>>()
            .map_err(Refusal::bad_channel)
    }

    fn channel(&self) -> Result<ChannelName, Refusal> {
        let channel = text("channel", self.channel)?
            .ok_or_else(|| Refusal::bad_request("`channel` is missing"))?;
        ChannelName::new(&channel).map_err(Refusal::bad_channel)
    }

    fn presence(&self) -> Result<Option<bool>, Refusal> {
        let given = self.presence.map(|json| serde_json::from_str(json.get()));
        given
            .transpose()
            .map_err(|_| Refusal::bad_request("`presence` is true or false"))
    }

    /// A string is a text; `null` is none, as if it were absent.
    fn state(&self) -> Result<Option<Payload>, Refusal> {
        let Some(json) = self.state else {
            return Ok(None);
        };
        if json.get().starts_with('"') {
            return string("state", json).map(|text| Some(Payload::text(text)));
        }
        Payload::json_text(json.get())
            .map(Some)
            .map_err(|error| Refusal::bad_request(error.to_string()))
    }

    fn publish(&self) -> Result<Action, Refusal> {
        let channel = self.channel()?;
        let mut event = Event::new(self.payload()?);
        if let Some(name) = text("event", self.event)? {
            let name = EventName::new(&name).map_err(Refusal::bad_event)?;
            event = event.named(name).map_err(Refusal::bad_event)?;
        }
        Ok(Action::Publish { channel, event })
    }

    fn request(&self) -> Result<Action, Refusal> {
        let name =
            text("name", self.name)?.ok_or_else(|| Refusal::bad_request("`name` is missing"))?;
        // The same rules, so that names of the hub's own stay free.
        EventName::new(&name).map_err(|error| Refusal::bad_request(format!("`name`: {error}")))?;
        Ok(Action::Request {
            name,
            payload: self.payload()?,
        })
    }

    fn payload(&self) -> Result<Payload, Refusal> {
        let data = self
            .data
            .ok_or_else(|| Refusal::bad_request("`data` is missing"))?;
        let is_string = data.get().starts_with('"');
        match text("encoding", self.encoding)?.as_deref() {
            None if is_string => Ok(Payload::text(string("data", data)?)),
            None | Some("json") => Payload::json_text(data.get())
                .map_err(|error| Refusal::bad_request(error.to_string())),
            Some("base64") => STANDARD
                .decode(string("data", data)?)
                .map(Payload::binary)
                .map_err(|error| Refusal::bad_request(format!("`data` is not base64: {error}"))),
            Some(_) => Err(Refusal::bad_request("unknown `encoding`")),
        }
    }
}

fn option<T>(key: &str, json: Option<&RawValue>) -> Result<T, Refusal>
where
    T: FromStr<Err = ParseOptionError> + Default,
{
    match text(key, json)? {
        None => Ok(T::default()),
        Some(text) => text
            .parse()
            .map_err(|error| Refusal::bad_request(format!("`{key}`: {error}"))),
    }
}

fn text(key: &str, json: Option<&RawValue>) -> Result<Option<String>, Refusal> {
    json.map(|json| string(key, json)).transpose()
}

fn string(key: &str, json: &RawValue) -> Result<String, Refusal> {
    serde_json::from_str(json.get())
        .map_err(|_| Refusal::bad_request(format!("`{key}` is not a string")))
}

/// Each channel of a request is authorized on its own before the session's limit is known.
pub(super) const MAX_REQUEST_CHANNELS: usize = 256;
