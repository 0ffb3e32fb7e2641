//! Patterns on the wire: `channel=orders/*`.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use eventcast::{Permissions, ServerConfig, ServiceConfig};
use support::websocket::WebSocket;
use support::{TestServer, get};

#[tokio::test]
async fn a_stream_has_channels_that_are_created_later_each_in_its_envelope() {
    let server = TestServer::open().await;
    let mut stream = server.stream("/events?channel=orders/*").await;
    let opening = stream.block().await;
    assert!(
        opening.contains("{\"channels\":[\"orders/*\"]"),
        "{opening}"
    );
    server.publish("orders/1", "a");
    server.publish("news", "b");
    let id = server.publish("orders/2", "c");
    assert!(stream.block().await.contains("\"channel\":\"orders/1\""));
    let last = stream.block().await;
    assert!(last.contains("\"channel\":\"orders/2\""), "{last}");
    drop(stream);

    // Another channel comes up while the client is away.
    server.publish("orders/3", "d");
    let id = [("Last-Event-ID", &*id)];
    let mut again = server.stream_with("/events?channel=orders/*", &id).await;
    again.block().await;
    assert!(again.block().await.contains("\"channel\":\"orders/3\""));
}

#[tokio::test]
async fn a_websocket_takes_patterns_up_and_lets_them_go() {
    let server = TestServer::open().await;
    let mut socket = WebSocket::open(&server, "/events?channel=a/*").await;
    socket.message("open").await;
    server.publish("a/1", "x");
    assert_eq!(socket.json().await["channel"], "a/1");
    socket
        .send(r#"{"type":"subscribe","channels":["b/*"],"ref":1}"#)
        .await;
    let reply = socket.json().await;
    assert_eq!(reply["channels"], serde_json::json!(["a/*", "b/*"]));
    socket
        .send(r#"{"type":"unsubscribe","channels":["a/*"],"ref":2}"#)
        .await;
    let reply = socket.json().await;
    assert_eq!(reply["channels"], serde_json::json!(["b/*"]));
    server.publish("a/1", "not this");
    server.publish("b/1", "this");
    assert_eq!(socket.json().await["data"], "this");
    socket
        .send(r#"{"type":"subscribe","channels":["c/*"],"start":"earliest","ref":3}"#)
        .await;
    let reply = socket.json().await;
    assert_eq!(reply["code"], "bad_request", "{reply}");
}

#[tokio::test]
async fn nobody_has_a_pattern_unless_allowed() {
    let server = TestServer::standard().await;
    let refused = server.ask(get("/events?channel=*", &[])).await;
    refused.assert_problem(403);
    let mut socket = WebSocket::open(&server, "/events?channel=a").await;
    socket.message("open").await;
    socket
        .send(r#"{"type":"subscribe","channels":["a*"],"ref":1}"#)
        .await;
    let reply = socket.json().await;
    assert_eq!(reply["code"], "forbidden", "{reply}");

    let own = |_: &http::request::Parts| {
        Ok(Permissions::subscribe()
            .with_patterns(|pattern| pattern.prefix().starts_with("user/7/")))
    };
    let config = ServiceConfig::new().with_authenticator(own);
    let server = TestServer::start(support::known_ids(), config, ServerConfig::new()).await;
    let wide = server.ask(get("/events?channel=user/*", &[])).await;
    wide.assert_problem(403);
    server
        .stream("/events?channel=user/7/*")
        .await
        .block()
        .await;
}

#[tokio::test]
async fn a_star_elsewhere_is_a_mistake() {
    let server = TestServer::open().await;
    let response = server.ask(get("/events?channel=a/*/b", &[])).await;
    response.assert_problem(400);
}

#[tokio::test]
async fn the_event_filter_holds_for_ephemeral_events() {
    let server = TestServer::open().await;
    let mut stream = server.stream("/events?channel=room&event=typing").await;
    stream.block().await;
    let named = |name| eventcast::Event::text(name).named(name).unwrap();
    server
        .hub
        .publish_ephemeral("room", named("moved"))
        .unwrap();
    server
        .hub
        .publish_ephemeral("room", named("typing"))
        .unwrap();
    let block = stream.block().await;
    assert!(block.contains("data: typing"), "{block}");
}
