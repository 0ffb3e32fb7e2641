//! Finite channels, starts, filters and history on the wire.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use eventcast::{Event, Position};
use serde_json::Value;
use support::websocket::WebSocket;
use support::{TestServer, get, id};

fn publish(server: &TestServer, channel: &str, payloads: &[&str]) {
    for payload in payloads {
        server
            .hub
            .try_publish(channel, Event::text(*payload))
            .unwrap();
    }
}

#[tokio::test]
async fn a_completed_channel_ends_the_stream_and_then_the_reconnecting() {
    let server = TestServer::open().await;
    let mut stream = server.stream("/events?channel=job").await;
    stream.block().await;
    publish(&server, "job", &["one"]);
    server.hub.fail("job", "disk full").unwrap();
    let rest = stream.rest().await;
    let expected = "data: one\nid: 00000007-a1\n\n\
        event: eventcast.completed\n\
        data: {\"channel\":\"job\",\"outcome\":\"failed\",\"reason\":\"disk full\"}\n\
        id: 00000007-a2\n\n\
        event: eventcast.closed\ndata: {\"reason\":\"completed\"}\n\n";
    assert_eq!(rest, expected);

    // Who was cut before the end gets it; who has it is told not to come back.
    let behind = ("Last-Event-ID", "00000007-a1");
    let again = server.ask(get("/events?channel=job", &[behind])).await;
    let body = String::from_utf8(again.body).unwrap();
    assert!(
        body.contains("eventcast.completed") && !body.contains("data: one"),
        "{body}"
    );
    let done = ("Last-Event-ID", "00000007-a2");
    let response = server.ask(get("/events?channel=job", &[done])).await;
    assert_eq!((response.head.status, response.body.len()), (204, 0));
    // Late, without an id: everything, and the end.
    let late = server.ask(get("/events?channel=job", &[])).await;
    assert!(String::from_utf8(late.body).unwrap().contains("data: one"));

    let post = support::post("/channels/job", &[], "more");
    server.ask(post).await.assert_problem(409);
}

#[tokio::test]
async fn a_websocket_is_told_the_end_and_goes_on_with_other_channels() {
    let server = TestServer::standard().await;
    let mut socket = WebSocket::open(&server, "/events?channel=job").await;
    socket.json().await;
    server.hub.complete("job").unwrap();
    let end = socket.json().await;
    assert_eq!(end["type"], "completed");
    assert_eq!(
        (end["outcome"].as_str(), end["id"].as_str()),
        (Some("complete"), Some("00000007-a1"))
    );
    publish(&server, "next", &["x", "y"]);
    socket
        .send(r#"{"type":"subscribe","channels":["next"],"start":"last:1","ref":1}"#)
        .await;
    let reply = socket.json().await;
    assert_eq!(reply["history"][0]["channel"], "next");
    assert_eq!(reply["history"][0]["events"][0]["data"], "y");
    assert_eq!(reply["history"][0]["events"].as_array().unwrap().len(), 1);
    socket
        .send(r#"{"type":"subscribe","channels":["a"],"slow":"never"}"#)
        .await;
    assert_eq!(socket.json().await["code"], "bad_request");
    publish(&server, "next", &["z"]);
    assert_eq!(socket.json().await["data"], "z");
}

#[tokio::test]
async fn a_websocket_that_resumes_at_the_end_is_told_it_again() {
    let server = TestServer::standard().await;
    publish(&server, "job", &["x"]);
    server.hub.fail("job", "no luck").unwrap();
    let target = format!("/events?channel=job&last_event_id={}", id(2));
    let mut socket = WebSocket::open(&server, &target).await;
    socket.json().await;
    let end = socket.json().await;
    assert_eq!(end["type"], "completed");
    assert_eq!(end["reason"], "no luck");
    assert_eq!(end.get("id"), None);
}

#[tokio::test]
async fn starts_and_event_names_are_chosen_in_the_query() {
    let server = TestServer::standard().await;
    publish(&server, "a", &["1", "2", "3"]);
    let named = Event::text("tick").named("tick").unwrap();
    server.hub.try_publish("a", named).unwrap();
    server.hub.complete("a").unwrap();
    let data = async |query: &str| {
        let response = server
            .ask(get(&format!("/events?channel=a&{query}"), &[]))
            .await;
        let body = String::from_utf8(response.body).unwrap();
        let lines = body.lines().filter_map(|line| line.strip_prefix("data: "));
        lines
            .filter(|data| !data.starts_with('{'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(data("start=last:2").await, ["3", "tick"]);
    assert_eq!(data("start=after:00000007-a2").await, ["3", "tick"]);
    assert_eq!(data("start=since:0").await.len(), 4);
    assert_eq!(data("event=tick").await, ["tick"]);
    assert_eq!(data("event=message&start=last:2").await, ["3"]);
    for bad in ["start=last:x", "start=now", "slow=maybe", "event=%ff"] {
        let target = format!("/events?channel=a&{bad}");
        server.ask(get(&target, &[])).await.assert_problem(400);
    }
}

#[tokio::test]
async fn an_ephemeral_event_has_no_id_on_the_wire() {
    let server = TestServer::standard().await;
    let mut stream = server.stream("/events?channel=a&format=json").await;
    let mut socket = WebSocket::open(&server, "/events?channel=a").await;
    stream.block().await;
    socket.json().await;
    let typing = Event::text("Ada").named("typing").unwrap();
    server.hub.publish_ephemeral("a", typing).unwrap();
    let expected = "event: typing\n\
        data: {\"type\":\"ephemeral\",\"channel\":\"a\",\"event\":\"typing\",\"data\":\"Ada\"}\n\n";
    assert_eq!(stream.block().await, expected);
    let message = socket.json().await;
    assert_eq!(
        (message["type"].as_str(), message["id"].as_str()),
        (Some("ephemeral"), None)
    );
}

#[tokio::test]
async fn history_is_paged() {
    let server = TestServer::standard().await;
    publish(&server, "a/b", &["1", "2", "3"]);
    let page = async |query: &str| {
        let target = format!("/channels/a/b/history?{query}");
        let response = server.ask(get(&target, &[])).await;
        assert_eq!(response.head.status, 200);
        serde_json::from_slice::<Value>(&response.body).unwrap()
    };
    let newest = page("order=newest&limit=2").await;
    assert_eq!(newest["events"][0]["data"], "3");
    assert_eq!(newest["events"].as_array().unwrap().len(), 2);
    assert_eq!(newest["trimmed"], false);
    let next: Position = newest["next"].as_str().unwrap().parse().unwrap();
    let older = page(&format!("order=newest&from={next}")).await;
    assert_eq!(older["events"][0]["data"], "1");
    assert!(older["next"].is_null());
    let all = page("").await;
    assert_eq!(all["events"].as_array().unwrap().len(), 3);
    assert_eq!(all["position"], "00000007-a3");
    let exact = "{\"b\":1.0e3,\"a\":12345678901234567890123}";
    let payload = eventcast::Payload::json_text(exact).unwrap();
    server.hub.try_publish("json", Event::new(payload)).unwrap();
    let raw = server.ask(get("/channels/json/history", &[])).await.body;
    assert!(String::from_utf8(raw).unwrap().contains(exact));
    for bad in ["order=up", "limit=-1", "from=zzz"] {
        let target = format!("/channels/a/history?{bad}");
        server.ask(get(&target, &[])).await.assert_problem(400);
    }
}

#[tokio::test]
async fn an_idempotency_key_makes_a_retry_safe() {
    let server = TestServer::open().await;
    let key = [("Idempotency-Key", "order-7")];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let response = server.ask(support::post("/channels/a", &key, "paid")).await;
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        ids.push(answer["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(server.hub.position().sequence(), 1);
}
