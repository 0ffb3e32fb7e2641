//! Changing what a live session carries, over another connection.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use std::time::Duration;

use eventcast::{Event, Permissions, ServerConfig};
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
        quiet().with_authenticator(only_public),
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

#[tokio::test]
async fn a_poll_that_comes_back_at_once_has_what_was_added() {
    let server = TestServer::standard().await;
    let target = format!("/events?channel=a&transport=poll&session={KEY}");
    server.ask(get(&target, &[])).await.json();
    let target = format!("{target}&last_event_id={}", id(0));
    let mut waiting = server.connect().await;
    waiting.send(get(&target, &[])).await;
    while server.service.subscribers().poll == 0 {
        tokio::task::yield_now().await;
    }
    let mut asking = server.connect().await;
    asking.send(change("POST", KEY, "channel=b")).await;
    let told = waiting.response().await.json();
    assert_eq!(told["events"][0]["type"], "subscribed");
    // Its client does not wait for the answer to the POST.
    server.publish("b", "at once");
    waiting.send(get(&target, &[])).await;
    let answer = waiting.response().await.json();
    assert_eq!(answer["events"][0]["data"], "at once");
    assert_eq!(asking.response().await.head.status, 200);
}

#[tokio::test]
async fn what_is_added_has_the_sessions_options_now_and_after_a_cut() {
    let server = TestServer::standard().await;
    let target = format!("/events?channel=a&event=tick&format=json&session={KEY}");
    let mut stream = server.stream(&target).await;
    stream.control("open").await;
    for query in ["channel=b&event=tock", "channel=b&slow=conflate"] {
        server
            .ask(change("POST", KEY, query))
            .await
            .assert_problem(400);
    }
    server.ask(change("POST", KEY, "channel=b")).await.json();
    stream.control("subscribed").await;
    let tick = |name: &str| Event::text(name).named(name).unwrap();
    server.hub.try_publish("b", tick("tock")).unwrap();
    server.hub.try_publish("b", tick("tick")).unwrap();
    assert!(stream.block().await.contains("\"data\":\"tick\""));
    drop(stream);
    server.assert_sessions_end().await;
    let resume = [("Last-Event-ID", &*id(0))];
    let mut again = server.stream_with(&target, &resume).await;
    again.control("open").await;
    assert!(again.block().await.contains("\"data\":\"tick\""));
}

#[tokio::test]
async fn a_stream_keeps_its_format_when_it_comes_back() {
    let server = TestServer::standard().await;
    let target = format!("/events?channel=a&channel=b&session={KEY}");
    let mut stream = server.stream(&target).await;
    stream.control("open").await;
    server.ask(change("DELETE", KEY, "channel=b")).await.json();
    stream.control("subscribed").await;
    drop(stream);
    server.assert_sessions_end().await;
    let mut again = server.stream(&target).await;
    let (open, _) = again.control("open").await;
    assert_eq!(open["channels"], json!(["a"]));
    server.publish("a", "x");
    assert!(again.block().await.contains("\"channel\":\"a\""));

    drop(again);
    let plain = "/events?channel=a&session=another-key-that-is-hard";
    let stream = server.stream(plain).await;
    drop(stream);
    server.assert_sessions_end().await;
    let refused = server
        .ask(change("POST", "another-key-that-is-hard", "channel=b"))
        .await;
    refused.assert_problem(409);
}

#[tokio::test]
async fn a_key_is_its_principals() {
    let named = |parts: &http::request::Parts| {
        let user = parts
            .headers
            .get("user")
            .and_then(|user| user.to_str().ok());
        Ok(Permissions::subscribe().with_principal(user.unwrap_or("nobody")))
    };
    let service = quiet().with_authenticator(named);
    let server = TestServer::start(known_ids(), service, ServerConfig::new()).await;
    let target = format!("/events?channel=a&format=json&session={KEY}");
    let mut stream = server.stream_with(&target, &[("User", "ann")]).await;
    stream.control("open").await;
    for method in ["POST", "DELETE"] {
        server
            .ask(change(method, KEY, "channel=a"))
            .await
            .assert_problem(404);
    }
    let bob = [("User", "bob")];
    server.ask(get(&target, &bob)).await.assert_problem(403);
    let ann = [("User", "ann"), ("Content-Length", "0")];
    let own = request("POST", &format!("/sessions/{KEY}?channel=b"), &ann);
    assert_eq!(server.ask(own).await.json()["channels"], json!(["a", "b"]));
}

#[tokio::test]
async fn a_change_reaches_every_connection_of_a_key() {
    let server = TestServer::standard().await;
    let target = format!("/events?channel=a&channel=x&format=json&session={KEY}");
    // Its client reads this one: the request of the other, which it gave up, came late.
    let mut read = server.stream(&target).await;
    read.control("open").await;
    let mut late = server.stream(&target).await;
    late.control("open").await;
    let reply = server.ask(change("DELETE", KEY, "channel=x")).await.json();
    assert_eq!(reply["channels"], json!(["a"]));
    server.publish("x", "not any more");
    server.publish("a", "the rest");
    for stream in [&mut read, &mut late] {
        let (told, _) = stream.control("subscribed").await;
        assert_eq!(told["channels"], json!(["a"]));
        assert!(stream.block().await.contains("the rest"));
    }
    // What the older one carries is what the session carries once the newer one is gone.
    drop(late);
    while server.service.subscribers().sse > 1 {
        tokio::task::yield_now().await;
    }
    server.ask(change("POST", KEY, "channel=c")).await.json();
    let (told, _) = read.control("subscribed").await;
    assert_eq!(told["channels"], json!(["a", "c"]));
    drop(read);
    server.assert_sessions_end().await;
    let mut again = server.stream(&target).await;
    let (open, _) = again.control("open").await;
    assert_eq!(open["channels"], json!(["a", "c"]));
}
