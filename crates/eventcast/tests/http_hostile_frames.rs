//! WebSocket frames that break the rules: the right close code, and others are served as before.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use eventcast::ServerConfig;
use support::websocket::{BINARY, CLOSE, PING, TEXT, WebSocket, frame, frame_head};
use support::{TestServer, known_ids, quiet};

const JSON: &str = "/events?channel=news";
const PLAIN: &str = "/events?channel=news&format=plain";
const MASK: [u8; 4] = [0; 4];
const FIRST: u8 = 0x00;
const WHOLE: u8 = 0x80;
const CONTINUED: u8 = 0;

/// A frame whose first byte is given as it is; the mask changes nothing.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    [&frame_head(first, payload.len()), &MASK[..], payload].concat()
}

/// Only the start of a frame that announces so many bytes.
fn announced(first: u8, length: usize) -> Vec<u8> {
    [&frame_head(first, length), &MASK[..]].concat()
}

async fn server() -> TestServer {
    let config = quiet()
        .with_authenticator(support::everything)
        .with_max_message(1_000);
    TestServer::start(known_ids(), config, ServerConfig::new()).await
}

async fn assert_closed(server: &TestServer, target: &str, code: u16, bytes: Vec<u8>) {
    let mut socket = WebSocket::open(server, target).await;
    socket.client.send(&bytes).await;
    let shown = &bytes[..bytes.len().min(40)];
    let (found, reason) = socket.close().await;
    assert_eq!(found, code, "{reason:?} to {shown:x?}");
    // Nothing follows, whatever is still sent.
    let _ = socket.client.try_send(frame(TEXT, b"{}")).await;
    assert_eq!(socket.client.take_all().await, b"", "{shown:x?}");
    drop(socket);
    server.assert_sessions_end().await;
    server.assert_serves().await;
    server.assert_sessions_end().await;
}

#[tokio::test]
async fn frames_that_break_the_protocol() {
    let unmasked = [WHOLE | TEXT, 2, b'{', b'}'].to_vec();
    let long_form = [
        &[WHOLE | TEXT, 0xff][..],
        &[0x80, 0, 0, 0, 0, 0, 0, 1],
        &MASK,
    ]
    .concat();
    let twice = [raw(FIRST | TEXT, b"{"), raw(FIRST | TEXT, b"}")].concat();
    let cases = [
        ("not masked", unmasked),
        ("RSV1", raw(0xc0 | TEXT, b"{}")),
        ("RSV2", raw(0xa0 | TEXT, b"{}")),
        ("RSV3", raw(0x90 | TEXT, b"{}")),
        ("opcode 3", raw(WHOLE | 3, b"")),
        ("opcode 7", raw(WHOLE | 7, b"")),
        ("opcode 11", raw(WHOLE | 11, b"")),
        ("opcode 15", raw(WHOLE | 15, b"")),
        ("a ping in parts", raw(FIRST | PING, b"")),
        ("a long ping", raw(WHOLE | PING, &[0; 126])),
        ("a close in parts", raw(FIRST | CLOSE, b"\x03\xe8")),
        ("half a close code", raw(WHOLE | CLOSE, b"\x03")),
        ("close code 999", raw(WHOLE | CLOSE, &999u16.to_be_bytes())),
        (
            "close code 1005",
            raw(WHOLE | CLOSE, &1005u16.to_be_bytes()),
        ),
        (
            "close code 1006",
            raw(WHOLE | CLOSE, &1006u16.to_be_bytes()),
        ),
        (
            "close code 1015",
            raw(WHOLE | CLOSE, &1015u16.to_be_bytes()),
        ),
        ("going on with nothing", raw(WHOLE | CONTINUED, b"x")),
        ("a message in a message", twice),
    ];
    let server = server().await;
    for (name, bytes) in cases {
        eprintln!("{name}");
        assert_closed(&server, JSON, 1002, bytes).await;
    }
    let mut socket = WebSocket::open(&server, JSON).await;
    socket.client.send(long_form).await;
    let (code, _) = socket.close().await;
    assert!(matches!(code, 1002 | 1009), "{code}");
}

#[tokio::test]
async fn texts_that_are_none() {
    let server = server().await;
    for bytes in [
        raw(WHOLE | TEXT, b"\xff"),
        raw(WHOLE | TEXT, b"{\"type\":\"\xc3\x28\"}"),
        raw(WHOLE | TEXT, b"\xed\xa0\x80"),
        [raw(FIRST | TEXT, b"\xc3"), raw(WHOLE | CONTINUED, b"x")].concat(),
        raw(WHOLE | CLOSE, b"\x03\xe8\xff"),
    ] {
        assert_closed(&server, JSON, 1007, bytes).await;
    }
}

#[tokio::test]
async fn messages_that_are_too_large() {
    let server = server().await;
    let parts = [
        raw(FIRST | TEXT, &[b' '; 600]),
        raw(WHOLE | CONTINUED, &[b' '; 600]),
    ];
    for bytes in [
        raw(WHOLE | TEXT, &[b' '; 1_001]),
        announced(WHOLE | TEXT, 1_001),
        announced(WHOLE | TEXT, 1 << 40),
        announced(WHOLE | BINARY, usize::MAX >> 1),
        parts.concat(),
    ] {
        assert_closed(&server, JSON, 1009, bytes).await;
    }
    let mut socket = WebSocket::open(&server, JSON).await;
    socket.message("open").await;
    socket.send([b' '; 1_000]).await;
    assert_eq!(socket.message("error").await["code"], "bad_request");
}

#[tokio::test]
async fn messages_that_are_not_taken() {
    let server = server().await;
    assert_closed(&server, JSON, 1003, frame(BINARY, b"{}")).await;
    assert_closed(&server, PLAIN, 1003, frame(TEXT, b"{}")).await;
    assert_closed(&server, PLAIN, 1003, frame(BINARY, b"")).await;
}

/// Whatever comes, in whatever pieces: the server outlives it.
#[tokio::test]
async fn noise() {
    let server = server().await;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    for round in 0..100 {
        let mut socket = WebSocket::open(&server, JSON).await;
        let mut bytes: Vec<u8> = (0..50).flat_map(|_| random()).collect();
        if round % 2 == 0 {
            // Plausible at first sight.
            bytes[..2].copy_from_slice(&[WHOLE | TEXT, 0x80 | (round as u8 & 0x7f)]);
        }
        for piece in bytes.chunks(1 + round % 60) {
            if socket.client.try_send(piece).await.is_err() {
                break;
            }
        }
        drop(socket);
    }
    server.assert_sessions_end().await;
    server.assert_serves().await;
}

/// Requests without end, and no answer read: nothing piles up, and nobody else waits.
#[tokio::test]
async fn a_client_that_asks_and_never_reads() {
    let server = server().await;
    let mut socket = WebSocket::open(&server, JSON).await;
    let ask = frame(TEXT, b"{\"type\":\"ping\"}").repeat(1_000);
    // Until the server reads no more: then the kernels' buffers fill, and a send waits.
    let flood = async { while socket.client.try_send_for_ever(&ask).await.is_ok() {} };
    let idle = async {
        for _ in 0..20 {
            server.assert_serves().await;
        }
    };
    tokio::select! {
        () = flood => panic!("the connection was cut"),
        () = idle => {}
    }
    drop(socket);
    server.assert_sessions_end().await;
}
