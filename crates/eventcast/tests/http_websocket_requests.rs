//! WebSockets: subscribing, publishing, pings and closing over them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use eventcast::ServerConfig;
use serde_json::{Value, json};
use support::websocket::{CLOSE, PING, PONG, WebSocket, frame};
use support::{TestServer, id, known_ids, quiet};

async fn ask(socket: &mut WebSocket, request: Value) -> Value {
    socket.send(request.to_string()).await;
    socket.json().await
}

async fn open(server: &TestServer, target: &str) -> WebSocket {
    let mut socket = WebSocket::open(server, target).await;
    socket.message("open").await;
    socket
}

#[tokio::test]
async fn subscribing_later() {
    let server = TestServer::standard().await;
    server.publish("a", "before");
    let mut socket = WebSocket::open(&server, "/events").await;
    assert_eq!(socket.message("open").await["channels"], json!([]));
    let request = json!({ "type": "subscribe", "channels": ["a", "b"], "ref": 7 });
    let reply = ask(&mut socket, request).await;
    let expected = json!({
        "type": "subscribed", "ref": 7, "channels": ["a", "b"], "id": id(1),
    });
    assert_eq!(reply, expected);
    server.publish("b", "b");
    server.publish("a", "a");
    assert_eq!(socket.message("event").await["data"], "b");
    assert_eq!(socket.message("event").await["data"], "a");

    let request = json!({ "type": "unsubscribe", "channels": ["a"] });
    let reply = ask(&mut socket, request).await;
    assert_eq!(reply["channels"], json!(["b"]));
    server.publish("a", "unseen");
    server.publish("b", "seen");
    assert_eq!(socket.message("event").await["data"], "seen");
}

/// The channels of a client that comes back with its id are named after it has connected.
#[tokio::test]
async fn subscribing_after_a_resume() {
    let server = TestServer::standard().await;
    for n in 1..=3 {
        server.publish("news", n);
    }
    let target = format!("/events?last_event_id={}", id(1));
    let mut socket = open(&server, &target).await;
    let request = json!({ "type": "subscribe", "channels": ["news"] });
    assert_eq!(ask(&mut socket, request).await["id"], id(1));
    assert_eq!(socket.message("event").await["data"], "2");
    assert_eq!(socket.message("event").await["data"], "3");
}

#[tokio::test]
async fn publishing() {
    let server = TestServer::open().await;
    let mut socket = open(&server, "/events").await;
    let mut stream = server.stream("/events?channel=news").await;
    stream.control("open").await;
    let cases = [
        (json!("text"), Value::Null, "data: text\n"),
        (json!({ "n": 1 }), Value::Null, "data: {\"n\":1}\n"),
        (json!("s"), json!("json"), "data: \"s\"\n"),
        (
            json!("AP8="),
            json!("base64"),
            "encoding: base64\ndata: AP8=\n",
        ),
    ];
    for (n, (data, encoding, block)) in (1..).zip(cases) {
        let mut request = json!({
            "type": "publish", "channel": "news", "event": "e", "data": data, "ref": "r",
        });
        if !encoding.is_null() {
            request["encoding"] = encoding;
        }
        let reply = ask(&mut socket, request).await;
        assert_eq!(
            reply,
            json!({ "type": "published", "ref": "r", "id": id(n) })
        );
        let expected = format!("event: e\n{block}id: {}\n\n", id(n));
        assert_eq!(stream.block().await, expected);
    }
}

#[tokio::test]
async fn permissions() {
    let config = quiet().with_authenticator(support::only_public);
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    let refused = support::websocket::handshake("/events?channel=private", &[]);
    server.ask(refused).await.assert_problem(403);

    let mut socket = open(&server, "/events").await;
    let publish = |channel| json!({ "type": "publish", "channel": channel, "data": 1 });
    let subscribe = |channels| json!({ "type": "subscribe", "channels": channels, "ref": 1 });
    assert_eq!(
        ask(&mut socket, publish("private")).await["code"],
        "forbidden"
    );
    assert_eq!(
        ask(&mut socket, publish("public/a")).await["type"],
        "published"
    );
    let reply = ask(&mut socket, subscribe(json!(["public/a", "private"]))).await;
    assert_eq!(
        (&reply["code"], &reply["ref"]),
        (&json!("forbidden"), &json!(1))
    );
    let reply = ask(&mut socket, subscribe(json!(["public/b"]))).await;
    assert_eq!(reply["channels"], json!(["public/b"]), "all or none");
    assert_eq!(server.hub.stats().published, 1);

    let server = TestServer::standard().await;
    let mut socket = open(&server, "/events").await;
    assert_eq!(ask(&mut socket, publish("news")).await["code"], "forbidden");
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn a_refused_request_is_answered_and_the_connection_goes_on() {
    let server = TestServer::open().await;
    let mut socket = open(&server, "/events?channel=news").await;
    let names = vec!["x"; 257];
    let cases = [
        ("{".to_owned(), "bad_request"),
        ("[]".to_owned(), "bad_request"),
        ("{\"type\":\"fly\"}".to_owned(), "bad_request"),
        (
            json!({ "type": "subscribe", "channels": [] }).to_string(),
            "bad_request",
        ),
        (
            json!({ "type": "subscribe", "channels": names }).to_string(),
            "too_many_channels",
        ),
        (
            json!({ "type": "subscribe", "channels": ["a\r\n"] }).to_string(),
            "bad_channel",
        ),
        (
            json!({ "type": "publish", "channel": "a*", "data": 1 }).to_string(),
            "bad_channel",
        ),
        (
            json!({ "type": "publish", "channel": "a", "data": 1, "event": "x\ny" }).to_string(),
            "bad_event",
        ),
        (
            json!({ "type": "publish", "channel": "a", "data": 1, "event": "eventcast.gap" })
                .to_string(),
            "bad_event",
        ),
        (
            json!({ "type": "publish", "channel": "a" }).to_string(),
            "bad_request",
        ),
    ];
    for (request, code) in cases {
        socket.send(&request).await;
        let reply = socket.message("error").await;
        assert_eq!(reply["code"], code, "{request}");
        let text = reply["message"].as_str().unwrap();
        assert!(!text.is_empty() && !text.contains(['\r', '\n']));
    }
    assert_eq!(server.hub.stats().published, 0);
    let id = server.publish("news", "x");
    assert_eq!(socket.message("event").await["id"], id);
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_order() {
    let server = TestServer::open().await;
    let mut socket = open(&server, "/events").await;
    let mut bytes = Vec::new();
    for n in 0..500 {
        let request = json!({ "type": "publish", "channel": "news", "data": n, "ref": n });
        bytes.extend(frame(1, request.to_string().as_bytes()));
    }
    socket.client.send(bytes).await;
    for n in 0..500 {
        let reply = socket.message("published").await;
        assert_eq!(
            (&reply["ref"], &reply["id"]),
            (&json!(n), &json!(id(n + 1)))
        );
    }
}

#[tokio::test]
async fn closing_and_pings_are_answered() {
    let server = TestServer::standard().await;
    let mut socket = open(&server, "/events?channel=news").await;
    socket.client.send(frame(PING, b"?")).await;
    let pong = socket.frame().await;
    assert_eq!((pong.opcode, &*pong.payload), (PONG, &b"?"[..]));
    socket.client.send(frame(CLOSE, b"\x03\xe8bye")).await;
    assert_eq!(socket.close().await.0, 1000);
    assert_eq!(socket.client.take_all().await, b"");
    server.assert_sessions_end().await;
}
