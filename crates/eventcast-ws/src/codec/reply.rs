//! Answers to requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use eventcast_core::{ChannelSelector, HistoryPage, Payload, PayloadKind, Position};

use super::json::{Object, message};
use super::request::RequestRef;
use crate::refusal::Refusal;

/// An answer to a request.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Payload),
    Error(Refusal),
    Pong,
    Published(Position),
    Refreshed,
    Subscribed(Channels),
    Unsubscribed(Channels),
    Updated,
}

/// What a session carries after a request.
#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) channels: Vec<ChannelSelector>,
    pub(crate) position: Option<Position>,
    /// What was retained of channels that joined with a start.
    pub(crate) history: Vec<(ChannelSelector, HistoryPage)>,
}

impl Reply {
    /// The answer's frame.
    pub(crate) fn encode(&self, reference: Option<&RequestRef>) -> Bytes {
        let mut out = Vec::with_capacity(96);
        message(&mut out, |object| {
            object.string("type", self.kind());
            if let Some(reference) = reference {
                object.raw("ref", reference.as_json().as_bytes());
            }
            self.fields(object);
        });
        out.into()
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Answer(_) => "reply",
            Self::Error(_) => "error",
            Self::Pong => "pong",
            Self::Published(_) => "published",
            Self::Refreshed => "refreshed",
            Self::Subscribed(_) => "subscribed",
            Self::Unsubscribed(_) => "unsubscribed",
            Self::Updated => "updated",
        }
    }

    fn fields(&self, object: &mut Object<'_>) {
        match self {
            Self::Answer(payload) => payload_fields(payload, object),
            Self::Error(refusal) => {
                object.string("code", refusal.code().as_str());
                object.string("message", refusal.message());
                if !refusal.channels().is_empty() {
                    object.channels("channels", refusal.channels());
                }
            }
            Self::Pong | Self::Refreshed | Self::Updated => {}
            Self::Published(position) => object.position("id", Some(*position)),
            Self::Subscribed(set) | Self::Unsubscribed(set) => {
                object.channels("channels", &set.channels);
                object.position("id", set.position);
                if !set.history.is_empty() {
                    object.history("history", &set.history);
                }
            }
        }
    }
}

/// As the envelope has them.
fn payload_fields(payload: &Payload, object: &mut Object<'_>) {
    match payload.kind() {
        PayloadKind::Binary => {
            object.string("encoding", "base64");
            object.string("data", &STANDARD.encode(payload.as_bytes()));
        }
        PayloadKind::Json => {
            if payload.as_bytes().trim_ascii_start().starts_with(b"\"") {
                object.string("encoding", "json");
            }
            object.raw("data", payload.as_bytes());
        }
        PayloadKind::Text => object.string("data", payload.as_str().unwrap_or_default()),
    }
}
