//! The exact bytes of every block.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{
    ChannelName, Delivery, End, Epoch, Event, Format, Gap, Hub, HubConfig, Open, Payload, Position,
    Retention, StoredEvent, Timestamp,
};
use eventcast_sse::{JsonFormat, PlainFormat, SseFormat};
use futures_util::{FutureExt, StreamExt};

fn event(event: Event) -> Delivery {
    let channel = ChannelName::new("a\"b").expect("a valid name");
    let stored = StoredEvent::new(position(), Timestamp::default(), channel, event);
    Delivery::Event(Arc::new(stored))
}

fn position() -> Position {
    Position::new(Epoch::from_bits(7), 42)
}

fn json(text: &str) -> Event {
    Event::new(Payload::json_text(text).expect("JSON"))
}

fn written(delivery: &Delivery, format: &dyn Format) -> String {
    String::from_utf8(delivery.encoded(format).to_vec()).expect("UTF-8")
}

fn plain(published: Event) -> String {
    written(&event(published), &PlainFormat)
}

fn in_envelope(published: Event) -> String {
    written(&event(published), &JsonFormat)
}

/// A control block, which has to be the same in both formats.
fn control(delivery: &Delivery) -> String {
    let block = written(delivery, &PlainFormat);
    assert_eq!(written(delivery, &JsonFormat), block);
    block
}

fn hub() -> Hub {
    let config = HubConfig::new()
        .with_epoch(Epoch::from_bits(7))
        .with_retention(Retention::new().with_count(2));
    Hub::with_config(config)
}

fn gap() -> Gap {
    let hub = hub();
    let mut session = hub.subscribe("a\"b").expect("room");
    for n in 1..=5 {
        hub.try_publish("a\"b", Event::text(n.to_string()))
            .expect("room");
    }
    match session.next().now_or_never() {
        Some(Some(Delivery::Gap(gap))) => gap,
        other => panic!("{other:?}"),
    }
}

fn open() -> Open {
    let session = hub().session().channel("a\"b").channel("ü").open();
    session.expect("room").opening()
}

#[test]
fn plain_text() {
    assert_eq!(
        plain(Event::text("hello")),
        "data: hello\nid: 00000007-b42\n\n"
    );
}

#[test]
fn plain_name_comes_first_and_id_last() {
    assert_eq!(
        plain(Event::text("x").named("na me").unwrap()),
        "event: na me\ndata: x\nid: 00000007-b42\n\n"
    );
}

#[test]
fn every_line_end_starts_a_data_line() {
    assert_eq!(
        plain(Event::text("a\nb\rc\r\nd\n\re\n")),
        "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\ndata: \nid: 00000007-b42\n\n"
    );
}

#[test]
fn an_empty_payload_has_one_data_line() {
    assert_eq!(plain(Event::text("")), "data: \nid: 00000007-b42\n\n");
    assert_eq!(
        plain(Event::binary(vec![])),
        "encoding: base64\ndata: \nid: 00000007-b42\n\n"
    );
}

#[test]
fn a_leading_space_or_field_stays_data() {
    assert_eq!(
        plain(Event::text("  x\nid: 9\n: y")),
        "data:   x\ndata: id: 9\ndata: : y\nid: 00000007-b42\n\n"
    );
}

#[test]
fn plain_json_is_its_text() {
    assert_eq!(
        plain(json("{\"a\": 1.0e3}")),
        "data: {\"a\": 1.0e3}\nid: 00000007-b42\n\n"
    );
}

#[test]
fn plain_binary_is_marked_base64() {
    assert_eq!(
        plain(Event::binary(vec![0, 255, 10, 13]).named("frame").unwrap()),
        "event: frame\nencoding: base64\ndata: AP8KDQ==\nid: 00000007-b42\n\n"
    );
}

#[test]
fn envelope_of_text() {
    assert_eq!(
        in_envelope(Event::text("a\n\"\u{0}é")),
        "data: {\"id\":\"00000007-b42\",\"channel\":\"a\\\"b\",\"data\":\"a\\n\\\"\\u0000é\"}\n\
         id: 00000007-b42\n\n"
    );
}

#[test]
fn envelope_of_json_embeds_it() {
    assert_eq!(
        in_envelope(json("{\"n\":1.0e3}").named("tick\"").unwrap()),
        "event: tick\"\n\
         data: {\"id\":\"00000007-b42\",\"channel\":\"a\\\"b\",\"event\":\"tick\\\"\",\
         \"data\":{\"n\":1.0e3}}\n\
         id: 00000007-b42\n\n"
    );
}

#[test]
fn envelope_tells_a_json_string_from_text() {
    assert_eq!(
        in_envelope(json(" \"x\"")),
        "data: {\"id\":\"00000007-b42\",\"channel\":\"a\\\"b\",\"encoding\":\"json\",\
         \"data\": \"x\"}\n\
         id: 00000007-b42\n\n"
    );
}

#[test]
fn envelope_stays_on_one_line_whatever_the_json() {
    let raw = serde_json::value::RawValue::from_string("[1,\r\n2]".to_owned()).unwrap();
    let block = in_envelope(Event::json(&raw).unwrap());
    assert_eq!(block.lines().count(), 3, "{block}");
    assert!(!block.contains('\r'));
}

#[test]
fn envelope_of_binary() {
    assert_eq!(
        in_envelope(Event::binary(vec![0, 255])),
        "data: {\"id\":\"00000007-b42\",\"channel\":\"a\\\"b\",\"encoding\":\"base64\",\
         \"data\":\"AP8=\"}\n\
         id: 00000007-b42\n\n"
    );
}

#[test]
fn opening_with_everything() {
    let mut open = open();
    open.heartbeat = Some(Duration::from_secs(15));
    open.retry = Some(Duration::from_millis(2345));
    assert_eq!(
        control(&Delivery::Open(open)),
        "event: eventcast.open\nretry: 2345\n\
         data: {\"channels\":[\"a\\\"b\",\"ü\"],\"heartbeat\":15000}\n\
         id: 00000007-a0\n\n"
    );
}

#[test]
fn opening_with_nothing() {
    let mut open = open();
    open.position = None;
    open.channels.clear();
    assert_eq!(
        control(&Delivery::Open(open)),
        "event: eventcast.open\ndata: {\"channels\":[]}\n\n"
    );
}

#[test]
fn gaps() {
    let mut gap = gap();
    assert_eq!(
        control(&Delivery::Gap(gap.clone())),
        "event: eventcast.gap\n\
         data: {\"channel\":\"a\\\"b\",\"reason\":\"slow\",\"missed\":3}\n\
         id: 00000007-a3\n\n"
    );
    gap.missed = None;
    gap.position = None;
    assert_eq!(
        control(&Delivery::Gap(gap)),
        "event: eventcast.gap\ndata: {\"channel\":\"a\\\"b\",\"reason\":\"slow\"}\n\n"
    );
}

#[test]
fn positions() {
    assert_eq!(
        control(&Delivery::Position(position())),
        "event: eventcast.position\ndata: {}\nid: 00000007-b42\n\n"
    );
}

#[test]
fn ends() {
    let retry = Some(Duration::from_secs(9));
    assert_eq!(
        control(&Delivery::End(End::Draining { retry })),
        "event: eventcast.draining\nretry: 9000\ndata: {\"reason\":\"draining\"}\n\n"
    );
    assert_eq!(
        control(&Delivery::End(End::Draining { retry: None })),
        "event: eventcast.draining\ndata: {\"reason\":\"draining\"}\n\n"
    );
    assert_eq!(
        control(&Delivery::End(End::Closed)),
        "event: eventcast.closed\ndata: {\"reason\":\"closed\"}\n\n"
    );
}

#[test]
fn a_heartbeat_is_a_comment_without_a_blank_line() {
    assert_eq!(control(&Delivery::Heartbeat), ":\n");
}

#[test]
fn format_ids() {
    assert_eq!(SseFormat::Json.encoder().id(), JsonFormat.id());
    assert_eq!(SseFormat::Plain.encoder().id(), PlainFormat.id());
    assert_ne!(JsonFormat.id(), PlainFormat.id());
}
