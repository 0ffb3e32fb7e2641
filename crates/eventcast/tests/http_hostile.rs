//! What is no proper request, or takes for ever to be one: it is refused, and others are served as
//! before.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::ServerConfig;
use support::{HOST, TestServer, get, known_ids, post, quiet, request};

async fn server() -> TestServer {
    let config = quiet().with_authenticator(support::everything);
    let hub = known_ids().with_max_session_channels(10);
    let impatient = ServerConfig::new().with_header_timeout(Duration::from_millis(200));
    TestServer::start(hub, config, impatient).await
}

/// Sends it all and reads to the end: a refusal, or none at all, but nothing else.
async fn assert_refused(server: &TestServer, bytes: impl AsRef<[u8]>) {
    let bytes = bytes.as_ref();
    let mut client = server.connect().await;
    // The server may have seen enough before all is sent.
    let _ = client.try_send(bytes).await;
    let answer = client.take_all().await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer} to {}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
    );
    assert_eq!(
        answer.matches("HTTP/1.1").count(),
        usize::from(!answer.is_empty())
    );
}

#[tokio::test]
async fn a_head_that_takes_for_ever() {
    let server = server().await;
    let mut silent = server.connect().await;
    let mut kept = server.connect().await;
    kept.send(get("/healthz", &[])).await;
    kept.response().await;

    let mut slow = server.connect().await;
    let head = get("/events?channel=news", &[("X", &"x".repeat(10_000))]);
    for byte in head.as_bytes().chunks(1) {
        if slow.try_send(byte).await.is_err() {
            break;
        }
        let pause = Duration::from_millis(10);
        if let Ok(false) = tokio::time::timeout(pause, slow.receive()).await {
            break;
        }
    }
    assert!(!slow.take_all().await.starts_with(b"HTTP/1.1 2"));
    assert_eq!(silent.take_all().await, b"");
    assert_eq!(kept.take_all().await, b"");
    server.assert_serves().await;
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let server = server().await;
    let big = "x".repeat(20_000);
    assert_refused(&server, get("/events?channel=news", &[("X-Big", &big)])).await;
    assert_refused(&server, get(&format!("/events?channel={big}"), &[])).await;
    assert_refused(&server, big.repeat(10)).await;
    let many: Vec<_> = (0..200).map(|n| format!("x-{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (&**name, "x")).collect();
    assert_refused(&server, get("/events?channel=news", &many)).await;
    server.assert_serves().await;
}

#[tokio::test]
async fn what_is_no_request() {
    let server = server().await;
    let target = "/events?channel=news";
    let host = format!("Host: {HOST}\r\n\r\n");
    let header = |line: &str| format!("GET {target} HTTP/1.1\r\n{line}\r\n{host}");
    let cases = [
        "GET\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "\r\n\r\n\r\n\r\n".to_owned(),
        "CONNECT events.test:80 HTTP/1.1\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".to_owned(),
        format!("GET {target}\r\n{host}"),
        format!("GET {target} HTTP/9.9\r\n{host}"),
        format!("GET {target} HTTP/1.1 x\r\n{host}"),
        format!("GET {target} x HTTP/1.1\r\n{host}"),
        format!("GET {target}\0 HTTP/1.1\r\n{host}"),
        format!("G\0T {target} HTTP/1.1\r\n{host}"),
        format!("GET /events?channel=a b HTTP/1.1\r\n{host}"),
        format!("GET events?channel=a HTTP/1.1\r\n{host}"),
        header("X: a\0b"),
        header("X\0: a"),
        header("no colon"),
        header("X : space before the colon"),
        header(": no name"),
        header("Last-Event-ID: a\u{7f}"),
        header("X: a\r\n folded"),
        header("Content-Length: x"),
        header("Content-Length: -1"),
        header("Content-Length: 99999999999999999999999999"),
        header("Content-Length: 1\r\nContent-Length: 2"),
        header("Transfer-Encoding: gzip"),
        header("Transfer-Encoding: chunked, gzip"),
    ];
    for case in cases {
        assert_refused(&server, case).await;
        server.assert_serves().await;
    }
}

#[tokio::test]
async fn bodies_that_are_none() {
    let server = server().await;
    let chunked = &[("Transfer-Encoding", "chunked")];
    let head = request("POST", "/channels/news", chunked);
    for body in [
        "x\r\n",
        "-1\r\n\r\n",
        "fffffffffffffffff\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "\0",
    ] {
        assert_refused(&server, format!("{head}{body}")).await;
    }
    for length in ["18446744073709551615", "9223372036854775807", "1048577"] {
        let head = request("POST", "/channels/news", &[("Content-Length", length)]);
        assert_refused(&server, head).await;
    }
    assert_eq!(server.hub.stats().published, 0);
    server.assert_serves().await;
}

/// Where a request's body ends must not be a matter of opinion.
#[tokio::test]
async fn a_body_with_two_lengths_ends_the_connection() {
    let server = server().await;
    let both = [("Content-Length", "4"), ("Transfer-Encoding", "chunked")];
    let head = request("POST", "/channels/news", &both);
    let inner = post("/channels/news", &[], "smuggled");
    let mut client = server.connect().await;
    client.send(head + "0\r\n\r\n").await;
    let _ = client.try_send(inner).await;
    let answer = String::from_utf8(client.take_all().await).unwrap();
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(server.hub.stats().published <= 1);
}

/// JSON as deep as it may be long: nobody's stack is at stake.
#[tokio::test]
async fn deep_json() {
    let server = server().await;
    let deep = "[".repeat(500_000) + &"]".repeat(500_000);
    let json = &[("Content-Type", "application/json")];
    for body in [&deep, &deep[1..], &deep[..500_000]] {
        let response = server.ask(post("/channels/news", json, body)).await;
        assert!(matches!(response.head.status, 200 | 400), "{response:?}");
    }
    server.assert_serves().await;
}
