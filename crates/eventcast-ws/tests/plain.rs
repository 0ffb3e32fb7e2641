//! Plain mode from the client: messages for a handler, and what it sends back.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Answering, BINARY, CLOSE, PING, PONG, Peer, TEXT, close_payload, frame, hub, start};
use common::{hub_keeping, start_with};
use eventcast_core::{Event, Hub};
use eventcast_ws::{CloseCode, Mode, WsConfig, WsEnd};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

/// The pipe holds so many bytes each way.
const ROOM: usize = 1 << 16;

fn plain() -> WsConfig {
    WsConfig::new().with_mode(Mode::Plain)
}

fn connect_to(hub: &Hub, config: WsConfig) -> (Peer, JoinHandle<WsEnd>) {
    let mut session = hub.session().open().unwrap();
    session.stay_open();
    start_with(session, Arc::new(Answering), config, ROOM)
}

fn connect(config: WsConfig) -> (Peer, JoinHandle<WsEnd>) {
    connect_to(&hub(), config)
}

async fn expect(peer: &mut Peer, first: u8, payload: &[u8]) {
    let frame = peer.frame().await.expect("the stream has not ended");
    assert_eq!((frame.first, frame.payload.len()), (first, payload.len()));
    assert!(frame.payload == payload);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_has_the_opcode_of_its_kind() {
    let (mut peer, end) = connect(plain());
    for (first, payload) in [
        (TEXT, "hé".as_bytes()),
        (BINARY, b"\xff\x00"),
        (TEXT, b""),
        (BINARY, b""),
        (TEXT, &[b'x'; 126]),
        (BINARY, &[7; 50_000]),
    ] {
        peer.send(first, payload).await;
        expect(&mut peer, first, payload).await;
    }
    peer.send(CLOSE, close_payload(1000, "bye")).await;
    assert_eq!(peer.close().await, (1000, "bye".into()));
    assert_eq!(end.await.unwrap(), WsEnd::PeerClosed { code: Some(1000) });
}

#[tokio::test(start_paused = true)]
async fn fragments_come_back_as_one_message_and_pings_between_are_answered() {
    let (mut peer, _end) = connect(plain());
    for (kind, parts) in [
        (0x01, [&b"\xc3"[..], b"", b"\xa9"]),
        (0x02, [b"\xc3", b"\x28", b"\xff"]),
    ] {
        peer.send(kind, parts[0]).await;
        peer.send(PING, b"p").await;
        expect(&mut peer, PONG, b"p").await;
        peer.send(0x00, parts[1]).await;
        peer.send(0x80, parts[2]).await;
        expect(&mut peer, 0x80 | kind, &parts.concat()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_may_have_no_answer() {
    let (mut peer, _end) = connect(plain());
    peer.send(TEXT, "none").await;
    peer.send(TEXT, "some").await;
    expect(&mut peer, TEXT, b"some").await;
}

#[tokio::test(start_paused = true)]
async fn events_come_between() {
    let hub = hub_keeping(10);
    let session = hub.subscribe("a").unwrap();
    let (mut peer, _end) = start_with(session, Arc::new(Answering), plain(), ROOM);
    peer.send(TEXT, "1").await;
    expect(&mut peer, TEXT, b"1").await;
    hub.publish("a", Event::binary(vec![2])).await.unwrap();
    expect(&mut peer, BINARY, &[2]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_closes_with_its_message() {
    let longest = "é".repeat(61);
    let longer = format!("{longest}é");
    for (reason, told) in [("no", "no"), (&longest, &longest), (&longer, &longest)] {
        let (mut peer, end) = connect(plain());
        peer.send(TEXT, "before").await;
        peer.send(TEXT, format!("refuse {reason}")).await;
        peer.send(TEXT, "after").await;
        expect(&mut peer, TEXT, b"before").await;
        assert_eq!(peer.close().await, (1003, told.to_owned()));
        assert_eq!(peer.frame().await, None);
        drop(peer);
        let code = CloseCode::Unsupported;
        assert_eq!(end.await.unwrap(), WsEnd::Violation { code });
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_refused_unless_a_handler_takes_them() {
    let (mut peer, _end) = start(hub().subscribe("a").unwrap(), plain());
    peer.send(BINARY, "x").await;
    let close = (1003, "plain mode takes no messages".into());
    assert_eq!(peer.close().await, close);
}

#[tokio::test(start_paused = true)]
async fn the_largest_messages_go_both_ways_whole_and_in_fragments() {
    const LARGEST: usize = 16 << 20;
    let config = plain().with_max_message(LARGEST).with_read_buffer(64 << 10);
    let (peer, _end) = connect(config);
    let payload: Vec<u8> = (0..LARGEST).map(|n| n as u8 & 0x7f).collect();
    let mut bytes = frame(TEXT, &payload);
    bytes.extend(frame(BINARY, &payload));
    let last = LARGEST - 5 * 3_000_000;
    for n in 0..5 {
        let first = if n == 0 { 0x02 } else { 0x00 };
        bytes.extend(frame(first, &payload[n * 3_000_000..][..3_000_000]));
    }
    bytes.extend(frame(0x80, &payload[LARGEST - last..]));
    let (reader, mut writer) = tokio::io::split(peer.io);
    let sending = tokio::spawn(async move {
        writer.write_all(&bytes).await.unwrap();
        writer
    });
    let mut peer = Peer {
        io: tokio::io::join(reader, tokio::io::sink()),
    };
    for first in [TEXT, BINARY, BINARY] {
        let frame = peer.frame().await.unwrap();
        assert!(frame.first == first && frame.payload == payload);
    }
    drop(sending.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn nothing_more_is_read_while_an_answer_waits() {
    let config = plain().with_max_queued(1000);
    let (mut peer, _end) = connect(config);
    let message = frame(BINARY, &[7; 10_000]);
    let mut sent = 0;
    // The pipe is full both ways, and one answer waits between, or two small ones.
    while tokio::time::timeout(Duration::from_secs(1), peer.send_raw(&message))
        .await
        .is_ok()
    {
        sent += message.len();
        assert!(sent < 3 * ROOM, "{sent}");
    }
}

/// RFC 6455 §8.1: as early as frames allow, the message being far from its end.
#[tokio::test(start_paused = true)]
async fn a_fragment_that_is_not_utf_8_fails_before_the_message_ends() {
    for fragments in [&[&b"ok"[..], b"\xff"][..], &[b"\xc3", b"\x28"]] {
        let (mut peer, _end) = connect(plain());
        for (n, fragment) in fragments.iter().enumerate() {
            peer.send(if n == 0 { 0x01 } else { 0x00 }, fragment).await;
        }
        assert_eq!(peer.close().await, (1007, "not UTF-8".into()));
    }
}
