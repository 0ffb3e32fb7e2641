//! WebSockets over HTTP/2 (RFC 8441): each is a stream, and tungstenite speaks it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use eventcast::{AllowedOrigins, ServerConfig};
use futures_util::{SinkExt, StreamExt};
use http::Method;
use serde_json::{Value, json};
use support::http2::Http2;
use support::{TestServer, everything, id, known_ids, quiet, within};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const NEWS: &str = "/events?channel=news";

type Socket = WebSocketStream<DuplexStream>;

async fn message(socket: &mut Socket) -> Message {
    let message = within(socket.next()).await;
    message.expect("the socket goes on").unwrap()
}

async fn json_message(socket: &mut Socket) -> Value {
    serde_json::from_str(message(socket).await.to_text().unwrap()).unwrap()
}

async fn opened(client: &Http2, target: &str) -> Socket {
    let (_, mut socket) = client.websocket(target, &[]).await;
    assert_eq!(json_message(&mut socket).await["type"], "open");
    socket
}

#[tokio::test]
async fn events_and_requests() {
    let server = TestServer::open().await;
    let client = Http2::connect(&server).await;
    let (head, mut socket) = client.websocket(NEWS, &[]).await;
    assert_eq!(head.status(), 200);
    for name in ["sec-websocket-accept", "connection", "upgrade"] {
        assert!(!head.headers().contains_key(name), "{head:?}");
    }
    let open = json_message(&mut socket).await;
    assert_eq!(
        (&open["type"], &open["id"]),
        (&json!("open"), &json!(id(0)))
    );
    assert_eq!(server.service.subscribers().websocket, 1);

    server.publish("news", "hello");
    let event = json_message(&mut socket).await;
    let expected = json!({"id": id(1), "channel": "news", "data": "hello"});
    for key in ["id", "channel", "data"] {
        assert_eq!(event[key], expected[key], "{event}");
    }

    let request = json!({"type": "publish", "channel": "news", "data": "mine", "ref": 1});
    socket.send(request.to_string().into()).await.unwrap();
    let mut seen = [
        json_message(&mut socket).await,
        json_message(&mut socket).await,
    ];
    seen.sort_by_key(|message| message["type"] == "published");
    assert_eq!(seen[0]["data"], "mine", "{seen:?}");
    assert_eq!(seen[1]["id"], id(2), "{seen:?}");

    socket.send(Message::Ping("x".into())).await.unwrap();
    assert_eq!(message(&mut socket).await, Message::Pong("x".into()));
    socket.close(None).await.unwrap();
    assert!(matches!(message(&mut socket).await, Message::Close(_)));
    assert!(within(socket.next()).await.is_none());
    server.assert_sessions_end().await;
}

#[tokio::test]
async fn the_subprotocol_that_was_offered() {
    let server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let offers = [("sec-websocket-protocol", "mine, eventcast.v1+plain")];
    let (head, mut socket) = client.websocket(NEWS, &offers).await;
    assert_eq!(
        head.headers()["sec-websocket-protocol"],
        "eventcast.v1+plain"
    );
    server.publish("news", "hello");
    assert_eq!(message(&mut socket).await, Message::text("hello"));
}

/// A large event is many frames of HTTP/2, and one message.
#[tokio::test]
async fn messages_larger_than_a_window() {
    let server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let mut socket = opened(&client, NEWS).await;
    let text = "x".repeat(300 << 10);
    for _ in 0..3 {
        server.publish("news", &text);
        assert_eq!(json_message(&mut socket).await["data"], text);
    }
}

#[tokio::test]
async fn a_cut_and_a_resume() {
    let server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let mut socket = opened(&client, NEWS).await;
    server.publish("news", "one");
    let seen = json_message(&mut socket).await["id"].clone();
    client.running.abort();
    server.assert_sessions_end().await;
    server.publish("news", "two");

    // Over another transport of the same version, and back.
    let client = Http2::connect(&server).await;
    let seen = seen.as_str().unwrap();
    let mut stream = client.stream(NEWS, &[("last-event-id", seen)]).await;
    let event = stream.event().await;
    assert_eq!(event.data, "two");
    server.publish("news", "three");
    let target = format!("{NEWS}&last_event_id={}", event.last_event_id);
    let mut socket = opened(&client, &target).await;
    assert_eq!(json_message(&mut socket).await["data"], "three");
}

/// A reset stream ends its session, and the connection goes on.
#[tokio::test]
async fn a_reset_ends_the_session() {
    let server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let mut kept = opened(&client, NEWS).await;
    let (_, answer) = client.extended("websocket", NEWS, &[]).await;
    answer.reset();
    within(async {
        while server.service.subscribers().websocket > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.publish("news", "still there");
    assert_eq!(json_message(&mut kept).await["data"], "still there");
}

#[tokio::test]
async fn what_is_refused() {
    let origins = AllowedOrigins::same_origin().and("https://app.test");
    let service = quiet()
        .with_authenticator(everything)
        .with_allowed_origins(origins);
    let server = TestServer::start(known_ids(), service, ServerConfig::new()).await;
    let client = Http2::connect(&server).await;
    let foreign = [("origin", "https://elsewhere.test")];
    let version = [("sec-websocket-version", "12")];
    for (protocol, target, headers, status) in [
        ("websocket", NEWS, &foreign[..], 403),
        ("websocket", NEWS, &version, 426),
        ("websocket", "/events?channel=%0a", &[], 400),
        ("websocket", "/events?format=plain", &[], 400),
        ("websocket", "/channels/news", &[], 405),
        ("websocket", "/elsewhere", &[], 404),
        ("connect-udp", NEWS, &[], 501),
        ("connect-udp", NEWS, &foreign, 403),
    ] {
        let (head, mut answer) = client.extended(protocol, target, headers).await;
        assert_eq!(head.status(), status, "{protocol} {target}");
        let kind = &head.headers()["content-type"];
        assert_eq!(kind, "application/problem+json");
        let mut text = Vec::new();
        while let Some(data) = answer.data().await {
            text.extend_from_slice(&data.unwrap());
        }
        let problem: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(problem["status"], status, "{problem}");
    }
    for origin in ["http://events.test", "https://app.test"] {
        let (_, mut socket) = client.websocket(NEWS, &[("origin", origin)]).await;
        assert_eq!(json_message(&mut socket).await["type"], "open");
    }

    // A CONNECT of the old kind asks for a tunnel.
    let mut request = client.request(Method::CONNECT, "", &[]);
    *request.uri_mut() = "events.test:80".parse().unwrap();
    let (head, _) = client.try_send(request, "").await.unwrap();
    assert_eq!(head.status(), 404);
}

#[tokio::test]
async fn a_shutdown_closes() {
    let mut server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let mut socket = opened(&client, NEWS).await;
    server.begin_shutdown();
    assert_eq!(json_message(&mut socket).await["type"], "draining");
    match message(&mut socket).await {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1012),
        other => panic!("{other:?}"),
    }
    assert!(within(socket.next()).await.is_none());
    drop(socket);
    client.ended().await;
    server.finished().await;
}

/// Sessions of both kinds, many on one connection.
#[tokio::test]
async fn sockets_and_streams_side_by_side() {
    let server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let (mut sockets, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        sockets.push(opened(&client, NEWS).await);
        streams.push(client.stream(NEWS, &[]).await);
    }
    for n in 1..=10 {
        server.publish("news", n);
    }
    for n in 1..=10 {
        for socket in &mut sockets {
            assert_eq!(json_message(socket).await["id"], id(n));
        }
        for stream in &mut streams {
            assert_eq!(stream.event().await.last_event_id, id(n));
        }
    }
}
