//! What clients send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eventcast_core::{ChannelName, Event, EventName, Payload};
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
    Publish { channel: ChannelName, event: Event },
    Subscribe { channels: Vec<ChannelName> },
    Unsubscribe { channels: Vec<ChannelName> },
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
    channels: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    encoding: Option<&'a RawValue>,
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
            Some("subscribe") => Ok(Action::Subscribe {
                channels: self.channels()?,
            }),
            Some("unsubscribe") => Ok(Action::Unsubscribe {
                channels: self.channels()?,
            }),
            Some(_) => Err(Refusal::bad_request("unknown `type`")),
            None => Err(Refusal::bad_request("`type` is missing")),
        }
    }

    fn channels(&self) -> Result<Vec<ChannelName>, Refusal> {
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
        let names = names.iter().map(|name| ChannelName::new(name));
        names
            .collect::<Result<_, _>>()
            .map_err(Refusal::bad_channel)
    }

    fn publish(&self) -> Result<Action, Refusal> {
        let channel = text("channel", self.channel)?
            .ok_or_else(|| Refusal::bad_request("`channel` is missing"))?;
        let channel = ChannelName::new(&channel).map_err(Refusal::bad_channel)?;
        let mut event = Event::new(self.payload()?);
        if let Some(name) = text("event", self.event)? {
            let name = EventName::new(&name).map_err(Refusal::bad_event)?;
            event = event.named(name).map_err(Refusal::bad_event)?;
        }
        Ok(Action::Publish { channel, event })
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

fn text(key: &str, json: Option<&RawValue>) -> Result<Option<String>, Refusal> {
    json.map(|json| string(key, json)).transpose()
}

fn string(key: &str, json: &RawValue) -> Result<String, Refusal> {
    serde_json::from_str(json.get())
        .map_err(|_| Refusal::bad_request(format!("`{key}` is not a string")))
}

/// Each channel of a request is authorized on its own before the session's limit is known.
const MAX_REQUEST_CHANNELS: usize = 256;

#[cfg(test)]
mod tests {
    use eventcast_core::PayloadKind;
    use proptest::prelude::*;

    use super::*;

    fn action(text: &str) -> Action {
        decode(text).unwrap().action
    }

    fn refused(text: &str) -> (Option<String>, ErrorCode) {
        let rejected = decode(text).unwrap_err();
        let reference = rejected.reference.map(|r| r.as_json().to_owned());
        (reference, rejected.refusal.code())
    }

    fn published(fields: &str) -> Payload {
        let text = format!(r#"{{"type":"publish","channel":"a",{fields}}}"#);
        match action(&text) {
            Action::Publish { event, .. } => event.payload().clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn references_are_kept_as_sent() {
        for json in ["1", "-7", r#""a""#, r#""\u00e9\n""#, "9223372036854775807"] {
            let request = decode(&format!(r#"{{"ref":{json},"type":"ping"}}"#)).unwrap();
            assert_eq!(request.reference.unwrap().as_json(), json);
        }
        let longest = "x".repeat(64);
        assert!(decode(&format!(r#"{{"type":"ping","ref":"{longest}"}}"#)).is_ok());
        for json in [
            format!(r#""{longest}x""#),
            "1.5".into(),
            "1e3".into(),
            "true".into(),
            "[1]".into(),
            "18446744073709551616".into(),
            r#""\ud800""#.into(),
        ] {
            let text = format!(r#"{{"type":"ping","ref":{json}}}"#);
            assert_eq!(refused(&text), (None, ErrorCode::BadRequest), "{json}");
        }
        assert_eq!(
            decode(r#"{"type":"ping","ref":null}"#).unwrap().reference,
            None
        );
    }

    #[test]
    fn payloads_are_of_the_kind_that_was_sent() {
        assert_eq!(published(r#""data":"a\nb""#), Payload::text("a\nb"));
        assert_eq!(
            published(r#""data":"AAEC","encoding":"base64""#),
            Payload::binary(vec![0, 1, 2])
        );
        for (fields, json) in [
            (r#""data":"s","encoding":"json""#, r#""s""#),
            (r#""data": {"a": 1.0e3 } "#, r#"{"a": 1.0e3 }"#),
            (r#""data":null"#, "null"),
            (
                r#""data":12345678901234567890123"#,
                "12345678901234567890123",
            ),
            (r#""encoding":"json","data":[]"#, "[]"),
        ] {
            let payload = published(fields);
            assert_eq!(
                (payload.kind(), payload.as_str()),
                (PayloadKind::Json, Some(json))
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_the_reference() {
        let seven = Some("7".to_owned());
        for (fields, code) in [
            (r#""type":"dance""#, ErrorCode::BadRequest),
            (r#""type":7"#, ErrorCode::BadRequest),
            (r#""channels":["a"]"#, ErrorCode::BadRequest),
            (r#""type":"subscribe""#, ErrorCode::BadRequest),
            (r#""type":"subscribe","channels":[]"#, ErrorCode::BadRequest),
            (
                r#""type":"subscribe","channels":"a""#,
                ErrorCode::BadRequest,
            ),
            (
                r#""type":"subscribe","channels":["a",1]"#,
                ErrorCode::BadRequest,
            ),
            (
                r#""type":"subscribe","channels":["a",""]"#,
                ErrorCode::BadChannel,
            ),
            (
                r#""type":"unsubscribe","channels":["a*"]"#,
                ErrorCode::BadChannel,
            ),
            (r#""type":"publish","data":1"#, ErrorCode::BadRequest),
            (r#""type":"publish","channel":"a""#, ErrorCode::BadRequest),
            (
                r#""type":"publish","channel":"\n","data":1"#,
                ErrorCode::BadChannel,
            ),
            (
                r#""type":"publish","channel":"a","event":"eventcast.gap","data":1"#,
                ErrorCode::BadEvent,
            ),
            (
                r#""type":"publish","channel":"a","encoding":"base64","data":"AAE""#,
                ErrorCode::BadRequest,
            ),
            (
                r#""type":"publish","channel":"a","encoding":"base64","data":1"#,
                ErrorCode::BadRequest,
            ),
            (
                r#""type":"publish","channel":"a","encoding":"gzip","data":"""#,
                ErrorCode::BadRequest,
            ),
        ] {
            assert_eq!(
                refused(&format!(r#"{{"ref":7,{fields}}}"#)),
                (seven.clone(), code),
                "{fields}"
            );
        }
    }

    #[test]
    fn only_an_object_is_a_request() {
        for text in [
            "",
            " ",
            "null",
            "{",
            "{}}",
            "1",
            r#"["ping"]"#,
            r#"[null]"#,
            r#"{"type":}"#,
            r#"{"type":"ping","type":"ping"}"#,
        ] {
            assert_eq!(refused(text), (None, ErrorCode::BadRequest), "{text}");
        }
    }

    #[test]
    fn unknown_fields_are_for_later_versions() {
        assert_eq!(action(r#"{"type":"ping","since":[{}]}"#), Action::Ping);
    }

    #[test]
    fn the_number_of_channels_is_bounded() {
        let names = vec![r#""a""#; MAX_REQUEST_CHANNELS + 1].join(",");
        let text = format!(r#"{{"type":"subscribe","channels":[{names}]}}"#);
        assert_eq!(refused(&text), (None, ErrorCode::TooManyChannels));
    }

    #[test]
    fn errors_do_not_repeat_what_was_sent() {
        let long = "x".repeat(10_000);
        let rejected = decode(&format!(r#"{{"type":"ping","{long}"}}"#)).unwrap_err();
        assert!(rejected.refusal.message().len() < 200);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,80}") {
            let _ = decode(&text);
        }

        #[test]
        fn nothing_like_a_request_panics(
            parts in proptest::collection::vec(proptest::sample::select(&[
                "{", "}", "[", "]", ":", ",", "\"", "\\", "null", "1e9", "-0", "\\ud800", "\u{0}",
                "\"type\"", "\"ping\"", "\"publish\"", "\"subscribe\"", "\"channels\"",
                "\"channel\"", "\"data\"", "\"encoding\"", "\"base64\"", "\"json\"", "\"ref\"", "\"a\"",
            ][..]), 0..24),
        ) {
            let _ = decode(&parts.concat());
        }

        #[test]
        fn text_payloads_come_back(data: String, channel in "[a-z]{1,9}") {
            let data_json = serde_json::to_string(&data).unwrap();
            let text = format!(r#"{{"type":"publish","channel":"{channel}","data":{data_json}}}"#);
            let Action::Publish { event, channel: name } = action(&text) else { panic!() };
            prop_assert_eq!(event.payload().as_str(), Some(&*data));
            prop_assert_eq!(name.as_str(), channel);
        }
    }
}
