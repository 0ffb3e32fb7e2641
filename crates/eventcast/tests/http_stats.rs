//! What an administrator sees of channels and sessions: pages of JSON.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::BTreeSet;

use eventcast::{Action, Denied, Permissions, Retention, Scope, ServerConfig};
use http::request::Parts;
use serde_json::{Value, json};
use support::client::Client;
use support::stream::EventStream;
use support::websocket::WebSocket;
use support::{TestServer, get, id, known_ids, post, quiet, within};

/// Whoever says so is an administrator, and others are who they say.
fn authenticate(request: &Parts) -> Result<Permissions, Denied> {
    let said = |name| request.headers.get(name)?.to_str().ok();
    let mut permissions = Permissions::subscribe();
    if let Some(name) = said("user") {
        permissions = permissions.with_principal(name);
    }
    Ok(match said("admin") {
        Some("all") => permissions.allow(Action::Administer, Scope::everything()),
        Some(_) => permissions.allow(Action::Administer, Scope::channels(|_| true)),
        None => permissions,
    })
}

async fn server() -> TestServer {
    let hub = known_ids().with_retention(Retention::new().with_count(3));
    let config = quiet().with_authenticator(authenticate);
    TestServer::start(hub, config, ServerConfig::new()).await
}

const ADMIN: [(&str, &str); 1] = [("Admin", "all")];

async fn page(server: &TestServer, target: &str) -> Value {
    let answer = server.ask(get(target, &ADMIN)).await;
    assert_eq!(answer.head.status, 200, "{target}");
    assert_eq!(answer.head.header("cache-control"), Some("no-store"));
    answer.json()
}

/// All of a list, by pages of this many.
async fn walk(server: &TestServer, list: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let target = format!("/stats/{list}?limit={limit}{after}");
        let page = page(server, &target).await;
        let found = page[list].as_array().unwrap();
        assert!(found.len() <= limit);
        all.extend_from_slice(found);
        let Some(next) = page.get("next") else {
            return all;
        };
        // A page that is not the last one is full.
        assert_eq!(found.len(), limit);
        after = format!("&after={}", next.as_str().unwrap());
    }
}

#[tokio::test]
async fn channels_with_their_bounds() {
    let server = server().await;
    for n in 0..5 {
        server.publish("log", n);
    }
    let _stream = server.stream("/events?channel=log&channel=quiet").await;
    let _other = server.stream("/events?channel=log").await;
    server.publish("answer", "whole");
    server.hub.channel("answer").unwrap().complete().unwrap();
    server
        .hub
        .channel("broken")
        .unwrap()
        .fail("a reason")
        .unwrap();

    let seen = page(&server, "/stats/channels").await;
    assert_eq!(seen["position"], id(8));
    assert_eq!(seen.get("next"), None);
    let log = &seen["channels"][2];
    let bytes = log["bytes"].as_u64().unwrap();
    assert!(bytes > 0);
    let expected = json!({
        "channel": "log", "subscribers": 2, "events": 3, "bytes": bytes,
        "first": id(3), "last": id(5),
    });
    assert_eq!(*log, expected);
    let of = |name: &str| {
        let all = seen["channels"].as_array().unwrap();
        all.iter().find(|seen| seen["channel"] == name).unwrap()
    };
    assert_eq!(of("answer")["completed"], "complete");
    assert_eq!(of("broken")["completed"], "failed");
    let quiet = json!({ "channel": "quiet", "subscribers": 1, "events": 0, "bytes": 0 });
    assert_eq!(*of("quiet"), quiet);
}

#[tokio::test]
async fn pages_have_every_channel_once() {
    let server = server().await;
    let names: BTreeSet<String> = (0..23).map(|n| format!("channel/{n}")).collect();
    for name in &names {
        server.publish(name, "x");
    }
    for limit in [1, 7, 23, 100] {
        let all = walk(&server, "channels", limit).await;
        let seen: Vec<&str> = all.iter().map(|c| c["channel"].as_str().unwrap()).collect();
        assert_eq!(seen, names.iter().collect::<Vec<_>>(), "{limit}");
    }
    // Zero is one, and nobody asks for all of a million at once.
    let one = page(&server, "/stats/channels?limit=0").await;
    assert_eq!(one["channels"].as_array().unwrap().len(), 1);
    for n in 0..1_001 {
        server.publish(&format!("many/{n}"), "x");
    }
    let most = page(&server, "/stats/channels?limit=9999999").await;
    assert_eq!(most["channels"].as_array().unwrap().len(), 1_000);
    assert!(most.get("next").is_some());
}

#[tokio::test]
async fn sessions_and_who_they_are_of() {
    const KEY: &str = "a-key-that-only-its-client-has";
    let server = server().await;
    let keyed = format!("/events?channel=a&channel=b&session={KEY}");
    let mut stream = server.stream_with(&keyed, &[("User", "ann")]).await;
    stream.control("open").await;
    let mut socket = WebSocket::open(&server, "/events?channel=a").await;
    socket.message("open").await;

    let text = server.ask(get("/stats/sessions", &ADMIN)).await.body;
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains(KEY), "{text}");
    let seen = caught_up(&server).await;
    let age = |index: usize| seen[index]["age"].as_u64().unwrap();
    let expected = json!([
        { "number": 0, "transport": "sse", "age": age(0), "lag": 0, "channels": 2, "principal": "ann" },
        { "number": 1, "transport": "websocket", "age": age(1), "lag": 0, "channels": 1 },
    ]);
    assert_eq!(Value::from(seen), expected);

    drop((stream, socket));
    server.assert_sessions_end().await;
    assert!(walk(&server, "sessions", 10).await.is_empty());
}

/// The sessions, once each has read all that is there for it.
async fn caught_up(server: &TestServer) -> Vec<Value> {
    within(async {
        loop {
            let all = walk(server, "sessions", 100).await;
            if all.iter().all(|session| session["lag"] == 0) {
                return all;
            }
        }
    })
    .await
}

#[tokio::test]
async fn pages_have_every_session_once() {
    let server = server().await;
    let mut streams = Vec::new();
    for _ in 0..9 {
        streams.push(server.stream("/events?channel=a").await);
    }
    for limit in [1, 4, 9, 100] {
        let all = walk(&server, "sessions", limit).await;
        let seen: BTreeSet<u64> = all.iter().map(|s| s["number"].as_u64().unwrap()).collect();
        assert_eq!((all.len(), seen), (9, (0..9).collect()), "{limit}");
    }
    // One that comes takes the place of one that left, under a number of its own.
    streams.remove(4);
    within(async {
        while server.service.subscribers().sse != 8 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    streams.push(server.stream("/events?channel=a").await);
    let all = walk(&server, "sessions", 2).await;
    let seen: BTreeSet<u64> = all.iter().map(|s| s["number"].as_u64().unwrap()).collect();
    assert_eq!((all.len(), seen.contains(&9)), (9, true));
}

#[tokio::test]
async fn who_reads_too_slowly_is_behind() {
    let server = server().await;
    let mut client = Client::connect_narrow(server.address).await;
    client.send(get("/events?channel=a", &[])).await;
    // Nothing reads what comes; sooner or later the server cannot write more.
    let big = "x".repeat(64 << 10);
    let lag = within(async {
        loop {
            server.publish("a", &big);
            let sessions = walk(&server, "sessions", 10).await;
            match sessions.first().and_then(|session| session["lag"].as_u64()) {
                Some(lag) if lag > 5 => return lag,
                _ => {}
            }
        }
    })
    .await;
    let position = page(&server, "/stats").await;
    assert!(lag <= position["published"].as_u64().unwrap());
    // What is published elsewhere while somebody waits is no lag of his.
    let mut other = server.stream("/events?channel=b").await;
    server.publish("b", "1");
    other.event().await;
    within(async {
        loop {
            let sessions = walk(&server, "sessions", 10).await;
            if sessions[1]["lag"] == 0 {
                return;
            }
        }
    })
    .await;
    server.publish("a", "2");
    assert_eq!(walk(&server, "sessions", 10).await[1]["lag"], 0);
    let mut stream = EventStream::read_from(client).await;
    stream.control("open").await;
}

#[tokio::test]
async fn only_administrators_of_everything_see_them() {
    let server = server().await;
    for path in ["/stats/channels", "/stats/sessions"] {
        server.ask(get(path, &[])).await.assert_problem(403);
        let some = server.ask(get(path, &[("Admin", "some")])).await;
        some.assert_problem(403);
        server.ask(post(path, &ADMIN, "")).await.assert_problem(405);
        let mut client = server.connect().await;
        client.send(support::request("HEAD", path, &ADMIN)).await;
        assert_eq!(client.head().await.status, 200);
    }
    for bad in [
        "/stats/channels?after=%0A",
        "/stats/channels?after=%ff",
        "/stats/channels?limit=-1",
        "/stats/sessions?after=x",
        "/stats/sessions?after=-1",
        "/stats/sessions?limit=x",
    ] {
        server.ask(get(bad, &ADMIN)).await.assert_problem(400);
    }
    // Past the end there is nothing, and nothing else happens.
    let last = format!("/stats/sessions?after={}", usize::MAX);
    assert_eq!(page(&server, &last).await["sessions"], json!([]));
    assert_eq!(
        page(&server, "/stats/channels?after=zzz").await["channels"],
        json!([])
    );
    server
        .ask(get("/stats/else", &ADMIN))
        .await
        .assert_problem(404);
    server.assert_serves().await;
}
