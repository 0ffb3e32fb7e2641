//! Each limit that is met is counted, once, and under its own name only.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::{Limits, ServerConfig};
use support::client::Client;
use support::websocket::{WebSocket, frame, handshake};
use support::{TestServer, everything, get, known_ids, post, quiet, request, within};

const NEWS: &str = "/events?channel=news";

/// Waits until these are counted, and nothing else: a connection may be closed a moment before.
async fn assert_counted(server: &TestServer, expected: &[(&str, u64)]) {
    let counted = || -> Vec<_> {
        let all = server.service.refusals();
        all.iter().filter(|(_, count)| *count > 0).collect()
    };
    within(async {
        while counted().iter().map(|(_, count)| count).sum::<u64>()
            < expected.iter().map(|(_, count)| count).sum()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(counted(), expected);
}

async fn small() -> TestServer {
    let config = quiet()
        .with_authenticator(everything)
        .with_max_message(1_000)
        .with_body_timeout(Duration::from_millis(200))
        .with_limits(Limits::new().with_query(1_000));
    let hub = known_ids().with_max_session_channels(2);
    TestServer::start(hub, config, ServerConfig::new()).await
}

#[tokio::test]
async fn queries_and_heads() {
    let server = small().await;
    let long = format!("{NEWS}&x={}", "y".repeat(1_000));
    server.ask(get(&long, &[])).await.assert_problem(414);
    assert_counted(&server, &[("queries", 1)]).await;
    let bomb = get(NEWS, &[("X", &"x".repeat(20_000))]);
    let mut client = server.connect().await;
    let _ = client.try_send(bomb).await;
    client.take_all().await;
    assert_counted(&server, &[("heads", 1), ("queries", 1)]).await;
}

#[tokio::test]
async fn bodies_and_messages() {
    let server = small().await;
    let publish = |body: String| post("/channels/news", &[], body);
    server
        .ask(publish("x".repeat(1_001)))
        .await
        .assert_problem(413);
    assert_counted(&server, &[("bodies", 1)]).await;
    let mut socket = WebSocket::open(&server, NEWS).await;
    let large = frame(1, &[b' '; 1_001]);
    socket.client.send(large).await;
    assert_eq!(socket.close().await.0, 1009);
    assert_counted(&server, &[("bodies", 2)]).await;
    let mut client = server.connect().await;
    let head = request("POST", "/channels/news", &[("Content-Length", "10")]);
    client.send(head + "half").await;
    client.response().await.assert_problem(408);
    assert_counted(&server, &[("bodies", 2), ("body_timeouts", 1)]).await;
}

#[tokio::test]
async fn channels_of_a_session() {
    let server = small().await;
    let many = get("/events?channel=a&channel=b&channel=c", &[]);
    server.ask(many).await.assert_problem(400);
    assert_counted(&server, &[("channels", 1)]).await;
    let mut socket = WebSocket::open(&server, NEWS).await;
    socket.message("open").await;
    let more = r#"{"type":"subscribe","channels":["a","b"]}"#;
    socket.send(more).await;
    assert_eq!(socket.message("error").await["code"], "too_many_channels");
    assert_counted(&server, &[("channels", 2)]).await;
    // Over another connection, which is told.
    let key = "0123456789abcdef0123456789abcdef";
    let mut stream = server
        .stream(&format!("{NEWS}&format=json&session={key}"))
        .await;
    stream.control("open").await;
    let more = post(&format!("/sessions/{key}?channel=a&channel=b"), &[], "");
    server.ask(more).await.assert_problem(400);
    assert_counted(&server, &[("channels", 3)]).await;
}

#[tokio::test]
async fn requests_that_do_not_come() {
    let config = ServerConfig::new().with_header_timeout(Duration::from_millis(100));
    let server = TestServer::start(known_ids(), quiet(), config).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let starts = ["", "PRI * HTTP", "GET /events HTTP/1.1\r\nX: ", preface];
    for (start, count) in starts.into_iter().zip(1..) {
        let mut client = server.connect().await;
        client.send(start).await;
        client.take_all().await;
        assert_counted(&server, &[("head_timeouts", count)]).await;
    }
}

#[tokio::test]
async fn clients_that_take_nothing() {
    let impatient = Duration::from_millis(200);
    let config = ServerConfig::new().with_write_timeout(impatient);
    let service = quiet().with_write_timeout(impatient);
    let server = TestServer::start(known_ids(), service, config).await;
    for (ask, count) in [(get(NEWS, &[]), 1), (handshake(NEWS, &[]), 2)] {
        let mut client = Client::connect_narrow(server.address).await;
        client.send(ask).await;
        client.take_until("\r\n\r\n").await;
        server.publish_until_cut().await;
        assert_counted(&server, &[("write_timeouts", count)]).await;
    }
}
