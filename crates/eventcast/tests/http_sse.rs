//! Event streams: what a subscription is answered with.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::ServerConfig;
use support::{TestServer, get, id, known_ids, quiet, request};

#[tokio::test]
async fn head_and_first_block() {
    let server = TestServer::standard().await;
    let mut stream = server.stream("/events?channel=news").await;
    let head = &stream.head;
    assert!(
        head.text.starts_with("HTTP/1.1 200 OK\r\n"),
        "{}",
        head.text
    );
    let names = [
        "cache-control",
        "connection",
        "content-type",
        "date",
        "transfer-encoding",
        "vary",
        "x-accel-buffering",
    ];
    assert_eq!(head.names(), names);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("connection"), Some("close"));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert_eq!(head.header("vary"), Some("Origin"));

    let opening = stream.block().await;
    let (before, rest) = opening.split_once(",\"session\":\"").unwrap();
    let (key, after) = rest.split_once('"').unwrap();
    let start = "event: eventcast.open\nretry: 0\ndata: {\"channels\":[\"news\"]";
    assert_eq!(before, start);
    assert_eq!(after, ",\"heartbeat\":15000}\nid: 00000007-a0\n\n");
    assert!(key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit()));
    server.publish("news", "two\r\nlines");
    let event = "data: two\ndata: lines\nid: 00000007-a1\n\n";
    assert_eq!(stream.block().await, event);
}

#[tokio::test]
async fn an_http_1_0_client_gets_the_bare_stream() {
    let server = TestServer::standard().await;
    let mut client = server.connect().await;
    client
        .send("GET /events?channel=news HTTP/1.0\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("transfer-encoding"), None);
    assert_eq!(head.header("content-length"), None);
    client.take_until("id: 00000007-a0\n\n").await;
    server.publish("news", "hello");
    let event = "data: hello\nid: 00000007-a1\n\n";
    assert_eq!(client.take_until("\n\n").await, event.as_bytes());
}

#[tokio::test]
async fn head_answers_at_once() {
    let server = TestServer::standard().await;
    let mut client = server.connect().await;
    client
        .send(request("HEAD", "/events?channel=news", &[]))
        .await;
    let head = client.head().await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!(head.header("content-length"), None, "the GET has none");
    assert_eq!(server.service.subscribers().sse, 0);

    // There is no body: what follows on the connection is the next response.
    client.send(get("/healthz", &[])).await;
    assert_eq!(client.response().await.json()["status"], "ok");
}

#[tokio::test]
async fn other_methods() {
    let server = TestServer::open().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let response = server
            .ask(request(method, "/events?channel=news", &[]))
            .await;
        response.assert_problem(405);
        assert_eq!(response.head.header("allow"), Some("GET, HEAD"));
    }
    for method in ["GET", "PUT", "DELETE"] {
        let response = server.ask(request(method, "/channels/news", &[])).await;
        response.assert_problem(405);
        assert_eq!(response.head.header("allow"), Some("POST"));
    }
    let response = server.ask(request("POST", "/healthz", &[])).await;
    response.assert_problem(405);
    assert_eq!(response.head.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn what_cannot_be_served() {
    let server = TestServer::standard().await;
    let accept = |value| get("/events?channel=news", &[("Accept", value)]);
    server.ask(accept("text/html")).await.assert_problem(406);
    server
        .ask(accept("text/event-stream;q=0"))
        .await
        .assert_problem(406);
    for target in [
        "/events",
        "/events?channel=",
        "/events?channel=a*b",
        "/events?channel=a%00",
        "/events?chanel=news",
        "/events?channel=news&channel=%0a",
        "/events?channel=news&format=xml",
        "/events?channel=news&start=now",
    ] {
        server.ask(get(target, &[])).await.assert_problem(400);
    }
    let long = format!("/events?channel={}", "x".repeat(201));
    server.ask(get(&long, &[])).await.assert_problem(400);
    for target in ["/", "/event", "/events/", "/channels", "/../events"] {
        server.ask(get(target, &[])).await.assert_problem(404);
    }
    assert_eq!(server.hub.stats().channels, 0, "refusals create nothing");
}

#[tokio::test]
async fn accepted_types() {
    let server = TestServer::standard().await;
    for accept in [
        "text/event-stream",
        "*/*",
        "application/json;q=0.1, text/event-stream",
    ] {
        let target = "/events?channel=news";
        let mut stream = server.stream_with(target, &[("Accept", accept)]).await;
        stream.control("open").await;
    }
}

#[tokio::test]
async fn several_channels_come_in_envelopes_in_one_order() {
    let server = TestServer::standard().await;
    let mut stream = server.stream("/events?channel=a&channel=b").await;
    let (open, _) = stream.control("open").await;
    assert_eq!(open["channels"], serde_json::json!(["a", "b"]));
    server.publish("b", "first");
    server.publish("elsewhere", "unseen");
    server.publish("a", "second");
    let first = "data: {\"id\":\"00000007-a1\",\"channel\":\"b\",\"data\":\"first\"}\n\
                 id: 00000007-a1\n\n";
    let second = "data: {\"id\":\"00000007-a3\",\"channel\":\"a\",\"data\":\"second\"}\n\
                  id: 00000007-a3\n\n";
    assert_eq!(stream.block().await, first);
    assert_eq!(stream.block().await, second);
}

#[tokio::test]
async fn the_format_can_be_chosen() {
    let server = TestServer::standard().await;
    let mut plain = server
        .stream("/events?channel=a&channel=b&format=plain")
        .await;
    let mut json = server.stream("/events?channel=a&format=json").await;
    plain.control("open").await;
    json.control("open").await;
    server.publish("a", "x");
    assert_eq!(plain.block().await, "data: x\nid: 00000007-a1\n\n");
    let envelope = "data: {\"id\":\"00000007-a1\",\"channel\":\"a\",\"data\":\"x\"}\n\
                    id: 00000007-a1\n\n";
    assert_eq!(json.block().await, envelope);
}

#[tokio::test]
async fn a_channel_named_twice_counts_once() {
    let server = TestServer::standard().await;
    let mut stream = server.stream("/events?channel=a&channel=a").await;
    let (open, _) = stream.control("open").await;
    assert_eq!(open["channels"], serde_json::json!(["a"]));
    server.publish("a", "1");
    server.publish("a", "2");
    assert!(stream.block().await.ends_with("id: 00000007-a1\n\n"));
    assert!(stream.block().await.ends_with("id: 00000007-a2\n\n"));
}

#[tokio::test]
async fn names_in_any_script() {
    let server = TestServer::standard().await;
    let mut stream = server
        .stream("/events?channel=caf%C3%A9%2F%F0%9F%A6%80+1")
        .await;
    let (open, _) = stream.control("open").await;
    assert_eq!(open["channels"], serde_json::json!(["café/🦀 1"]));
    server.publish("café/🦀 1", "hé");
    assert_eq!(stream.event().await.data, "hé");
}

#[tokio::test]
async fn where_a_first_connect_starts() {
    let server = TestServer::standard().await;
    for n in 1..=3 {
        server.publish("news", n);
    }
    let mut earliest = server.stream("/events?channel=news&start=earliest").await;
    let (_, position) = earliest.control("open").await;
    assert_eq!(position, id(0), "a cut now loses nothing");
    assert_eq!(earliest.data(3).await, ["1", "2", "3"]);

    let mut live = server.stream("/events?channel=news").await;
    let (_, position) = live.control("open").await;
    assert_eq!(position, id(3));
    server.publish("news", 4);
    assert_eq!(live.event().await.last_event_id, id(4));
    assert_eq!(earliest.event().await.last_event_id, id(4));
}

#[tokio::test]
async fn a_heartbeat_is_one_comment_line() {
    let config = quiet().with_heartbeat(Duration::from_millis(50));
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    let mut stream = server.stream("/events?channel=news").await;
    let (open, _) = stream.control("open").await;
    assert_eq!(open["heartbeat"], 50);
    assert_eq!(stream.text_until("\n").await, ":\n");
    assert_eq!(stream.text_until("\n").await, ":\n");
    server.publish("news", "x");
    let block = stream.block().await;
    let event = block.trim_start_matches(":\n");
    assert_eq!(event, "data: x\nid: 00000007-a1\n\n");
}

#[tokio::test]
async fn the_reconnection_time_is_told_and_spread() {
    let config = quiet().with_retry(Duration::from_secs(1_000));
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    let mut told = Vec::new();
    for _ in 0..8 {
        let mut stream = server.stream("/events?channel=news").await;
        stream.text_until("retry: ").await;
        let millis = stream.text_until("\n").await;
        let millis: u64 = millis.trim_end().parse().unwrap();
        assert!((500_000..1_500_000).contains(&millis), "{millis}");
        told.push(millis);
    }
    told.dedup();
    assert!(told.len() > 1, "all the same");
}

#[tokio::test]
async fn permissions_are_by_channel() {
    let config = quiet().with_authenticator(support::only_public);
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    let mut stream = server.stream("/events?channel=public%2Fa").await;
    stream.control("open").await;
    let mixed = "/events?channel=public%2Fa&channel=private";
    server.ask(get(mixed, &[])).await.assert_problem(403);
    let hidden = request("HEAD", "/events?channel=private", &[]);
    let mut client = server.connect().await;
    client.send(hidden).await;
    assert_eq!(client.head().await.status, 403);
}
