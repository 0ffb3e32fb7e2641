//! HTTP/2 clients that take nothing: a stream that stalls is reset and holds up no other.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::{ServerConfig, ServiceConfig};
use h2::Reason;
use http::Method;
use support::client::Client;
use support::http2::{Answer, Http2};
use support::{TestServer, known_ids, quiet, within};

const NEWS: &str = "/events?channel=news";
const IMPATIENT: Duration = Duration::from_millis(200);

async fn impatient() -> TestServer {
    let config = ServerConfig::new().with_write_timeout(IMPATIENT);
    TestServer::start(known_ids(), quiet(), config).await
}

/// Reads what was sent, and grants nothing for it, until the stream is reset.
async fn assert_reset(answer: &mut Answer) {
    let error = loop {
        match within(answer.body.data()).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("it ended properly"),
        }
    };
    assert!(error.is_reset() && error.is_remote(), "{error}");
    assert_eq!(error.reason(), Some(Reason::CANCEL));
}

#[tokio::test]
async fn a_stalled_stream_beside_others_that_flow() {
    let server = impatient().await;
    let client = Http2::connect(&server).await;
    let mut stalled = client.stream(NEWS, &[]).await;
    stalled.control("open").await;
    let mut flowing = Vec::new();
    for _ in 0..3 {
        flowing.push(client.stream(NEWS, &[]).await);
    }
    let text = "x".repeat(16 << 10);
    // Many times what the stalled one's window takes, and until it is reset at least.
    let mut published = 0;
    within(async {
        while published < 64 || server.service.subscribers().sse > 3 {
            server.publish("news", &text);
            published += 1;
            for stream in &mut flowing {
                assert_eq!(stream.event().await.data.len(), text.len());
            }
        }
    })
    .await;
    assert_reset(&mut stalled.answer).await;

    // What it leaves is a connection as good as before, with the others and for new ones.
    server.publish("news", "after");
    for stream in &mut flowing {
        assert_eq!(stream.event().await.data, "after");
    }
    client.stream(NEWS, &[]).await.control("open").await;
}

#[tokio::test]
async fn a_page_that_is_not_taken() {
    let server = impatient().await;
    for _ in 0..16 {
        server.publish("news", "x".repeat(16 << 10));
    }
    let client = Http2::connect(&server).await;
    let request = client.request(Method::GET, "/channels/news/history", &[]);
    let (response, mut answer) = client.try_send(request, "").await.unwrap();
    assert_eq!(response.status(), 200);
    assert_reset(&mut answer).await;
}

/// Its own write timeout ends a WebSocket; the stream below it must not stay.
#[tokio::test]
async fn a_websocket_that_is_not_read() {
    let service = quiet().with_write_timeout(IMPATIENT);
    let config = ServerConfig::new().with_write_timeout(IMPATIENT);
    let server = TestServer::start(known_ids(), service, config).await;
    let client = Http2::connect(&server).await;
    let (response, mut stalled) = client.extended("websocket", NEWS, &[]).await;
    assert_eq!(response.status(), 200);
    let mut flowing = client.stream(NEWS, &[]).await;
    within(async {
        while server.service.subscribers().websocket > 0 {
            server.publish("news", "x".repeat(16 << 10));
            flowing.event().await;
        }
    })
    .await;
    assert_reset(&mut stalled).await;
}

/// Windows as large as there are, and a socket that nobody reads.
#[tokio::test]
async fn a_connection_that_is_not_read() {
    let server = impatient().await;
    let mut client = Client::connect_narrow(server.address).await;
    let mut start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS: INITIAL_WINDOW_SIZE; WINDOW_UPDATE for the connection.
    start.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff]);
    start.extend([0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0]);
    let path = NEWS.as_bytes();
    start.extend([0, 0, 4 + path.len() as u8, 1, 5, 0, 0, 0, 1]);
    start.extend([0x82, 0x86, 0x04, path.len() as u8]);
    start.extend(path);
    client.send(start).await;
    client.take_until("eventcast.open").await;
    within(async {
        while server.service.subscribers().sse > 0 {
            server.publish("news", "x".repeat(16 << 10));
            tokio::task::yield_now().await;
        }
    })
    .await;
    client.take_all().await;
    server.assert_serves().await;
}

/// A shutdown cuts what does not end by itself, streams that stall too.
#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_stalled_stream() {
    let config = ServerConfig::new().with_shutdown_grace(IMPATIENT);
    let service = ServiceConfig::new();
    let mut server = TestServer::start(known_ids(), service, config).await;
    let client = Http2::connect(&server).await;
    let _stalled = client.stream(NEWS, &[]).await;
    let mut flowing = client.stream(NEWS, &[]).await;
    for _ in 0..16 {
        server.publish("news", "x".repeat(16 << 10));
        flowing.event().await;
    }
    server.begin_shutdown();
    flowing.control("draining").await;
    let service = server.service.clone();
    server.finished().await;
    assert_eq!(service.subscribers(), eventcast::Subscribers::default());
}
