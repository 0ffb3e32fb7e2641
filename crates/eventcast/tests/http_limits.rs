//! What one client may have, and all together: a limit is an answer, never a hang.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use eventcast::{
    ClientAddress, Denied, EventService, Hub, Limits, Permissions, Server, ServerConfig,
    ServiceConfig, TrustedProxies,
};
use futures_util::future::try_join_all;
use http::request::Parts;
use support::websocket::WebSocket;
use support::{TestServer, get, known_ids, post, quiet, within};
use tokio::net::TcpStream;

/// Whoever the header `User` names.
fn user(request: &Parts) -> Result<Permissions, Denied> {
    let user = request.headers.get("user");
    Ok(match user.and_then(|user| user.to_str().ok()) {
        Some(user) => Permissions::all().with_principal(user),
        None => Permissions::all(),
    })
}

/// Behind a proxy on this machine, so that requests can come from anywhere.
async fn server(limits: Limits) -> TestServer {
    let proxies = TrustedProxies::none().and("127.0.0.1").unwrap();
    let config = quiet()
        .with_authenticator(user)
        .with_trusted_proxies(proxies)
        .with_limits(limits);
    TestServer::start(known_ids(), config, ServerConfig::new()).await
}

const NEWS: &str = "/events?channel=news";

#[tokio::test]
async fn sessions_of_one_principal() {
    let server = server(Limits::new().with_sessions_per_principal(2)).await;
    let ann = [("User", "ann")];
    let first = server.stream_with(NEWS, &ann).await;
    let _second = WebSocket::open_with(&server, NEWS, &ann).await;
    let refused = server.ask(get(NEWS, &ann)).await;
    refused.assert_problem(429);
    assert_eq!(refused.head.header("retry-after"), Some("5"));
    server.stream_with(NEWS, &[("User", "bob")]).await;
    assert_eq!(server.service.refusals().sessions, 1);
    drop(first);
    while server.service.subscribers().sse > 0 {
        tokio::task::yield_now().await;
    }
    server.stream_with(NEWS, &ann).await;
}

#[tokio::test]
async fn sessions_from_one_address() {
    let server = server(Limits::new().with_sessions_per_address(2)).await;
    let from = |address| [("X-Forwarded-For", address)];
    let _first = server.stream_with(NEWS, &from("192.0.2.1")).await;
    let _second = server.stream_with(NEWS, &from("192.0.2.1")).await;
    // What the client wrote itself does not help it.
    let refused = server
        .ask(get(NEWS, &from("198.51.100.7, 192.0.2.1")))
        .await;
    refused.assert_problem(429);
    server.stream_with(NEWS, &from("192.0.2.2")).await;
    // An IPv6 subscriber has 2⁶⁴ addresses.
    let _third = server.stream_with(NEWS, &from("2001:db8::1")).await;
    let _fourth = server.stream_with(NEWS, &from("2001:db8::2")).await;
    let refused = server.ask(get(NEWS, &from("2001:db8::3"))).await;
    refused.assert_problem(429);
    server.stream_with(NEWS, &from("2001:db8:0:1::3")).await;
}

#[tokio::test]
async fn sessions_in_all() {
    let server = server(Limits::new().with_sessions(2)).await;
    let _first = server.stream(NEWS).await;
    let second = WebSocket::open(&server, NEWS).await;
    let refused = server.ask(get(NEWS, &[])).await;
    refused.assert_problem(503);
    assert_eq!(refused.head.header("retry-after"), Some("5"));
    drop(second);
    while server.service.subscribers().websocket > 0 {
        tokio::task::yield_now().await;
    }
    server.stream(NEWS).await;
}

#[tokio::test]
async fn sessions_opened_at_once() {
    let server = server(Limits::new().with_opened_per_second(2)).await;
    let mut refused = 0;
    for _ in 0..20 {
        let mut client = server.connect().await;
        client.send(get(NEWS, &[])).await;
        refused += u64::from(client.head().await.status == 503);
    }
    // However slow the machine is, some are too many.
    assert!(refused > 0);
    assert_eq!(server.service.refusals().opened, refused);
}

#[tokio::test]
async fn what_one_writes_in_a_second() {
    let server = server(Limits::new().with_writes_per_second(3)).await;
    let publish = |header| post("/channels/news", &[header], "x");
    let mut refused = 0;
    for _ in 0..30 {
        let response = server.ask(publish(("User", "ann"))).await;
        refused += u64::from(response.head.status == 429);
    }
    assert!(refused > 0);
    assert_eq!(server.service.refusals().writes, refused);
    for other in [("User", "bob"), ("X-Forwarded-For", "192.0.2.1")] {
        assert_eq!(server.ask(publish(other)).await.head.status, 200);
    }
}

#[tokio::test]
async fn messages_of_one_websocket() {
    let server = server(Limits::new().with_messages_per_second(5)).await;
    let mut socket = WebSocket::open(&server, NEWS).await;
    socket.message("open").await;
    for _ in 0..50 {
        socket.send(r#"{"type":"ping"}"#).await;
    }
    let mut refused = 0;
    for _ in 0..50 {
        let answer = socket.json().await;
        if answer["type"] == "error" {
            assert_eq!(answer["code"], "rate_limited");
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert_eq!(server.service.refusals().messages, refused);
    // It goes on, and so do its events.
    server.publish("news", "hello");
    assert_eq!(socket.message("event").await["data"], "hello");
    WebSocket::open(&server, NEWS).await;
}

#[tokio::test]
async fn messages_of_one_websocket_in_plain_mode() {
    let server = server(Limits::new().with_messages_per_second(1)).await;
    let mut socket = WebSocket::open(&server, &format!("{NEWS}&format=plain")).await;
    let _ = socket
        .client
        .try_send(support::websocket::frame(1, b"x").repeat(2))
        .await;
    // The first one is refused in its own way, unless the second was seen before.
    let (code, _) = socket.close().await;
    assert!(matches!(code, 1003 | 1008), "{code}");
}

#[tokio::test]
async fn a_long_query() {
    let server = server(Limits::new().with_query(100)).await;
    let long = format!("{NEWS}&x={}", "y".repeat(100));
    server.ask(get(&long, &[])).await.assert_problem(414);
    server.assert_serves().await;
}

#[tokio::test]
async fn connections_of_a_server() {
    let config = ServerConfig::new().with_max_connections(2);
    let server = TestServer::start(known_ids(), quiet(), config).await;
    let mut first = server.stream(NEWS).await;
    first.control("open").await;
    let socket = WebSocket::open(&server, NEWS).await;
    let mut third = server.connect().await;
    let answer = String::from_utf8(third.take_all().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Retry-After: "), "{answer}");
    assert_eq!(server.service.refusals().connections, 1);
    // The others are served all the same, and a place that is free is given again.
    server.publish("news", "hello");
    assert!(first.block().await.contains("hello"));
    drop(socket);
    within(async {
        loop {
            let mut client = server.connect().await;
            if client.try_send(get("/healthz", &[])).await.is_ok()
                && client.head().await.status == 200
            {
                return;
            }
        }
    })
    .await;
}

/// An address of this machine that is not its own by name: connections from it are counted.
/// Nothing is sent to learn it.
fn outer_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let route = socket.connect("198.51.100.1:9");
    route.expect("this test needs a network, or any address but 127.0.0.1");
    socket.local_addr().unwrap().ip()
}

/// A server that is reached over that address, and lets two connections come from each.
async fn reached_from_outside(config: ServiceConfig) -> TestServer {
    let two = ServerConfig::new().with_max_connections_per_address(2);
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    let mut server = TestServer::start_at(any, known_ids(), config, two).await;
    server.address.set_ip(outer_address());
    server
}

#[tokio::test]
async fn connections_of_one_address() {
    let mut server = reached_from_outside(quiet()).await;
    let mut first = server.stream(NEWS).await;
    first.control("open").await;
    let second = WebSocket::open(&server, NEWS).await;
    // What it says of itself is nobody's word.
    for header in ["X-Forwarded-For: 192.0.2.9", "Forwarded: for=192.0.2.9"] {
        let mut client = server.connect().await;
        let ask = format!("GET {NEWS} HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n");
        let _ = client.try_send(ask).await;
        let answer = String::from_utf8_lossy(&client.take_all().await).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    assert_eq!(server.service.refusals().connections, 2);
    drop(second);
    while server.service.subscribers().websocket > 0 {
        tokio::task::yield_now().await;
    }
    within(async {
        loop {
            let mut client = server.connect().await;
            if client.try_send(get(NEWS, &[])).await.is_ok() && client.receive().await {
                let head = client.head().await;
                if head.status == 200 {
                    return;
                }
            }
        }
    })
    .await;
    // Others, and this machine itself, are not held to it.
    server.address.set_ip([127, 0, 0, 1].into());
    for _ in 0..3 {
        server.assert_serves().await;
    }
}

/// Many clients come through one proxy: its connections are not counted, its clients' sessions are.
#[tokio::test]
async fn connections_of_a_trusted_proxy() {
    let proxies = TrustedProxies::none().and(&outer_address().to_string());
    let limits = Limits::new().with_sessions_per_address(1);
    let config = quiet()
        .with_trusted_proxies(proxies.unwrap())
        .with_limits(limits);
    let server = reached_from_outside(config).await;
    let mut held = Vec::new();
    for (name, client) in [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-For", "192.0.2.2"),
        ("Forwarded", "for=192.0.2.3"),
        ("Forwarded", "for=\"[2001:db8::1]:4711\""),
    ] {
        held.push(server.stream_with(NEWS, &[(name, client)]).await);
        let refused = server.ask(get(NEWS, &[(name, client)])).await;
        refused.assert_problem(429);
    }
    let refusals = server.service.refusals();
    assert_eq!((refusals.connections, refusals.sessions), (0, 4));
}

/// Many come and go: what they took is there again.
#[tokio::test]
async fn many_connects_leave_nothing_behind() {
    let limits = Limits::new()
        .with_sessions_per_address(3)
        .with_opened_per_second(u32::MAX);
    let server = server(limits).await;
    let from = [("X-Forwarded-For", "192.0.2.1")];
    for _ in 0..300 {
        let mut client = server.connect().await;
        client.send(get(NEWS, &from)).await;
        while client.head().await.status != 200 {
            // The one before is still being noticed.
            client = server.connect().await;
            client.send(get(NEWS, &from)).await;
        }
        client.reset();
    }
    server.assert_sessions_end().await;
    server.stream_with(NEWS, &from).await;
}

#[tokio::test]
async fn a_service_without_addresses_has_no_limits_for_them() {
    let config = ServiceConfig::new().with_limits(Limits::new().with_sessions_per_address(1));
    let service = EventService::new(Hub::new(), config);
    let ask = |address: Option<ClientAddress>| {
        let mut request = http::Request::get(NEWS)
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        request.extensions_mut().extend(
            address
                .map(|address| {
                    let mut extensions = http::Extensions::new();
                    extensions.insert(address);
                    extensions
                })
                .unwrap_or_default(),
        );
        service.handle(request)
    };
    let (first, second) = (ask(None).await, ask(None).await);
    assert_eq!(
        (first.status(), second.status()),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    let address = ClientAddress::new([192, 0, 2, 1].into());
    let first = ask(Some(address)).await;
    let second = tokio::time::timeout(Duration::from_secs(20), ask(Some(address))).await;
    assert_eq!(first.status(), 200);
    assert_eq!(second.unwrap().status(), 429);
}

/// Nobody accepts yet, and nobody's handshake is dropped.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crowd_that_connects_at_once() {
    let service = EventService::new(Hub::new(), quiet());
    let server = Server::bind("127.0.0.1:0", service).await.unwrap();
    let crowd = (0..300).map(|_| TcpStream::connect(server.local_addr()));
    within(try_join_all(crowd)).await.unwrap();
}
