//! One URL, every transport: what a request has to say to get which.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use support::websocket::WebSocket;
use support::{TestServer, get, id, request};

/// Asks for a channel that is completed, so that every transport's answer has an end.
async fn content_type(server: &TestServer, query: &str, accept: Option<&str>) -> String {
    let target = format!("/events?channel=job&{query}");
    let headers: Vec<_> = accept
        .map(|accept| ("Accept", accept))
        .into_iter()
        .collect();
    let response = server.ask(get(&target, &headers)).await;
    assert_eq!(response.head.status, 200, "{}", response.head.text);
    response.head.header("content-type").unwrap().to_owned()
}

#[tokio::test]
async fn the_transport_follows_accept_or_the_query() {
    let server = TestServer::standard().await;
    server.publish("job", "one");
    server.hub.complete("job").unwrap();
    for (query, accept, expected) in [
        ("", None, "text/event-stream"),
        ("", Some("application/x-ndjson"), "application/x-ndjson"),
        ("", Some("application/json"), "application/json"),
        (
            "transport=sse",
            Some("application/json"),
            "text/event-stream",
        ),
        (
            "transport=stream",
            Some("text/html"),
            "application/x-ndjson",
        ),
        ("transport=poll", None, "application/json"),
        ("transport=poll&wait=0", None, "application/json"),
    ] {
        assert_eq!(
            content_type(&server, query, accept).await,
            expected,
            "{query} {accept:?}"
        );
        let target = format!("/events?channel=job&{query}");
        let headers: Vec<_> = accept
            .map(|accept| ("Accept", accept))
            .into_iter()
            .collect();
        let mut client = server.connect().await;
        client.send(request("HEAD", &target, &headers)).await;
        let head = client.head().await;
        assert_eq!(head.header("content-type"), Some(expected));
        assert_eq!(head.status, 200);
    }
}

#[tokio::test]
async fn wrong_combinations_say_what_to_do() {
    let server = TestServer::standard().await;
    for (query, status) in [
        ("transport=pigeon", 400),
        ("transport=websocket", 426),
        ("transport=sse&wait=5", 400),
        ("transport=stream&wait=5", 400),
        ("wait=soon", 400),
        ("transport=poll&wait=-1", 400),
        ("transport=poll&format=plain", 400),
        ("transport=stream&format=plain", 400),
        ("session=short", 400),
        ("session=has%20space%20has%20space%20has", 400),
    ] {
        let target = format!("/events?channel=news&{query}");
        server.ask(get(&target, &[])).await.assert_problem(status);
    }
    let handshake = support::websocket::handshake("/events?channel=news&transport=sse", &[]);
    server.ask(handshake).await.assert_problem(400);
    let upgrade = server
        .ask(get("/events?channel=a&transport=websocket", &[]))
        .await;
    assert_eq!(upgrade.head.header("upgrade"), Some("websocket"));
    WebSocket::open(&server, "/events?channel=news&transport=websocket").await;
}

#[tokio::test]
async fn one_id_goes_round_all_transports() {
    let server = TestServer::standard().await;
    for text in ["one", "two", "three", "four", "five"] {
        server.publish("news", text);
    }
    let mut stream = server
        .stream_with("/events?channel=news", &[("Last-Event-ID", &id(1))])
        .await;
    stream.control("open").await;
    assert!(stream.block().await.contains("data: two"));
    let target = format!(
        "/events?channel=news&transport=poll&last_event_id={}",
        id(2)
    );
    let polled = server.ask(get(&target, &[])).await.json();
    assert_eq!(polled["events"][0]["data"], "three");
    assert_eq!(polled["position"], id(5));
    let target = format!("/events?channel=news&last_event_id={}", id(3));
    let mut socket = WebSocket::open(&server, &target).await;
    socket.message("open").await;
    assert_eq!(socket.json().await["data"], "four");
    let mut client = server.connect().await;
    let target = format!(
        "/events?channel=news&transport=stream&last_event_id={}",
        id(4)
    );
    client.send(get(&target, &[])).await;
    assert_eq!(
        client.head().await.header("content-type"),
        Some("application/x-ndjson")
    );
    let lines = client.take_until("five").await;
    assert!(!String::from_utf8(lines).unwrap().contains("four"));
}

#[tokio::test]
async fn a_poll_waits_and_a_drain_lets_it_go() {
    let mut server = TestServer::standard().await;
    let first = server
        .ask(get("/events?channel=news&transport=poll", &[]))
        .await
        .json();
    assert_eq!(first["events"], serde_json::json!([]));
    assert_eq!(first["position"], id(0));

    let target = format!(
        "/events?channel=news&transport=poll&last_event_id={}",
        id(0)
    );
    let mut waiting = server.connect().await;
    waiting.send(get(&target, &[])).await;
    while server.service.subscribers().poll == 0 {
        tokio::task::yield_now().await;
    }
    server.publish("news", "hello");
    let answer = waiting.response().await.json();
    assert_eq!(answer["events"][0]["data"], "hello");
    server.assert_sessions_end().await;

    let target = format!(
        "/events?channel=news&transport=poll&last_event_id={}",
        id(1)
    );
    waiting.send(get(&target, &[])).await;
    while server.service.subscribers().poll == 0 {
        tokio::task::yield_now().await;
    }
    server.begin_shutdown();
    let answer = waiting.response().await.json();
    assert_eq!(answer["end"], "draining");
    assert_eq!(answer["position"], id(1));
}
