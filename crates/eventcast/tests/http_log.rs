//! A service whose hub's log is outside it: what clients are told of the log, and of what it refuses.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::pin::pin;

use eventcast::{EventService, Hub, HubConfig, Server};
use eventcast_testkit::{AppendFault, MemoryLog};
use support::websocket::WebSocket;
use support::{TestServer, get, post, quiet};

/// One more node of a log.
async fn node(log: &MemoryLog) -> TestServer {
    let hub = Hub::open(HubConfig::new(), log.node()).await.unwrap();
    let service = EventService::new(hub, quiet().with_authenticator(support::everything));
    let server = Server::bind("127.0.0.1:0", service.clone()).await.unwrap();
    TestServer::run(server, service)
}

#[tokio::test]
async fn a_publish_that_failed_says_whether_to_try_again() {
    let log = MemoryLog::new();
    let server = node(&log).await;
    let key = [("Idempotency-Key", "order-7")];
    let publish = async || server.ask(post("/channels/news", &key, "x")).await;
    for (fault, status) in [
        (AppendFault::Full, 507),
        (AppendFault::NotStored, 503),
        (AppendFault::UnknownLost, 504),
        (AppendFault::UnknownStored, 504),
    ] {
        log.fail_next(fault);
        let refused = publish().await;
        refused.assert_problem(status);
        let is_later = refused.head.header("retry-after").is_some();
        assert_eq!(is_later, status == 503, "{fault:?}");
    }
    // The last one was stored after all; with its key it is stored once.
    let stored = publish().await;
    assert_eq!((stored.head.status, log.len()), (200, 1));
}

#[tokio::test]
async fn a_websockets_publish_that_failed_says_so_too() {
    let log = MemoryLog::new();
    let server = node(&log).await;
    let mut socket = WebSocket::open(&server, "/events?channel=news").await;
    socket.message("open").await;
    for (fault, code) in [
        (AppendFault::Full, "unavailable"),
        (AppendFault::NotStored, "unavailable"),
        (AppendFault::UnknownLost, "timeout"),
    ] {
        log.fail_next(fault);
        let publish = r#"{"type":"publish","channel":"other","data":"x"}"#;
        socket.send(publish).await;
        assert_eq!(socket.json().await["code"], code, "{fault:?}");
    }
}

#[tokio::test]
async fn subscribers_are_told_that_the_log_is_away_and_back() {
    let log = MemoryLog::new();
    let server = node(&log).await;
    let mut stream = server.stream("/events?channel=news").await;
    let mut socket = WebSocket::open(&server, "/events?channel=news").await;
    stream.control("open").await;
    socket.message("open").await;
    log.stall();
    stream.control("stalled").await;
    socket.message("stalled").await;
    // It takes new sessions all the same.
    assert_eq!(server.ask(get("/healthz", &[])).await.head.status, 200);
    log.recover();
    stream.control("recovered").await;
    socket.message("recovered").await;
    server.ask(post("/channels/news", &[], "after")).await;
    assert_eq!(stream.event().await.data, "after");
    assert_eq!(socket.json().await["data"], "after");
}

#[tokio::test]
async fn a_poll_waits_while_the_log_is_away() {
    let log = MemoryLog::new();
    let server = node(&log).await;
    let stored = server.ask(post("/channels/news", &[], "1")).await.json();
    let id = stored["id"].as_str().unwrap();
    log.stall();
    let target = format!("/events?channel=news&transport=poll&wait=30&last_event_id={id}");
    let mut poll = pin!(server.ask(get(&target, &[])));
    let waits = async {
        while server.service.subscribers().poll == 0 {
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::select! {
        biased;
        answer = &mut poll => answer,
        () = waits => {
            log.recover();
            poll.await
        }
    };
    let answer = answer.json();
    let told: Vec<&str> = answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["stalled", "recovered"]);
}

#[tokio::test]
async fn an_id_of_one_service_is_good_at_another() {
    let log = MemoryLog::new();
    let (one, other) = (node(&log).await, node(&log).await);
    let first = one.ask(post("/channels/news", &[], "1")).await.json();
    one.ask(post("/channels/news", &[], "2")).await;
    let id = [("Last-Event-ID", first["id"].as_str().unwrap())];
    let mut stream = other.stream_with("/events?channel=news", &id).await;
    assert_eq!(stream.event().await.data, "2");
    one.ask(post("/channels/news", &[], "3")).await;
    assert_eq!(stream.event().await.data, "3");
}
