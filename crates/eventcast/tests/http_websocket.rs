//! WebSockets: the handshake, what a client may ask for, and ids that are those of every transport.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::{AllowedOrigins, Event, ServerConfig};
use serde_json::{Value, json};
use support::websocket::{BINARY, CLOSE, TEXT, WebSocket, frame, handshake};
use support::{HOST, TestServer, get, id, known_ids, quiet};

const NEWS: &str = "/events?channel=news";

#[tokio::test]
async fn handshake_and_first_message() {
    let server = TestServer::standard().await;
    let mut socket = WebSocket::open(&server, NEWS).await;
    let head = &socket.head;
    assert!(
        head.text
            .starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{}",
        head.text
    );
    // The answer to the key of RFC 6455's example.
    let accept = head.header("sec-websocket-accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!(head.header("connection"), Some("upgrade"));
    assert_eq!(head.header("sec-websocket-protocol"), None);
    assert_eq!(head.header("sec-websocket-extensions"), None);
    assert_eq!(head.header("content-length"), None);

    let open = json!({
        "type": "open", "id": id(0), "channels": ["news"], "heartbeat": 15_000, "retry": 0,
    });
    assert_eq!(socket.json().await, open);
    server.publish("news", "hello");
    let event = json!({ "id": id(1), "channel": "news", "data": "hello" });
    assert_eq!(socket.json().await, event);
    assert_eq!(server.service.subscribers().websocket, 1);
    drop(socket);
    server.assert_sessions_end().await;
}

#[tokio::test]
async fn handshakes_that_are_none() {
    let server = TestServer::standard().await;
    let sound = handshake(NEWS, &[]);
    for version in ["12", "14", "x", "13, 8"] {
        let wrong = sound.replace("Version: 13", &format!("Version: {version}"));
        let response = server.ask(wrong).await;
        response.assert_problem(426);
        let told = response.head.header("sec-websocket-version");
        assert_eq!(told, Some("13"));
        assert_eq!(response.head.header("upgrade"), Some("websocket"));
    }
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for other in ["", "Sec-WebSocket-Key: eA==\r\n", &key.repeat(2)] {
        server
            .ask(sound.replace(key, other))
            .await
            .assert_problem(400);
    }
    let old = sound.replace("HTTP/1.1", "HTTP/1.0");
    server.ask(old).await.assert_problem(400);
    let posted = sound.replacen("GET", "POST", 1);
    server.ask(posted).await.assert_problem(405);
    for target in ["/events?channel=*a", "/events?channel=news&start=x"] {
        server.ask(handshake(target, &[])).await.assert_problem(400);
    }
    assert_eq!(server.service.subscribers().websocket, 0);

    // One of the two headers alone asks for nothing.
    let half = get(NEWS, &[("Upgrade", "websocket")]);
    let mut client = server.connect().await;
    client.send(half).await;
    assert_eq!(client.head().await.status, 200);
}

#[tokio::test]
async fn subprotocols() {
    let server = TestServer::standard().await;
    for (offered, chosen) in [
        ("eventcast.v1+json", Some("eventcast.v1+json")),
        ("eventcast.v1+plain", Some("eventcast.v1+plain")),
        (
            "mqtt, eventcast.v1+plain, eventcast.v1+json",
            Some("eventcast.v1+plain"),
        ),
        ("mqtt", None),
    ] {
        let headers = &[("Sec-WebSocket-Protocol", offered)];
        let mut socket = WebSocket::open_with(&server, NEWS, headers).await;
        assert_eq!(socket.head.header("sec-websocket-protocol"), chosen);
        server.publish("news", "x");
        let first = socket.frame().await.payload;
        let is_plain = chosen == Some("eventcast.v1+plain");
        assert_eq!(first == b"x", is_plain, "{offered}");
    }
}

#[tokio::test]
async fn the_format_counts_where_no_subprotocol_is_agreed_on() {
    let server = TestServer::standard().await;
    let headers = &[("Sec-WebSocket-Protocol", "mqtt")];
    let target = "/events?channel=news&format=plain";
    let mut socket = WebSocket::open_with(&server, target, headers).await;
    server.publish("news", "x");
    assert_eq!(socket.frame().await.payload, b"x");
}

#[tokio::test]
async fn heartbeats_that_never_come() {
    let config = quiet().with_heartbeat(Duration::MAX);
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    let mut stream = server.stream(NEWS).await;
    stream.control("open").await;
    let mut socket = WebSocket::open(&server, NEWS).await;
    socket.message("open").await;
}

/// A client may send before it knows that it may.
#[tokio::test]
async fn frames_right_behind_the_handshake() {
    let server = TestServer::standard().await;
    let mut client = server.connect().await;
    let mut bytes = handshake(NEWS, &[]).into_bytes();
    bytes.extend(frame(TEXT, b"{\"type\":\"ping\",\"ref\":1}"));
    client.send(bytes).await;
    let head = client.head().await;
    let mut socket = WebSocket { head, client };
    socket.message("open").await;
    assert_eq!(socket.message("pong").await["ref"], 1);
}

#[tokio::test]
async fn origins() {
    let config =
        quiet().with_allowed_origins(AllowedOrigins::same_origin().and("https://app.example"));
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    for foreign in ["https://evil.example", "null", "http://events.test:8080"] {
        let response = server.ask(handshake(NEWS, &[("Origin", foreign)])).await;
        response.assert_problem(403);
    }
    let own = format!("http://{HOST}");
    for origin in [&*own, "https://app.example"] {
        let headers = &[("Origin", origin)];
        let mut socket = WebSocket::open_with(&server, NEWS, headers).await;
        socket.message("open").await;
    }
    let mut no_page = WebSocket::open(&server, NEWS).await;
    no_page.message("open").await;
}

#[tokio::test]
async fn one_event_has_one_id_everywhere() {
    let server = TestServer::standard().await;
    let mut stream = server.stream("/events?channel=news&format=json").await;
    let mut socket = WebSocket::open(&server, NEWS).await;
    stream.control("open").await;
    socket.message("open").await;
    let events = [
        Event::text("a\nb"),
        Event::json(&json!({ "n": 1 })).unwrap(),
        Event::json("a string").unwrap(),
        Event::binary(vec![0, 255]).named("bytes").unwrap(),
    ];
    for event in events {
        let published = server.hub.try_publish("news", event).unwrap();
        let streamed = stream.event().await;
        let message = socket.message("event").await;
        assert_eq!(message["id"], published.to_string());
        assert_eq!(streamed.last_event_id, published.to_string());
        let envelope: Value = serde_json::from_str(&streamed.data).unwrap();
        assert_eq!(envelope, message);
    }
}

#[tokio::test]
async fn resume_and_gaps() {
    let server = TestServer::standard().await;
    for n in 1..=3 {
        server.publish("news", n);
    }
    for (resume, first, reason) in [
        (id(1), 2, None),
        ("00000009-a1".to_owned(), 1, Some("epoch")),
        ("x&start=earliest".to_owned(), 1, Some("unknown")),
    ] {
        let target = format!("{NEWS}&last_event_id={resume}");
        let mut socket = WebSocket::open(&server, &target).await;
        let open = socket.message("open").await;
        if let Some(reason) = reason {
            assert_eq!(open["id"], Value::Null);
            let gap = socket.message("gap").await;
            assert_eq!(
                (&gap["reason"], &gap["id"]),
                (&reason.into(), &id(0).into())
            );
        }
        for n in first..=3 {
            assert_eq!(socket.message("event").await["data"], n.to_string());
        }
    }
}

#[tokio::test]
async fn changing_the_transport_on_the_way() {
    let server = TestServer::standard().await;
    let mut last = id(0);
    let mut seen = Vec::new();
    for round in 0..6 {
        for n in 0..3 {
            server.publish("news", round * 3 + n);
        }
        let target = format!("{NEWS}&last_event_id={last}");
        if round % 2 == 0 {
            let mut stream = server.stream(&target).await;
            // Two of the three: the next transport has the rest.
            for _ in 0..2 {
                let event = stream.event().await;
                seen.push(event.data);
                last = event.last_event_id;
            }
        } else {
            let mut socket = WebSocket::open(&server, &target).await;
            socket.message("open").await;
            for _ in 0..4 {
                let event = socket.message("event").await;
                seen.push(event["data"].as_str().unwrap().to_owned());
                last = event["id"].as_str().unwrap().to_owned();
            }
        }
    }
    let all: Vec<_> = (0..18).map(|n| n.to_string()).collect();
    assert_eq!(seen, all);
}

#[tokio::test]
async fn a_drain_closes_with_1012() {
    let mut server = TestServer::standard().await;
    let mut socket = WebSocket::open(&server, NEWS).await;
    socket.message("open").await;
    server.begin_shutdown();
    assert_eq!(
        socket.message("draining").await,
        json!({ "type": "draining", "retry": 0 })
    );
    let close = socket.frame().await;
    assert_eq!(
        (close.opcode, &close.payload[..2]),
        (CLOSE, &1012u16.to_be_bytes()[..])
    );
    socket.client.send(frame(CLOSE, &close.payload)).await;
    assert_eq!(socket.client.take_all().await, b"");
    server.finished().await;
}

#[tokio::test]
async fn plain_mode() {
    let server = TestServer::standard().await;
    let refused = handshake("/events?format=plain", &[]);
    server.ask(refused).await.assert_problem(400);
    let mut socket = WebSocket::open(&server, "/events?channel=news&format=plain").await;
    server.publish("news", "t");
    server
        .hub
        .try_publish("news", Event::json(&[1]).unwrap())
        .unwrap();
    server
        .hub
        .try_publish("news", Event::binary(vec![0]))
        .unwrap();
    for (opcode, payload) in [(TEXT, &b"t"[..]), (TEXT, b"[1]"), (BINARY, b"\0")] {
        let frame = socket.frame().await;
        assert_eq!((frame.opcode, &*frame.payload), (opcode, payload));
    }
    // There is no other way to tell of a gap.
    let target = "/events?channel=news&format=plain&last_event_id=00000009-a1";
    let mut socket = WebSocket::open(&server, target).await;
    assert_eq!(socket.close().await, (4000, "gap: epoch".to_owned()));
}
