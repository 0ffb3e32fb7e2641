//! Permissions over the life of a session: they expire, are refreshed, are taken back.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::{Action, Denied, Permissions, Revocation, Scope, ServerConfig};
use http::request::Parts;
use serde_json::json;
use support::stream::EventStream;
use support::websocket::WebSocket;
use support::{TestServer, get, id, known_ids, quiet, request};
use tokio::time::Instant;

const KEY: &str = "a-key-that-nobody-guesses";
const LIFETIME: Duration = Duration::from_secs(10);

/// `Bearer NAME CHANNELS`: somebody who may subscribe to these for [`LIFETIME`], for ever if the
/// name is in capitals. The token's id is its text.
fn bearer(request: &Parts) -> Result<Permissions, Denied> {
    let header = request.headers.get("authorization");
    let text = header.and_then(|header| header.to_str().ok());
    let token = text.and_then(|text| text.strip_prefix("Bearer "));
    let token = token.ok_or(Denied::Unauthorized)?;
    let (name, channels) = token.split_once(' ').ok_or(Denied::Unauthorized)?;
    let selectors = channels.split(',').map(|name| name.parse().unwrap());
    let scope = Scope::of(selectors);
    let permissions = Permissions::none()
        .allow(Action::Subscribe, scope)
        .with_principal(name)
        .with_token_id(token);
    Ok(match name.chars().all(char::is_uppercase) {
        true => permissions,
        false => permissions.with_lifetime(LIFETIME),
    })
}

async fn server() -> TestServer {
    let config = quiet().with_authenticator(bearer);
    TestServer::start(known_ids(), config, ServerConfig::new()).await
}

fn as_bearer(token: &str) -> [(&'static str, String); 1] {
    [("Authorization", format!("Bearer {token}"))]
}

fn target(query: &str) -> String {
    format!("/events?format=json&session={KEY}&{query}")
}

async fn stream(server: &TestServer, token: &str, query: &str) -> EventStream {
    let [(name, value)] = as_bearer(token);
    let mut stream = server.stream_with(&target(query), &[(name, &value)]).await;
    stream.control("open").await;
    stream
}

async fn socket(server: &TestServer, token: &str, query: &str) -> WebSocket {
    let [(name, value)] = as_bearer(token);
    let target = format!("/events?{query}");
    let mut socket = WebSocket::open_with(server, &target, &[(name, &value)]).await;
    socket.message("open").await;
    socket
}

async fn refresh(server: &TestServer, token: &str) -> support::client::Response {
    let [(name, value)] = as_bearer(token);
    let path = format!("/sessions/{KEY}/refresh");
    let headers = [(name, &*value), ("Content-Length", "0")];
    server.ask(request("POST", &path, &headers)).await
}

/// Nothing but the end, at its moment.
#[tokio::test(start_paused = true)]
async fn every_transport_ends_as_what_was_allowed_expires() {
    let server = server().await;
    let began = Instant::now();
    let mut stream = stream(&server, "ann a", "channel=a").await;
    let mut socket = socket(&server, "ann a", "channel=a").await;
    let [(name, value)] = as_bearer("ann a");
    let poll = format!("/events?transport=poll&channel=a&last_event_id={}", id(0));
    let mut polling = server.connect().await;
    polling.send(get(&poll, &[(name, &value)])).await;
    let mut lines = server.connect().await;
    let target = "/events?transport=stream&channel=a";
    lines.send(get(target, &[(name, &value)])).await;

    let (end, _) = stream.control("closed").await;
    assert_eq!(end["reason"], "expired");
    let lasted = began.elapsed();
    assert!(
        (LIFETIME..LIFETIME + Duration::from_millis(100)).contains(&lasted),
        "{lasted:?}"
    );
    assert_eq!(socket.close().await, (1008, "expired".to_owned()));
    let answer = polling.response().await.json();
    assert_eq!(answer["end"], "expired");
    lines.take_until(r#""reason":"expired""#).await;
    // The WebSocket waits for an answer to its close, and for no longer than that.
    drop(socket);
    server.assert_sessions_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_makes_a_stream_last() {
    let server = server().await;
    let mut stream = stream(&server, "ann a", "channel=a").await;
    tokio::time::advance(LIFETIME / 2).await;
    let answer = refresh(&server, "ann a").await.json();
    assert_eq!(answer["expires"], LIFETIME.as_millis() as u64);
    tokio::time::advance(LIFETIME - Duration::from_millis(1)).await;
    server.publish("a", "still here");
    assert!(stream.block().await.contains("still here"));
    let (end, _) = stream.control("closed").await;
    assert_eq!(end["reason"], "expired");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_by_message_makes_a_websocket_last() {
    let server = server().await;
    let mut socket = socket(&server, "ann a,b", "channel=a&channel=b").await;
    tokio::time::advance(LIFETIME / 2).await;
    socket
        .send(r#"{"type":"refresh","token":"ANN a","ref":1}"#)
        .await;
    assert_eq!(socket.message("error").await["code"], "forbidden");
    socket
        .send(r#"{"type":"refresh","token":"ann a","ref":2}"#)
        .await;
    // It has become less: the session is told first.
    assert_eq!(socket.message("subscribed").await["channels"], json!(["a"]));
    assert_eq!(socket.message("refreshed").await["ref"], 2);
    tokio::time::advance(LIFETIME - Duration::from_millis(1)).await;
    socket
        .send(r#"{"type":"subscribe","channels":["b"]}"#)
        .await;
    assert_eq!(socket.message("error").await["code"], "forbidden");
    assert_eq!(socket.close().await, (1008, "expired".to_owned()));
}

#[tokio::test]
async fn a_refresh_with_less_narrows_the_session() {
    let server = server().await;
    let mut stream = stream(&server, "ANN a,b/*", "channel=a&channel=b/*").await;
    let answer = refresh(&server, "ANN a").await.json();
    assert_eq!(answer, json!({}));
    let (now, _) = stream.control("subscribed").await;
    assert_eq!(now["channels"], json!(["a"]));
    // Somebody else's credentials are none for this session.
    refresh(&server, "BOB a").await.assert_problem(404);
}

#[tokio::test]
async fn a_revocation_ends_whose_it_is_and_nobody_elses() {
    let server = server().await;
    let mut ann = stream(&server, "ANN a", "channel=a").await;
    let mut bob = socket(&server, "BOB a", "channel=a").await;
    let mut other = socket(&server, "BOB a,b", "channel=a").await;
    server.service.revoke(&Revocation::of_principal("ANN"));
    let (end, _) = ann.control("closed").await;
    assert_eq!(end["reason"], "revoked");
    server.service.revoke(&Revocation::of_token("BOB a"));
    assert_eq!(bob.close().await, (1008, "revoked".to_owned()));
    server.publish("a", "for Bob's other one");
    assert_eq!(other.message("event").await["data"], "for Bob's other one");
}

#[tokio::test]
async fn a_channel_is_taken_from_those_who_have_it() {
    let server = server().await;
    let mut ann = stream(&server, "ANN a,b/*", "channel=a&channel=b/*").await;
    let mut bob = socket(&server, "BOB a", "channel=a").await;
    let revocation = Revocation::of_channel("b/1".parse().unwrap());
    server.service.revoke(&revocation);
    let (now, _) = ann.control("subscribed").await;
    assert_eq!(now["channels"], json!(["a"]));
    // One that has it not is not even told.
    server.publish("a", "goes on");
    assert_eq!(bob.message("event").await["data"], "goes on");
    assert!(ann.block().await.contains("goes on"));

    server
        .service
        .revoke(&Revocation::of_principal("BOB").on("a".parse().unwrap()));
    assert_eq!(bob.message("subscribed").await["channels"], json!([]));
    server.publish("a", "for Ann alone");
    assert!(ann.block().await.contains("for Ann alone"));
    bob.send(r#"{"type":"ping"}"#).await;
    bob.message("pong").await;
}

#[tokio::test]
async fn a_resume_brings_nothing_that_is_not_allowed_any_more() {
    let server = server().await;
    let stream_of_both = stream(&server, "ANN a,b", "channel=a&channel=b").await;
    drop(stream_of_both);
    server.assert_sessions_end().await;
    server.publish("b", "secret by now");
    server.publish("a", "public");
    let [(name, value)] = as_bearer("ANN a");
    let headers = [(name, &*value), ("Last-Event-ID", &*id(0))];
    // Named in the URL it is refused; carried by the key it is left out, and the client is told.
    let refused = get(&target("channel=a&channel=b"), &headers);
    server.ask(refused).await.assert_problem(403);
    let mut again = server.stream_with(&target(""), &headers).await;
    let (open, _) = again.control("open").await;
    assert_eq!(open["channels"], json!(["a"]));
    assert!(again.block().await.contains("public"));
}

#[tokio::test]
async fn a_guessed_key_is_nobodys() {
    let server = server().await;
    let _stream = stream(&server, "ANN a", "channel=a").await;
    let [(name, value)] = as_bearer("BOB a");
    let headers = [(name, &*value), ("Content-Length", "0")];
    for (method, path) in [
        ("POST", format!("/sessions/{KEY}?channel=a")),
        ("DELETE", format!("/sessions/{KEY}?channel=a")),
        ("POST", format!("/sessions/{KEY}/refresh")),
    ] {
        let response = server.ask(request(method, &path, &headers)).await;
        response.assert_problem(404);
    }
    let take_over = get(&target("channel=a"), &[(name, &value)]);
    server.ask(take_over).await.assert_problem(403);
}
