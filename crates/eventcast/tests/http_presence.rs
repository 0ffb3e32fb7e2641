//! Who is on a channel, over real sockets and every transport.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use std::time::Duration;

use eventcast::{
    Denied, HubConfig, Member, Permissions, PresenceConfig, Revocation, ServerConfig, ServiceConfig,
};
use http::request::Parts;
use serde_json::{Value, json};
use support::stream::EventStream;
use support::websocket::WebSocket;
use support::{TestServer, get, post, quiet, within};

/// Everybody is who his header says.
fn by_name(parts: &Parts) -> Result<Permissions, Denied> {
    let permissions = Permissions::all();
    let name = parts.headers.get("x-user").and_then(|v| v.to_str().ok());
    Ok(match name {
        Some("nobody") => Permissions::subscribe().with_principal("nobody"),
        Some(name) => permissions.with_principal(name),
        None => permissions,
    })
}

fn user(name: &str) -> [(&str, &str); 1] {
    [("X-User", name)]
}

fn hub(grace: Duration) -> HubConfig {
    let presence = PresenceConfig::new()
        .with_interval(Duration::from_millis(10))
        .with_leave_grace(grace);
    HubConfig::new().with_presence(presence)
}

async fn server_with(grace: Duration, config: ServiceConfig) -> TestServer {
    TestServer::start(hub(grace), config, ServerConfig::new()).await
}

async fn server(grace: Duration) -> TestServer {
    server_with(grace, quiet().with_authenticator(by_name)).await
}

const SHORT: Duration = Duration::from_millis(50);
/// Nobody leaves within a test but by his word.
const LONG: Duration = Duration::from_secs(3_600);

/// What is told until there are so many members: `+ann`, `=ann`, `-ann`, of each kind sorted.
async fn until(stream: &mut EventStream, members: usize) -> Vec<String> {
    within(async {
        let mut seen = Vec::new();
        loop {
            let (told, _) = stream.control("presence").await;
            for (key, sign) in [("joins", '+'), ("updates", '='), ("leaves", '-')] {
                let list = told[key].as_array().cloned().unwrap_or_default();
                let member = |m: &Value| format!("{sign}{}", m["member"].as_str().unwrap());
                seen.extend(list.iter().map(member));
            }
            if told["members"] == members {
                return seen;
            }
        }
    })
    .await
}

async fn watch(server: &TestServer) -> EventStream {
    let target = "/events?channel=room&presence=watch";
    let mut stream = server.stream_with(target, &user("zoe")).await;
    stream.control("open").await;
    stream
}

async fn listed(server: &TestServer, query: &str) -> Value {
    let target = format!("/channels/room/presence{query}");
    let reply = server.ask(get(&target, &user("zoe"))).await;
    assert_eq!(reply.head.status, 200, "{}", reply.head.text);
    reply.json()
}

#[tokio::test]
async fn members_join_and_leave_over_every_transport() {
    let server = server(SHORT).await;
    let mut watch = watch(&server).await;
    for transport in ["sse", "stream", "poll"] {
        let target = format!("/events?channel=room&presence&transport={transport}");
        let mut client = server.connect().await;
        client.send(get(&target, &user("ann"))).await;
        assert_eq!(until(&mut watch, 1).await, ["+ann"], "{transport}");
        // A poll is answered by this, and its client does not ask again.
        if transport != "poll" {
            let list = listed(&server, "").await;
            assert_eq!(list["list"][0]["member"], "ann");
            assert_eq!(list["list"][0]["connections"], 1);
        }
        drop(client);
        let left = until(&mut watch, 0).await;
        assert_eq!(left, ["-ann"], "{transport}");
    }
    let target = "/events?channel=room&presence=1";
    let socket = WebSocket::open_with(&server, target, &user("ann")).await;
    assert_eq!(until(&mut watch, 1).await, ["+ann"]);
    drop(socket);
    assert_eq!(until(&mut watch, 0).await, ["-ann"]);
}

#[tokio::test]
async fn who_comes_back_never_left() {
    let server = server(LONG).await;
    let mut watch = watch(&server).await;
    for _ in 0..3 {
        let target = "/events?channel=room&presence&state=here";
        let mut stream = server.stream_with(target, &user("ann")).await;
        stream.control("open").await;
        within(async { while listed(&server, "?count").await["connections"] != 1 {} }).await;
        drop(stream);
        within(async { while listed(&server, "?count").await["connections"] != 0 {} }).await;
        assert_eq!(listed(&server, "").await["list"][0]["state"], "here");
    }
    let _bob = server
        .hub
        .presence()
        .enter("room", Member::new("bob").unwrap());
    assert_eq!(until(&mut watch, 2).await, ["+ann", "+bob"]);
}

#[tokio::test]
async fn a_websocket_enters_updates_and_leaves_by_its_word() {
    let server = server(LONG).await;
    let mut watch = watch(&server).await;
    let mut socket = WebSocket::open_with(&server, "/events", &user("ann")).await;
    socket.message("open").await;
    let subscribe =
        r#"{"type":"subscribe","ref":1,"channels":["room","o*"],"presence":true,"state":{"a":1}}"#;
    socket.send(subscribe).await;
    socket.message("subscribed").await;
    assert_eq!(until(&mut watch, 1).await, ["+ann"]);
    let told = socket.message("ephemeral").await;
    assert_eq!(told["event"], "eventcast.presence");
    assert_eq!(told["channel"], "room");
    assert_eq!(
        told["data"]["joins"],
        json!([{"member": "ann", "state": {"a": 1}}])
    );

    // Of a channel that it has by a pattern it is told, and is not on it.
    let bob = server
        .hub
        .presence()
        .enter("other", Member::new("bob").unwrap());
    let told = socket.message("ephemeral").await;
    assert_eq!(told["channel"], "other");
    assert_eq!(told["data"]["members"], 1);
    drop(bob);

    socket
        .send(r#"{"type":"update","ref":2,"channel":"room","state":"away"}"#)
        .await;
    assert_eq!(socket.message("updated").await["ref"], 2);
    assert_eq!(until(&mut watch, 1).await, ["=ann"]);
    assert_eq!(listed(&server, "").await["list"][0]["state"], "away");
    socket.message("ephemeral").await;

    socket.send(r#"{"type":"update","channel":"other"}"#).await;
    assert_eq!(socket.message("error").await["code"], "not_found");
    socket
        .send(r#"{"type":"unsubscribe","channels":["room"]}"#)
        .await;
    socket.message("unsubscribed").await;
    assert_eq!(until(&mut watch, 0).await, ["-ann"]);
}

#[tokio::test]
async fn a_websockets_url_says_how_it_subscribes() {
    let server = server(LONG).await;
    let target = "/events?channel=room&presence";
    let mut ann = WebSocket::open_with(&server, target, &user("ann")).await;
    ann.message("open").await;
    ann.message("ephemeral").await;
    ann.send(r#"{"type":"subscribe","channels":["b"]}"#).await;
    ann.message("subscribed").await;
    assert_eq!(ann.message("ephemeral").await["channel"], "b");
    ann.send(r#"{"type":"subscribe","channels":["c"],"presence":false}"#)
        .await;
    ann.message("subscribed").await;
    let presence = server.hub.presence();
    assert_eq!(presence.occupancy("b").unwrap().members, 1);
    assert_eq!(presence.occupancy("c").unwrap().members, 0);
}

#[tokio::test]
async fn a_streams_state_and_channels_change_over_its_key() {
    let server = server(LONG).await;
    let mut watch = watch(&server).await;
    let target = "/events?channel=a&presence&format=json";
    let mut stream = server.stream_with(target, &user("ann")).await;
    let (open, _) = stream.control("open").await;
    let key = open["session"].as_str().unwrap();
    let ask = |method: &'static str, path: String, name: &'static str, body: &'static str| {
        let request = post(&path, &user(name), body);
        let request = String::from_utf8(request).unwrap();
        let request = request.replacen("POST", method, 1);
        server.ask(request)
    };
    let joined = ask("POST", format!("/sessions/{key}?channel=room"), "ann", "").await;
    assert_eq!(joined.head.status, 200);
    assert_eq!(until(&mut watch, 1).await, ["+ann"]);
    let path = format!("/sessions/{key}/presence?channel=room");
    let set = ask("POST", path.clone(), "ann", "away").await;
    assert_eq!(set.head.status, 200, "{}", set.head.text);
    assert_eq!(until(&mut watch, 1).await, ["=ann"]);
    ask("POST", path.clone(), "bob", "hi")
        .await
        .assert_problem(404);
    let elsewhere = format!("/sessions/{key}/presence?channel=nowhere");
    ask("POST", elsewhere, "ann", "hi")
        .await
        .assert_problem(409);
    let large = "x".repeat(2_000).leak();
    ask("POST", path, "ann", large).await.assert_problem(413);
    let left = ask("DELETE", format!("/sessions/{key}?channel=room"), "ann", "").await;
    assert_eq!(left.head.status, 200);
    assert_eq!(until(&mut watch, 0).await, ["-ann"]);
}

#[tokio::test]
async fn only_who_may_sees_and_is_seen() {
    let server = server(SHORT).await;
    let ask = |target: &'static str, name: &'static str| server.ask(get(target, &user(name)));
    ask("/channels/room/presence", "nobody")
        .await
        .assert_problem(403);
    ask("/channels/room/presence?count=1", "nobody")
        .await
        .assert_problem(403);
    ask("/events?channel=room&presence=watch", "nobody")
        .await
        .assert_problem(403);
    ask("/events?channel=room&presence=1", "nobody")
        .await
        .assert_problem(403);
    ask("/events?channel=room&presence=maybe", "ann")
        .await
        .assert_problem(400);
    // Without a principal there is nobody to be.
    let anonymous = server.ask(get("/events?channel=room&presence", &[])).await;
    anonymous.assert_problem(403);
    let named = server.ask(get("/events?channel=room&presence&member=ann", &[]));
    named.await.assert_problem(403);
    server
        .ask(post("/channels/room/history/presence", &[], "x"))
        .await;

    let mut socket = WebSocket::open_with(&server, "/events", &user("nobody")).await;
    socket.message("open").await;
    socket
        .send(r#"{"type":"subscribe","channels":["room"],"presence":true}"#)
        .await;
    assert_eq!(socket.message("error").await["code"], "forbidden");
    socket
        .send(r#"{"type":"subscribe","channels":["room"],"presence":1}"#)
        .await;
    assert_eq!(socket.message("error").await["code"], "bad_request");
    socket.send(r#"{"type":"update","channel":"room"}"#).await;
    assert_eq!(socket.message("error").await["code"], "forbidden");
    assert_eq!(listed(&server, "?count").await["members"], 0);
    // Nobody from outside tells who is there.
    let forged = post("/channels/room?event=eventcast.presence", &user("ann"), "x");
    server.ask(forged).await.assert_problem(400);
}

#[tokio::test]
async fn clients_name_themselves_where_that_is_allowed() {
    let config = quiet().with_authenticator(by_name).with_named_members(true);
    let server = server_with(SHORT, config).await;
    let mut watch = watch(&server).await;
    let target = "/events?channel=room&presence&member=guest%201";
    let mut stream = server.stream(target).await;
    stream.control("open").await;
    assert_eq!(until(&mut watch, 1).await, ["+guest 1"]);
    // A principal stays who he is.
    let target = "/events?channel=room&presence&member=guest";
    let mut other = server.stream_with(target, &user("ann")).await;
    other.control("open").await;
    assert_eq!(until(&mut watch, 2).await, ["+ann"]);
    for bad in ["", "%0A"] {
        let target = format!("/events?channel=room&presence&member={bad}");
        server.ask(get(&target, &[])).await.assert_problem(400);
    }
}

#[tokio::test]
async fn members_come_in_pages() {
    let server = server(LONG).await;
    let presence = server.hub.presence();
    let enter = |id: &str| presence.enter("room", Member::new(id).unwrap()).unwrap();
    let _all = ["a", "b\"", "c d"].map(enter);
    let first = listed(&server, "?limit=2").await;
    assert_eq!(first["members"], 3);
    assert_eq!(first["list"].as_array().unwrap().len(), 2);
    assert_eq!(first["next"], "b\"");
    let rest = listed(&server, "?limit=2&after=b%22").await;
    assert_eq!(rest["list"][0]["member"], "c d");
    assert_eq!(rest["next"], Value::Null);
    let counts = listed(&server, "?count").await;
    assert_eq!(
        counts,
        json!({"channel": "room", "members": 3, "connections": 3})
    );
    server
        .ask(get("/channels/room/presence?after=%01", &user("zoe")))
        .await
        .assert_problem(400);
}

#[tokio::test]
async fn a_full_channel_refuses() {
    let presence = PresenceConfig::new().with_max_connections_per_channel(1);
    let server = TestServer::start(
        HubConfig::new().with_presence(presence),
        quiet().with_authenticator(by_name),
        ServerConfig::new(),
    )
    .await;
    let mut ann = server
        .stream_with("/events?channel=room&presence", &user("ann"))
        .await;
    ann.control("open").await;
    let refused = server
        .ask(get("/events?channel=room&presence", &user("bob")))
        .await;
    refused.assert_problem(503);
    let mut socket = WebSocket::open_with(&server, "/events", &user("bob")).await;
    socket.message("open").await;
    socket
        .send(r#"{"type":"subscribe","channels":["room"],"presence":true}"#)
        .await;
    assert_eq!(socket.message("error").await["code"], "unavailable");
    socket
        .send(r#"{"type":"subscribe","channels":["room"]}"#)
        .await;
    socket.message("subscribed").await;
    assert_eq!(listed(&server, "?count").await["members"], 1);
}

#[tokio::test]
async fn what_is_taken_back_is_left() {
    let server = server(LONG).await;
    let mut watch = watch(&server).await;
    let mut stream = server
        .stream_with("/events?channel=room&channel=b&presence", &user("ann"))
        .await;
    stream.control("open").await;
    let mut socket = WebSocket::open_with(
        &server,
        "/events?channel=room&channel=b&presence",
        &user("bob"),
    )
    .await;
    socket.message("open").await;
    let mut seen = until(&mut watch, 2).await;
    seen.sort();
    assert_eq!(seen, ["+ann", "+bob"]);
    for name in ["ann", "bob"] {
        let revocation = Revocation::of_principal(name).on("room".parse().unwrap());
        server.service.revoke(&revocation);
    }
    let mut seen = until(&mut watch, 0).await;
    seen.sort();
    assert_eq!(seen, ["-ann", "-bob"]);
}
