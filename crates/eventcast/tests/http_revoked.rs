//! What was taken back is not had again: not by asking over the open connection, nor by a request
//! that was on its way.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use eventcast::{Authenticator, Denied, Limits, Permissions, Revocation, ServerConfig};
use http::request::Parts;
use serde_json::json;
use support::client::{Client, Response};
use support::websocket::{TEXT, WebSocket, frame};
use support::{TestServer, get, known_ids, quiet, request, within};
use tokio::sync::Notify;

const KEY: &str = "a-key-that-nobody-guesses";

/// Everybody is Ann and may do everything. A request with the header `Slow` is held up after that
/// was found out.
#[derive(Default)]
struct Slow {
    reached: Notify,
    goes_on: Notify,
}

#[derive(Clone, Default)]
struct Ann(Arc<Slow>);

#[async_trait]
impl Authenticator for Ann {
    async fn authenticate(&self, request: &Parts) -> Result<Permissions, Denied> {
        if request.headers.contains_key("slow") {
            self.0.reached.notify_one();
            self.0.goes_on.notified().await;
        }
        Ok(Permissions::all().with_principal("ann"))
    }
}

async fn server() -> (TestServer, Ann) {
    let ann = Ann::default();
    let config = quiet().with_authenticator(ann.clone());
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    (server, ann)
}

async fn ask(socket: &mut WebSocket, request: &str, kind: &str) -> serde_json::Value {
    socket.send(request).await;
    socket.message(kind).await
}

#[tokio::test]
async fn a_websocket_does_not_get_it_back_by_asking() {
    let (server, _) = server().await;
    let mut socket = WebSocket::open(&server, "/events?channel=a&channel=b").await;
    socket.message("open").await;
    let revocation = Revocation::of_principal("ann").on("a".parse().unwrap());
    server.service.revoke(&revocation);
    assert_eq!(socket.message("subscribed").await["channels"], json!(["b"]));
    for request in [
        r#"{"type":"subscribe","channels":["a"]}"#,
        r#"{"type":"subscribe","channels":["*"]}"#,
        r#"{"type":"subscribe","channels":["c","a"]}"#,
        r#"{"type":"publish","channel":"a","data":"x"}"#,
    ] {
        let refused = ask(&mut socket, request, "error").await;
        assert_eq!(refused["code"], "forbidden", "{request}");
        if request.contains("c\",") {
            assert_eq!(refused["channels"], json!(["a"]));
        }
    }
    let joined = ask(
        &mut socket,
        r#"{"type":"subscribe","channels":["c"]}"#,
        "subscribed",
    );
    assert_eq!(joined.await["channels"], json!(["b", "c"]));
    server.publish("a", "not for this one");
    let published = r#"{"type":"publish","channel":"d","data":"x"}"#;
    ask(&mut socket, published, "published").await;
}

/// Has a request authenticated, then takes something back, then lets the request go on.
async fn overtaken(server: &TestServer, ann: &Ann, request: String, what: &Revocation) -> Response {
    let mut client: Client = server.connect().await;
    client.send(request).await;
    within(ann.0.reached.notified()).await;
    server.service.revoke(what);
    ann.0.goes_on.notify_one();
    client.response().await
}

#[tokio::test]
async fn what_was_on_its_way_comes_too_late() {
    let (server, ann) = server().await;
    let slow = [("Slow", "yes"), ("Content-Length", "0")];
    let target = format!("/events?channel=b&format=json&session={KEY}");
    let mut stream = server.stream(&target).await;
    stream.control("open").await;
    let channel = Revocation::of_channel("a".parse().unwrap());

    let add = request("POST", &format!("/sessions/{KEY}?channel=a"), &slow);
    overtaken(&server, &ann, add, &channel)
        .await
        .assert_problem(401);
    let refresh = request("POST", &format!("/sessions/{KEY}/refresh"), &slow);
    overtaken(&server, &ann, refresh, &channel)
        .await
        .assert_problem(401);
    let ticket = request("POST", "/tickets", &slow);
    overtaken(&server, &ann, ticket, &channel)
        .await
        .assert_problem(401);
    let subscribe = get("/events?channel=a", &slow[..1]);
    overtaken(&server, &ann, subscribe, &channel)
        .await
        .assert_problem(401);
    // The session was given the channel, and lost it before anything came.
    server.publish("a", "not for this one");
    server.publish("b", "for this one");
    loop {
        let event = stream.next().await.unwrap();
        match event.event_type() {
            "eventcast.subscribed" => {}
            _ => {
                assert!(event.data.contains("for this one"), "{event:?}");
                assert!(!event.data.contains("not for"), "{event:?}");
                return;
            }
        }
    }
}

#[tokio::test]
async fn who_sends_too_much_and_does_not_listen_is_cut_off() {
    let config = quiet().with_limits(Limits::new().with_messages_per_second(1));
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    let mut socket = WebSocket::open(&server, "/events?channel=a").await;
    // What makes no sense counts as well.
    let messages = [frame(TEXT, b"{}"), frame(TEXT, br#"{"type":"ping"}"#)].concat();
    let _ = socket.client.try_send(messages.repeat(1_000)).await;
    let (code, _) = socket.close().await;
    assert_eq!(code, 1008);
    assert!(server.service.refusals().messages >= 999);
    drop(socket);
    server.assert_serves().await;
}
