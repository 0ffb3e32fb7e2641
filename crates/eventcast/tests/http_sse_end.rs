//! Event streams: how they end, from either side.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::{End, EventService, Hub, Server, ServerConfig, ServiceConfig};
use support::{TestServer, get, known_ids, quiet, within};
use tokio::net::TcpStream;

const DRAINING: &str = "event: eventcast.draining\nretry: 0\ndata: {\"reason\":\"draining\"}\n\n";

#[tokio::test]
async fn a_shutdown_ends_every_stream_properly() {
    // No other limit ends a connection in the shutdown's place.
    let never = Duration::from_secs(3_600);
    let config = ServerConfig::new()
        .with_header_timeout(never)
        .with_shutdown_grace(never);
    let mut server = TestServer::start(known_ids(), quiet(), config).await;
    let mut streams = Vec::new();
    for n in 0..20 {
        let mut stream = server.stream(&format!("/events?channel=c{n}")).await;
        stream.control("open").await;
        streams.push(stream);
    }
    let mut idle = server.connect().await;
    idle.send(get("/healthz", &[])).await;
    idle.response().await;
    let mut silent = server.connect().await;
    assert_eq!(server.service.subscribers().sse, 20);

    server.begin_shutdown();
    for mut stream in streams {
        assert_eq!(stream.rest().await, DRAINING);
        assert_eq!(stream.client.take_all().await, b"");
    }
    assert_eq!(idle.take_all().await, b"");
    assert_eq!(silent.take_all().await, b"");
    let address = server.address;
    server.finished().await;

    let refused = within(TcpStream::connect(address)).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn what_is_ready_comes_before_the_end() {
    let mut server = TestServer::standard().await;
    let mut stream = server.stream("/events?channel=news").await;
    stream.control("open").await;
    let event = server.publish("news", "last words");
    assert_eq!(stream.event().await.last_event_id, event);
    server.begin_shutdown();
    assert_eq!(stream.rest().await, DRAINING);
    server.finished().await;
}

#[tokio::test]
async fn the_port_can_be_bound_again_at_once() {
    let mut server = TestServer::standard().await;
    let address = server.address;
    for round in 0..3 {
        let mut stream = server.stream("/events?channel=news").await;
        stream.control("open").await;
        server.begin_shutdown();
        assert_eq!(stream.rest().await, DRAINING);
        server.finished().await;
        server = TestServer::start_at(address, known_ids(), quiet(), ServerConfig::new()).await;
        assert_eq!(server.address, address, "round {round}");
    }
    server.assert_serves().await;
}

#[tokio::test]
async fn a_service_that_ended_its_sessions_takes_no_new_ones() {
    let server = TestServer::open().await;
    let mut stream = server.stream("/events?channel=news").await;
    server.service.end_sessions(End::Closed);
    let end = "event: eventcast.closed\ndata: {\"reason\":\"closed\"}\n\n";
    assert!(stream.rest().await.ends_with(end));
    server.assert_sessions_end().await;

    for target in ["/events?channel=news", "/healthz"] {
        let response = server.ask(get(target, &[])).await;
        response.assert_problem(503);
        let seconds = response.head.header("retry-after").unwrap();
        assert!(seconds.parse::<u64>().unwrap() > 0);
    }
    let publish = support::post("/channels/news", &[], "still taken");
    assert_eq!(server.ask(publish).await.head.status, 200);
    assert_eq!(server.hub.stats().channels, 1);
}

#[tokio::test]
async fn a_shutdown_waits_no_longer_than_its_grace() {
    let config = ServerConfig::new().with_shutdown_grace(Duration::from_millis(100));
    let mut server = TestServer::start(known_ids(), quiet(), config).await;
    let mut half = server.connect().await;
    half.send("GET /events HTTP/1.1\r\nHo").await;
    server.assert_serves().await;
    server.begin_shutdown();
    server.finished().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_session() {
    let server = TestServer::standard().await;
    let open = async || {
        let mut stream = server.stream("/events?channel=news").await;
        stream.control("open").await;
        assert_eq!(server.service.subscribers().sse, 1);
        stream.client
    };

    drop(open().await);
    server.assert_sessions_end().await;

    open().await.reset();
    server.assert_sessions_end().await;

    // Half-closed: nobody who waits for events says that nothing more will be asked.
    let mut client = open().await;
    client.finish().await;
    server.assert_sessions_end().await;
    client.take_all().await;
}

/// With bytes behind its request, or a body that it owes, hyper does not look for a client's end.
#[tokio::test]
async fn bytes_behind_the_request_do_not_hide_that_a_client_left() {
    let server = TestServer::standard().await;
    let target = "/events?channel=news";
    let pipelined = get(target, &[]) + "GET /healthz HTTP/1.1\r\n";
    let owing = get(target, &[("Content-Length", "10")]) + "abc";
    for request in [pipelined, owing] {
        let mut client = server.connect().await;
        client.send(request).await;
        client.take_until("eventcast.open").await;
        drop(client);
        server.assert_sessions_end().await;
    }
}

#[tokio::test]
async fn a_client_that_sends_without_end_is_cut() {
    let server = TestServer::standard().await;
    let mut client = server.connect().await;
    client.send(get("/events?channel=news", &[])).await;
    client.take_until("eventcast.open").await;
    while client.try_send(vec![b'x'; 16 << 10]).await.is_ok() {}
    server.assert_sessions_end().await;
}

#[tokio::test]
async fn a_draining_service_tells_an_event_source_to_come_back() {
    let server = TestServer::standard().await;
    server.service.end_sessions(End::Draining { retry: None });
    let response = server.ask(get("/events?channel=news", &[])).await;
    assert_eq!(response.head.status, 200);
    let body = String::from_utf8(response.body).unwrap();
    assert!(body.contains("event: eventcast.open\nretry: "), "{body}");
    assert!(
        body.ends_with("event: eventcast.draining\ndata: {\"reason\":\"draining\"}\n\n"),
        "{body}"
    );
    server.ask(get("/healthz", &[])).await.assert_problem(503);
}

#[tokio::test]
async fn a_request_that_is_dropped_leaves_nothing() {
    let server = TestServer::standard().await;
    for _ in 0..50 {
        let mut client = server.connect().await;
        client.send(get("/events?channel=news", &[])).await;
        client.reset();
    }
    server.assert_serves().await;
    server.assert_sessions_end().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let server = TestServer::standard().await;
    let service = EventService::new(Hub::new(), ServiceConfig::new());
    let taken = Server::bind(server.address, service).await.unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn limits_that_are_never_met() {
    let never = Duration::MAX;
    let config = ServerConfig::new()
        .with_header_timeout(never)
        .with_write_timeout(never)
        .with_shutdown_grace(never);
    let service = quiet()
        .with_body_timeout(never)
        .with_write_timeout(never)
        .with_retry(never);
    let mut server = TestServer::start(known_ids(), service, config).await;
    server.assert_serves().await;
    server.begin_shutdown();
    server.finished().await;
}
