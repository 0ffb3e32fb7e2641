//! Changing what a live session carries, over another connection.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use std::time::Duration;

use eventcast::ServerConfig;
use serde_json::json;
use support::{TestServer, get, id, known_ids, only_public, quiet, request};

const KEY: &str = "a-key-that-nobody-guesses";

fn change(method: &str, key: &str, query: &str) -> String {
    request(
        method,
        &format!("/sessions/{key}?{query}"),
        &[("Content-Length", "0")],
    )
}

#[tokio::test]
async fn a_stream_takes_channels_up_and_lets_them_go() {
    let server = TestServer::standard().await;
    let mut stream = server.stream("/events?channel=a&format=json").await;
    let (open, _) = stream.control("open").await;
    let key = open["session"].as_str().unwrap().to_owned();
    server.publish("b", "before");
    let reply = server
        .ask(change("POST", &key, "channel=b&start=earliest"))
        .await;
    assert_eq!(reply.head.status, 200, "{}", reply.head.text);
    let reply = reply.json();
    assert_eq!(reply["channels"], json!(["a", "b"]));
    assert_eq!(reply["id"], id(1));
    assert_eq!(reply["history"][0]["channel"], "b");
    assert_eq!(reply["history"][0]["events"][0]["data"], "before");
    // The stream says so too, in its place.
    let (told, at) = stream.control("subscribed").await;
    assert_eq!(told["channels"], json!(["a", "b"]));
    assert_eq!(at, id(1));
    server.publish("b", "after");
    assert!(stream.block().await.contains("\"data\":\"after\""));

    let reply = server.ask(change("DELETE", &key, "channel=a")).await.json();
    assert_eq!(reply["channels"], json!(["b"]));
    stream.control("subscribed").await;
    server.publish("a", "not this");
    server.publish("b", "this");
    assert!(stream.block().await.contains("\"data\":\"this\""));
}

#[tokio::test]
async fn the_key_brings_the_channels_back_after_a_cut() {
    let server = TestServer::standard().await;
    let target = format!("/events?channel=a&channel=c&session={KEY}");
    let mut stream = server.stream(&target).await;
    let (open, _) = stream.control("open").await;
    assert_eq!(open["session"], KEY);
    server.ask(change("POST", KEY, "channel=b")).await.json();
    server.ask(change("DELETE", KEY, "channel=c")).await.json();
    stream.control("subscribed").await;
    stream.control("subscribed").await;
    drop(stream);
    server.assert_sessions_end().await;
    server.publish("b", "meanwhile");
    server.publish("c", "not any more");
    // The same URL, as an EventSource has it; a new channel in it would count.
    let target = format!("{target}&channel=d");
    let resume = [("Last-Event-ID", &*id(0))];
    let mut again = server.stream_with(&target, &resume).await;
    let (open, _) = again.control("open").await;
    assert_eq!(open["channels"], json!(["a", "b", "d"]));
    assert!(again.block().await.contains("meanwhile"));
}

#[tokio::test]
async fn a_polling_client_changes_between_two_polls() {
    let server = TestServer::standard().await;
    let first = server
        .ask(get("/events?channel=a&transport=poll", &[]))
        .await
        .json();
    let key = first["session"].as_str().unwrap().to_owned();
    let reply = server.ask(change("POST", &key, "channel=b/*")).await;
    reply.assert_problem(403);
    let reply = server.ask(change("POST", &key, "channel=b")).await.json();
    assert_eq!(reply["channels"], json!(["a", "b"]));
    server
        .ask(change("POST", &key, "channel=c&start=earliest"))
        .await
        .assert_problem(409);
    server.publish("b", "hello");
    let target = format!(
        "/events?transport=poll&session={key}&last_event_id={}",
        id(0)
    );
    let answer = server.ask(get(&target, &[])).await.json();
    assert_eq!(answer["events"][0]["data"], "hello");
    assert_eq!(answer["session"], key);
}

#[tokio::test]
async fn what_is_refused() {
    let server = TestServer::start(
        known_ids().with_max_session_channels(2),
        quiet().with_authorizer(only_public),
        ServerConfig::new(),
    )
    .await;
    let target = format!("/events?channel=public/a&format=json&session={KEY}");
    let mut stream = server.stream(&target).await;
    stream.control("open").await;
    let unknown = "nobody-ever-had-this-key-here";
    for (request, status) in [
        (change("POST", unknown, "channel=public/b"), 404),
        (change("POST", KEY, "channel=secret"), 403),
        (change("POST", KEY, ""), 400),
        (
            change("POST", KEY, "channel=public/b&channel=public/c"),
            400,
        ),
        (change("GET", KEY, "channel=public/b"), 405),
    ] {
        server.ask(request).await.assert_problem(status);
    }
    let mut plain = server.stream("/events?channel=public/a").await;
    let (open, _) = plain.control("open").await;
    let key = open["session"].as_str().unwrap();
    let refused = server.ask(change("POST", key, "channel=public/b")).await;
    refused.assert_problem(409);
    // Of the refused ones nothing was done.
    let reply = server
        .ask(change("POST", KEY, "channel=public/b"))
        .await
        .json();
    assert_eq!(reply["channels"], json!(["public/a", "public/b"]));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_left_is_forgotten_in_time() {
    let keep = Duration::from_secs(60);
    let service = quiet().with_session_keep(keep);
    let server = TestServer::start(known_ids(), service, ServerConfig::new()).await;
    let first = server
        .ask(get("/events?channel=a&transport=poll", &[]))
        .await
        .json();
    let key = first["session"].as_str().unwrap().to_owned();
    tokio::time::advance(keep / 2).await;
    assert_eq!(
        server
            .ask(change("POST", &key, "channel=b"))
            .await
            .head
            .status,
        200
    );
    tokio::time::advance(keep).await;
    server
        .ask(change("POST", &key, "channel=c"))
        .await
        .assert_problem(404);
}
