//! Tickets: credentials for one connection, in its URL.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::{Denied, Permissions, Revocation, ServerConfig};
use http::request::Parts;
use support::client::Response;
use support::websocket::WebSocket;
use support::{TestServer, get, known_ids, quiet, request};

fn cookie(request: &Parts) -> Result<Permissions, Denied> {
    match request.headers.get("cookie") {
        Some(cookie) if cookie == "user=ann" => Ok(Permissions::all().with_principal("ann")),
        Some(cookie) if cookie.as_bytes().starts_with(b"user=one-of-many-") => {
            Ok(Permissions::all().with_principal(String::from_utf8_lossy(cookie.as_bytes())))
        }
        Some(cookie) if cookie == "user=short" => Ok(Permissions::all()
            .with_principal("short")
            .with_lifetime(Duration::from_secs(5))),
        Some(_) => Ok(Permissions::all()),
        None => Err(Denied::Unauthorized),
    }
}

async fn server() -> TestServer {
    let config = quiet().with_authenticator(cookie);
    TestServer::start(known_ids(), config, ServerConfig::new()).await
}

async fn ask(server: &TestServer, user: &str, query: &str) -> Response {
    let headers = [("Cookie", user), ("Content-Length", "0")];
    let target = format!("/tickets{query}");
    server.ask(request("POST", &target, &headers)).await
}

async fn ticket(server: &TestServer, user: &str, query: &str) -> String {
    let answer = ask(server, user, query).await.json();
    assert_eq!(answer["expires"], 30_000);
    answer["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_ticket_opens_one_connection() {
    let server = server().await;
    let ticket = ticket(&server, "user=ann", "").await;
    let target = format!("/events?channel=a&ticket={ticket}");
    let mut stream = server.stream(&target).await;
    stream.control("open").await;
    // Whoever has read it in a log comes too late.
    server.ask(get(&target, &[])).await.assert_problem(401);
    server.publish("a", "hello");
    assert!(stream.block().await.contains("hello"));
}

#[tokio::test]
async fn a_websocket_may_do_what_its_tickets_owner_may() {
    let server = server().await;
    let ticket = ticket(&server, "user=ann", "").await;
    let target = format!("/events?channel=a&ticket={ticket}");
    let mut socket = WebSocket::open(&server, &target).await;
    socket.message("open").await;
    socket
        .send(r#"{"type":"publish","channel":"a","data":"hello"}"#)
        .await;
    let seen = [socket.json().await, socket.json().await];
    assert!(
        seen.iter().any(|message| message["type"] == "published"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_ticket_is_for_the_channels_that_it_was_asked_for() {
    let server = server().await;
    for (channel, status) in [("b", 403), ("a/1", 403), ("a", 200)] {
        let ticket = ticket(&server, "user=ann", "?channel=a").await;
        let mut client = server.connect().await;
        let target = format!("/events?channel={channel}&ticket={ticket}");
        client.send(get(&target, &[])).await;
        assert_eq!(client.head().await.status, status, "{channel}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_nobody_uses_expires() {
    let server = server().await;
    let late = ticket(&server, "user=ann", "").await;
    tokio::time::advance(Duration::from_secs(30)).await;
    let target = format!("/events?channel=a&ticket={late}");
    server.ask(get(&target, &[])).await.assert_problem(401);
    // So does one whose owner's permissions do.
    let short = ticket(&server, "user=short", "").await;
    tokio::time::advance(Duration::from_secs(6)).await;
    let target = format!("/events?channel=a&ticket={short}");
    server.ask(get(&target, &[])).await.assert_problem(401);
}

#[tokio::test]
async fn tickets_are_for_somebody_and_not_without_end() {
    let server = server().await;
    ask(&server, "user=nobody", "").await.assert_problem(403);
    let denied = request("POST", "/tickets", &[("Content-Length", "0")]);
    server.ask(denied).await.assert_problem(401);
    server.ask(get("/tickets", &[])).await.assert_problem(405);
    for _ in 0..20 {
        ticket(&server, "user=ann", "").await;
    }
    let refused = ask(&server, "user=ann", "").await;
    refused.assert_problem(429);
    assert!(refused.head.header("retry-after").is_some());
    assert_eq!(server.service.refusals().tickets, 1);
    ticket(&server, "user=short", "").await;
}

/// A crowd cannot fill the memory, nor push out tickets that somebody has.
#[tokio::test]
async fn tickets_of_all_together() {
    let server = server().await;
    let mut client = server.connect().await;
    let mut kept = Vec::new();
    for n in 0..500 {
        let cookie = format!("user=one-of-many-{n}");
        let headers = [("Cookie", &*cookie), ("Content-Length", "0")];
        client
            .send(request("POST", "/tickets", &headers).repeat(20))
            .await;
        for _ in 0..20 {
            let answer = client.response().await.json();
            kept.push(answer["ticket"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(kept.len(), 10_000);
    for count in 1..=2 {
        let refused = ask(&server, "user=ann", "").await;
        refused.assert_problem(503);
        assert!(refused.head.header("retry-after").is_some());
        assert_eq!(server.service.refusals().tickets, count);
    }
    // The oldest is as good as the newest, and its place is free once it is used.
    for ticket in [&kept[0], &kept[9_999]] {
        let target = format!("/events?channel=a&ticket={ticket}");
        server.stream(&target).await.control("open").await;
    }
    ticket(&server, "user=ann", "").await;
}

#[tokio::test]
async fn a_revocation_takes_tickets_back() {
    let server = server().await;
    let taken = ticket(&server, "user=ann", "").await;
    server.service.revoke(&Revocation::of_principal("ann"));
    let target = format!("/events?channel=a&ticket={taken}");
    server.ask(get(&target, &[])).await.assert_problem(401);
}

#[tokio::test]
async fn a_guess_is_refused() {
    let server = server().await;
    ticket(&server, "user=ann", "").await;
    for guess in ["", "0", &"0".repeat(32), "%0d%0a", "%00"] {
        let target = format!("/events?channel=a&ticket={guess}");
        server.ask(get(&target, &[])).await.assert_problem(401);
    }
}
