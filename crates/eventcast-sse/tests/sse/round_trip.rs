//! Whatever can be published comes back, through our parser and through an independent one.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Buf;
use eventcast_core::{
    Batch, BatchLimits, Delivery, Event, EventName, Format, Hub, Payload, PayloadKind, StoredEvent,
};
use eventcast_sse::{JsonFormat, PlainFormat};
use futures_util::task::noop_waker_ref;
use proptest::prelude::*;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::task::Context;

use crate::support::{parse, parse_independently, seen};

fn text() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        prop::sample::select(vec![
            "\r", "\n", "\r\n", "\0", "\u{FEFF}", " ", "  ", ":", "data: ", "id: 1", "event: x",
            "😀", "\u{2028}", "\u{85}", "\"", "\\", "{",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    prop::collection::vec(fragment, 0..8).prop_map(|parts| parts.concat())
}

fn json() -> impl Strategy<Value = String> {
    let space = prop::sample::select(vec!["", " ", "\n", "\r\n", "\t"]);
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "0", "-1.50e+3", "\"\"", "[]"])
            .prop_map(str::to_owned),
        text().prop_map(|text| serde_json::to_string(&text).expect("a string")),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::vec((text(), inner), 0..3).prop_map(|members| {
            let members = members.iter().map(|(key, value)| {
                format!("{}: {value}", serde_json::to_string(key).expect("a string"))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(" ,\n"))
        })
    });
    (space.clone(), value, space)
        .prop_map(|(before, value, after)| before.to_owned() + &value + after)
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        text().prop_map(Payload::text),
        json().prop_map(|json| Payload::json_text(json).expect("JSON")),
        prop::collection::vec(any::<u8>(), 0..50).prop_map(Payload::binary),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let name = prop::option::of("[^\\p{C}]{1,20}");
    (name, payload()).prop_map(|(name, payload)| {
        let event = Event::new(payload);
        match name.map(|name| EventName::new(&name)) {
            Some(Ok(name)) => event.named(name).expect("a valid name"),
            _ => event,
        }
    })
}

/// Publishes the events and returns them as stored, with the stream that a session gives of them.
fn deliver(events: Vec<Event>, format: &dyn Format) -> (Vec<Arc<StoredEvent>>, Vec<u8>) {
    let hub = Hub::new();
    let mut session = hub.session().channel("a\"😀").open().expect("room");
    for event in events {
        hub.try_publish("a\"😀", event).expect("room");
    }
    let mut deliveries = vec![Delivery::Open(session.opening()), Delivery::Heartbeat];
    let mut cx = Context::from_waker(noop_waker_ref());
    let _ = session.poll_batch(&mut cx, BatchLimits::default(), &mut deliveries);
    let mut batch = Batch::encode(format, &deliveries);
    let stream = batch.copy_to_bytes(batch.remaining()).to_vec();
    let stored = deliveries
        .into_iter()
        .filter_map(|delivery| match delivery {
            Delivery::Event(event) => Some(event),
            _ => None,
        });
    (stored.collect(), stream)
}

fn name_of(event: &StoredEvent) -> Option<String> {
    event.name().map(|name| name.as_str().to_owned())
}

/// The only change that the format makes, to texts.
fn with_lf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn from_envelope(data: &str) -> (HashMap<String, String>, Payload) {
    let fields: HashMap<String, Box<RawValue>> = serde_json::from_str(data).expect("an envelope");
    let string = |raw: &RawValue| serde_json::from_str::<String>(raw.get());
    let encoding = fields
        .get("encoding")
        .map(|raw| string(raw).expect("a string"));
    let raw = &fields["data"];
    let payload = match (encoding.as_deref(), string(raw)) {
        (None, Ok(text)) => Payload::text(text),
        (Some("base64"), Ok(text)) => Payload::binary(STANDARD.decode(text).expect("base64")),
        (None, Err(_)) | (Some("json"), Ok(_)) => Payload::json_text(raw.get()).expect("JSON"),
        other => panic!("{other:?}"),
    };
    let strings = fields.iter().filter(|(key, _)| *key != "data");
    let strings = strings.map(|(key, raw)| (key.clone(), string(raw).expect("a string")));
    (strings.collect(), payload)
}

proptest! {
    #[test]
    fn plain(events in prop::collection::vec(event(), 1..4), size in 1usize..100) {
        let (published, stream) = deliver(events, &PlainFormat);
        let (parsed, parser) = parse(stream.chunks(size));
        let last = published.last().expect("at least one");
        prop_assert_eq!(parser.last_event_id(), last.id().to_string());
        let independent = parse_independently(&stream);
        let ours: Vec<_> = parsed.iter().cloned().map(seen).collect();
        prop_assert_eq!(ours, independent);
        prop_assert_eq!(parsed[0].event_type(), "eventcast.open");
        prop_assert_eq!(parsed.len(), published.len() + 1);
        for (event, parsed) in published.iter().zip(parsed.into_iter().skip(1)) {
            prop_assert_eq!(&parsed.name, &name_of(event));
            prop_assert_eq!(&parsed.last_event_id, &event.id().to_string());
            let payload = event.payload();
            let expected = match payload.kind() {
                PayloadKind::Binary => payload.clone(),
                _ => Payload::text(with_lf(payload.as_str().expect("a text"))),
            };
            prop_assert_eq!(parsed.into_payload().unwrap(), expected);
        }
    }

    #[test]
    fn json_envelope(events in prop::collection::vec(event(), 1..4), size in 1usize..100) {
        let (published, stream) = deliver(events, &JsonFormat);
        let (parsed, _) = parse(stream.chunks(size));
        let ours: Vec<_> = parsed.into_iter().map(seen).collect();
        prop_assert_eq!(&ours, &parse_independently(&stream));
        prop_assert_eq!(ours.len(), published.len() + 1);
        for (event, (name, data, id)) in published.iter().zip(ours.into_iter().skip(1)) {
            prop_assert_eq!(&name, &name_of(event));
            prop_assert_eq!(&id, &event.id().to_string());
            let (fields, payload) = from_envelope(&data);
            prop_assert_eq!(fields.get("id"), Some(&id));
            prop_assert_eq!(fields.get("channel").map(String::as_str), Some("a\"😀"));
            prop_assert_eq!(fields.get("event"), name.as_ref());
            match event.payload().kind() {
                // Only space around the value may differ.
                PayloadKind::Json => prop_assert_eq!(
                    payload.as_str().map(str::trim),
                    event.payload().as_str().map(str::trim)
                ),
                _ => prop_assert_eq!(&payload, event.payload()),
            }
            prop_assert_eq!(payload.kind(), event.payload().kind());
        }
    }
}
