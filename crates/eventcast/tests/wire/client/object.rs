//! What a client makes of the JSON objects.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eventcast::PayloadKind;
use eventcast_testkit::transport::{Seen, SeenEvent};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Every member that some object has.
#[derive(Deserialize)]
pub(super) struct Object<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) id: Option<String>,
    pub(super) event: Option<String>,
    channel: Option<String>,
    channels: Option<Vec<String>>,
    encoding: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    reason: Option<String>,
    missed: Option<u64>,
}

/// `null` is data too.
fn present<'de, D>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error>
where
    D: Deserializer<'de>,
{
    Deserialize::deserialize(deserializer).map(Some)
}

impl<'a> Object<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, String> {
        let parsed = serde_json::from_slice(text);
        parsed.map_err(|error| format!("{}: {error}", String::from_utf8_lossy(text)))
    }

    pub(super) fn understand(self) -> Result<Seen, String> {
        let reason = self.reason.clone();
        Ok(match self.kind.as_deref() {
            None => Seen::Event(self.understand_event()?),
            Some("open") => Seen::Open {
                id: self.id,
                channels: self.channels,
            },
            Some("completed") => Seen::Completed {
                channel: self.channel,
                failure: reason,
                id: self.id,
            },
            Some("gap") => Seen::Gap {
                channel: self.channel,
                reason: reason.ok_or("a gap without a reason")?,
                missed: self.missed,
                id: self.id,
            },
            Some("position") => Seen::Position {
                id: self.id.ok_or("a position without an id")?,
            },
            Some("draining") => Seen::End {
                reason: "draining".to_owned(),
            },
            Some("end") => Seen::End {
                reason: reason.ok_or("an end without a reason")?,
            },
            // A change is checked where it was asked for.
            Some("subscribed" | "unsubscribed") => Seen::Heartbeat,
            // As over SSE, where they are events of a name of ours.
            Some(told @ ("stalled" | "recovered")) => Seen::Event(SeenEvent {
                name: Some(format!("eventcast.{told}")),
                ..SeenEvent::default()
            }),
            Some(other) => return Err(format!("an object of type {other}")),
        })
    }

    fn understand_event(self) -> Result<SeenEvent, String> {
        let raw = self.data.ok_or("an event without data")?.get();
        let text = serde_json::from_str::<String>(raw);
        let (kind, payload) = match (self.encoding.as_deref(), text) {
            (Some("base64"), Ok(text)) => {
                let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
                (PayloadKind::Binary, bytes)
            }
            (None, Ok(text)) => (PayloadKind::Text, text.into_bytes()),
            _ => (PayloadKind::Json, raw.as_bytes().to_vec()),
        };
        Ok(SeenEvent {
            id: self.id,
            channel: self.channel,
            name: self.event,
            kind: Some(kind),
            payload,
        })
    }
}
