//! The exact bytes of every message, as the crate's documentation specifies them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{earliest, hub, hub_keeping, start};
use eventcast_core::{
    ChannelName, Delivery, End, Epoch, Event, EventName, Format, Payload, Position, StoredEvent,
    Timestamp,
};
use eventcast_ws::{JsonFormat, PlainFormat, WsConfig};

fn stored(event: Event) -> Delivery {
    let position = Position::new(Epoch::from_bits(7), 42);
    let channel = ChannelName::new("a/ü\"").unwrap();
    let event = StoredEvent::new(position, Timestamp::from_millis(1), channel, event);
    Delivery::Event(Arc::new(event))
}

fn encoded(format: &dyn Format, delivery: &Delivery) -> Vec<u8> {
    let mut out = Vec::new();
    format.encode(delivery, &mut out);
    out
}

fn json(delivery: &Delivery) -> String {
    let frame = encoded(&JsonFormat, delivery);
    assert_eq!(frame[0], 0x81);
    let header = if frame[1] == 126 { 4 } else { 2 };
    assert_eq!(
        frame.len() - header,
        match frame[1] {
            126 => usize::from(u16::from_be_bytes([frame[2], frame[3]])),
            length => usize::from(length),
        }
    );
    String::from_utf8(frame[header..].to_vec()).unwrap()
}

fn json_event(event: Event) -> String {
    let text = json(&stored(event));
    let prefix = r#"{"id":"00000007-b42","channel":"a/ü\"","#;
    text.strip_prefix(prefix).expect(&text).to_owned()
}

#[test]
fn events_in_json() {
    let json_text = |text: &str| Event::new(Payload::json_text(text).unwrap());
    for (event, rest) in [
        (Event::text("a\n\"b\""), r#""data":"a\n\"b\""}"#),
        (Event::text(""), r#""data":""}"#),
        (json_text(r#"{ "a": 1.0e3}"#), r#""data":{ "a": 1.0e3}}"#),
        (json_text("null"), r#""data":null}"#),
        (json_text(r#"  "s""#), r#""encoding":"json","data":  "s"}"#),
        (
            Event::binary(vec![0xff, 0xfe, 0xfd, 0]),
            r#""encoding":"base64","data":"//79AA=="}"#,
        ),
        (Event::binary(vec![]), r#""encoding":"base64","data":""}"#),
        (
            Event::text("x").named("n\\").unwrap(),
            r#""event":"n\\","data":"x"}"#,
        ),
    ] {
        assert_eq!(json_event(event), rest);
    }
}

#[test]
fn the_frame_is_part_of_the_bytes() {
    let frame = encoded(&JsonFormat, &stored(Event::text("x")));
    let text = r#"{"id":"00000007-b42","channel":"a/ü\"","data":"x"}"#;
    assert_eq!(frame, [&[0x81, text.len() as u8], text.as_bytes()].concat());
}

#[test]
fn every_length_is_framed() {
    for length in [
        0, 50, 60, 70, 80, 126, 1_000, 65_450, 65_500, 65_536, 200_000,
    ] {
        let text = "x".repeat(length);
        let frame = encoded(&JsonFormat, &stored(Event::text(text.clone())));
        let payload = format!(r#"{{"id":"00000007-b42","channel":"a/ü\"","data":"{text}"}}"#);
        assert!(frame.ends_with(payload.as_bytes()));
        let header = match payload.len() {
            length @ 0..=125 => vec![0x81, length as u8],
            length @ 126..=0xffff => [&[0x81, 126], &(length as u16).to_be_bytes()[..]].concat(),
            length => [&[0x81, 127], &(length as u64).to_be_bytes()[..]].concat(),
        };
        assert_eq!(frame[..frame.len() - payload.len()], header);
    }
}

#[test]
fn controls_in_json() {
    let retry = Some(Duration::from_millis(1500));
    for (delivery, text) in [
        (
            Delivery::Position(Position::new(Epoch::from_bits(7), 9)),
            r#"{"type":"position","id":"00000007-a9"}"#,
        ),
        (
            Delivery::End(End::Draining { retry }),
            r#"{"type":"draining","retry":1500}"#,
        ),
        (
            Delivery::End(End::Draining { retry: None }),
            r#"{"type":"draining"}"#,
        ),
    ] {
        assert_eq!(json(&delivery), text);
    }
    assert_eq!(encoded(&JsonFormat, &Delivery::Heartbeat), [0x89, 0]);
    assert_eq!(encoded(&JsonFormat, &Delivery::End(End::Closed)), b"");
}

#[test]
fn payloads_alone_in_plain_mode() {
    let json = Event::new(Payload::json_text("[1]").unwrap());
    for (event, bytes) in [
        (
            Event::text("hé")
                .named(EventName::new("n").unwrap())
                .unwrap(),
            "\u{1}hé".as_bytes(),
        ),
        (json, b"\x01[1]"),
        (Event::binary(vec![0xff]), b"\x02\xff"),
    ] {
        let expected = [&[0x80 | bytes[0], bytes.len() as u8 - 1], &bytes[1..]].concat();
        assert_eq!(encoded(&PlainFormat, &stored(event)), expected);
    }
    let position = Delivery::Position(Position::new(Epoch::from_bits(7), 9));
    for nothing in [position, Delivery::End(End::Draining { retry: None })] {
        assert_eq!(encoded(&PlainFormat, &nothing), b"");
    }
    assert_eq!(encoded(&PlainFormat, &Delivery::Heartbeat), [0x89, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_opening_message() {
    let hub = hub();
    hub.publish("a", Event::text("x")).await.unwrap();
    let session = hub.session().channel("b").channel("a").open().unwrap();
    let config = WsConfig::new()
        .with_heartbeat(Duration::from_millis(2500))
        .with_retry(Duration::from_secs(1));
    let (mut peer, _end) = start(session, config);
    let text =
        r#"{"type":"open","id":"00000007-a1","channels":["b","a"],"heartbeat":2500,"retry":1000}"#;
    peer.expect(&[text]).await;

    let (mut peer, _end) = start(hub.session().open().unwrap(), WsConfig::new());
    let text = r#"{"type":"open","id":"00000007-a1","channels":[],"heartbeat":15000}"#;
    peer.expect(&[text]).await;
}

#[tokio::test(start_paused = true)]
async fn gaps_of_an_id_that_is_not_known() {
    let hub = hub();
    hub.publish("a", Event::text("x")).await.unwrap();
    let session = hub
        .session()
        .resume("elsewhere")
        .channel("a")
        .channel("b")
        .open()
        .unwrap();
    let (mut peer, _end) = start(session, WsConfig::new());
    peer.expect(&[
        r#"{"type":"open","channels":["a","b"],"heartbeat":15000}"#,
        r#"{"type":"gap","channel":"a","reason":"unknown"}"#,
        r#"{"type":"gap","id":"00000007-a1","channel":"b","reason":"unknown"}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_a_trimmed_log() {
    let hub = hub_keeping(2);
    let first = hub.publish("a", Event::text("1")).await.unwrap();
    for n in 2..=5 {
        hub.publish("a", Event::text(n.to_string())).await.unwrap();
    }
    let session = hub
        .session()
        .resume(&first.to_string())
        .channel("a")
        .open()
        .unwrap();
    let (mut peer, _end) = start(session, WsConfig::new());
    peer.expect(&[
        r#"{"type":"open","id":"00000007-a1","channels":["a"],"heartbeat":15000}"#,
        r#"{"type":"gap","id":"00000007-a3","channel":"a","reason":"trimmed"}"#,
        r#"{"id":"00000007-a4","channel":"a","data":"4"}"#,
        r#"{"id":"00000007-a5","channel":"a","data":"5"}"#,
    ])
    .await;
}

#[tokio::test]
async fn connections_share_an_events_bytes() {
    use futures_util::StreamExt;

    let hub = hub();
    hub.publish("a", Event::text("x")).await.unwrap();
    let mut pointers = Vec::new();
    for _ in 0..2 {
        let delivery = earliest(&hub, "a").next().await.unwrap();
        let json = delivery.encoded(&JsonFormat);
        let plain = delivery.encoded(&PlainFormat);
        pointers.push((json.as_ptr() as usize, plain.as_ptr() as usize));
    }
    assert_eq!(pointers[0], pointers[1]);
}
