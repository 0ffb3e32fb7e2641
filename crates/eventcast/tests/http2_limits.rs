//! HTTP/2: what a client may not do, or not for long.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::ServerConfig;
use http::Method;
use support::client::Client;
use support::http2::{Http2, PREFACE, SETTINGS};
use support::{TestServer, known_ids, quiet};

const NEWS: &str = "/events?channel=news";

#[tokio::test]
async fn more_streams_than_allowed_wait() {
    let config = ServerConfig::new().with_max_streams(2);
    let server = TestServer::start(known_ids(), quiet(), config).await;
    let client = Http2::connect(&server).await;
    // The settings have come with this.
    client.ask(Method::GET, "/healthz", &[], "").await;
    let first = client.stream(NEWS, &[]).await;
    let _second = client.stream(NEWS, &[]).await;
    assert_eq!(client.requests.current_max_send_streams(), 2);
    let third = client.stream(NEWS, &[]);
    first.answer.reset();
    third.await.control("open").await;
}

/// What answers no ping is gone, whatever its socket says.
#[tokio::test]
async fn a_client_that_answers_no_ping_is_cut() {
    let config = ServerConfig::new().with_ping_interval(Duration::from_millis(100));
    let server = TestServer::start(known_ids(), quiet(), config).await;
    let mut client = Client::connect(server.address).await;
    client.send(PREFACE).await;
    client.send(SETTINGS).await;
    // HEADERS on stream 1, that end both: GET, http, and a path of its own.
    let path = NEWS.as_bytes();
    let block = [&[0x82, 0x86, 0x04, path.len() as u8], path].concat();
    let frame = [&[0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1], &block[..]].concat();
    client.send(frame).await;
    client.take_until("eventcast.open").await;
    assert_eq!(server.service.subscribers().sse, 1);
    client.take_all().await;
    server.assert_sessions_end().await;
}

/// A connection that asks for nothing goes after the header timeout, wherever it stopped.
#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let config = ServerConfig::new().with_header_timeout(Duration::from_millis(100));
    let server = TestServer::start(known_ids(), quiet(), config).await;
    let whole = [PREFACE, SETTINGS].concat();
    // A block of headers that does not end.
    let headers = [&whole[..], &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]].concat();
    for start in [&[][..], &PREFACE[..3], PREFACE, &whole, &headers] {
        let mut client = Client::connect(server.address).await;
        client.send(start).await;
        client.take_all().await;
    }
    // One that waits for an answer, or has asked before, is told so.
    let client = Http2::connect(&server).await;
    client.ask(Method::GET, "/healthz", &[], "").await;
    client.ended().await;
    // One with a stream stays, for longer than the others did.
    let client = Http2::connect(&server).await;
    let mut stream = client.stream(NEWS, &[]).await;
    for _ in 0..2 {
        Client::connect(server.address).await.take_all().await;
    }
    server.publish("news", "hello");
    assert_eq!(stream.event().await.data, "hello");
}

/// Requests that are taken back as fast as they come.
#[tokio::test]
async fn resets_without_end_are_cut_off() {
    let server = TestServer::standard().await;
    let mut client = Client::connect(server.address).await;
    client.send([PREFACE, SETTINGS].concat()).await;
    let path = NEWS.as_bytes();
    let mut flood = Vec::new();
    for stream in (1..4_000u32).step_by(2) {
        let stream = stream.to_be_bytes();
        flood.extend([0, 0, 4 + path.len() as u8, 1, 5]);
        flood.extend(stream);
        flood.extend([0x82, 0x86, 0x04, path.len() as u8]);
        flood.extend(path);
        flood.extend([0, 0, 4, 3, 0]);
        flood.extend(stream);
        flood.extend([0, 0, 0, 8]);
    }
    let _ = client.try_send(flood).await;
    client.take_all().await;
    server.assert_sessions_end().await;
    server.assert_serves().await;
}

#[tokio::test]
async fn heads_have_a_bound() {
    let server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let value = "x".repeat(17 << 10);
    let request = client.request(Method::GET, NEWS, &[("x-large", &value)]);
    match client.try_send(request, "").await {
        Ok((response, _)) => assert_eq!(response.status(), 431),
        Err(error) => assert!(error.reason().is_some(), "{error}"),
    }
    server.assert_serves().await;
}
