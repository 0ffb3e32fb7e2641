//! What a client makes of the JSON objects.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eventcast_core::PayloadKind;
use eventcast_testkit::transport::{Seen, SeenEvent};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// A JSON object whose values keep their text.
#[derive(Deserialize)]
pub(crate) struct Object(HashMap<String, Box<RawValue>>);

impl Object {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }

    pub(crate) fn understand(&self) -> Result<Seen, String> {
        let id = self.get("id");
        let channel = self.get("channel");
        Ok(match self.get::<String>("type").as_deref() {
            None => Seen::Event(self.event()?),
            Some("open") => Seen::Open {
                id,
                channels: self.get("channels"),
            },
            Some("completed") => Seen::Completed {
                channel,
                failure: self.get("reason"),
                id,
            },
            Some("gap") => Seen::Gap {
                channel,
                reason: self.get("reason").ok_or("a gap without a reason")?,
                missed: self.get("missed"),
                id,
            },
            Some("position") => Seen::Position {
                id: id.ok_or("a position without an id")?,
            },
            Some("draining") => Seen::End {
                reason: "draining".to_owned(),
            },
            Some("end") => Seen::End {
                reason: self.get("reason").ok_or("an end without a reason")?,
            },
            Some(other) => return Err(format!("an object of type {other}")),
        })
    }

    fn event(&self) -> Result<SeenEvent, String> {
        let raw = self.0.get("data").ok_or("no data")?.get();
        let text = self.get::<String>("data");
        let (kind, payload) = match (self.get::<String>("encoding").as_deref(), text) {
            (Some("base64"), Some(text)) => (PayloadKind::Binary, STANDARD.decode(text).unwrap()),
            (None, Some(text)) => (PayloadKind::Text, text.into_bytes()),
            _ => (PayloadKind::Json, raw.as_bytes().to_vec()),
        };
        Ok(SeenEvent {
            id: self.get("id"),
            channel: self.get("channel"),
            name: self.get("event"),
            kind: Some(kind),
            payload,
        })
    }
}
