//! Draining: who is sent away when, and what is answered meanwhile.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use eventcast::{Event, EventService, Hub, Server, ServerConfig, ServiceConfig};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use support::client::Client;
use support::http2::Http2;
use support::stream::EventStream;
use support::websocket::{WebSocket, handshake};
use support::{TestServer, everything, get, known_ids, post, quiet, within};
use tokio::time::Instant;

const NEWS: &str = "/events?channel=news";
const HOUR: Duration = Duration::from_secs(3_600);

async fn start(service: ServiceConfig) -> TestServer {
    let service = EventService::new(Hub::with_config(known_ids()), service);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(any, service.clone()).await.unwrap();
    let config = ServerConfig::new()
        .with_drain_window(HOUR)
        .with_shutdown_grace(HOUR);
    TestServer::run(server.with_config(config), service)
}

async fn drains(server: &TestServer) {
    within(async {
        while server.ask(get("/healthz", &[])).await.head.status == 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What the block of a drain tells to wait, in milliseconds.
fn draining_retry(block: &str) -> u64 {
    let rest = block.strip_prefix("event: eventcast.draining\nretry: ");
    let (millis, rest) = rest.unwrap().split_once('\n').unwrap();
    assert_eq!(rest, "data: {\"reason\":\"draining\"}\n\n");
    millis.parse().unwrap()
}

#[tokio::test]
async fn while_it_drains_sessions_go_on_and_new_ones_are_sent_elsewhere() {
    let retry = Duration::from_secs(4);
    let mut server = start(quiet().with_authenticator(everything).with_retry(retry)).await;
    // Of so many over an hour, most are there for all of this test.
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = server.stream(NEWS).await;
        stream.control("open").await;
        streams.push(stream);
    }
    server.begin_shutdown();
    drains(&server).await;

    server
        .ask(get("/healthz", &[]))
        .await
        .assert_problem(StatusCode::SERVICE_UNAVAILABLE.as_u16());
    let answer = server.ask(post("/channels/news", &[], "still")).await;
    assert_eq!(answer.head.status, 200);
    assert_eq!(answer.head.header("connection"), Some("close"));
    let history = server.ask(get("/channels/news/history", &[])).await;
    assert_eq!(history.head.status, 200);
    for stream in &mut streams {
        assert_eq!(stream.event().await.data, "still");
    }

    let refused = server.ask(handshake(NEWS, &[])).await;
    refused.assert_problem(503);
    let seconds: u64 = refused.head.header("retry-after").unwrap().parse().unwrap();
    assert!((2..=6).contains(&seconds), "{seconds}");
    let mut told = Vec::new();
    for _ in 0..8 {
        let mut refused = server.stream(NEWS).await;
        refused.control("open").await;
        told.push(draining_retry(&refused.block().await));
        assert!(refused.next().await.is_none());
    }
    assert!(
        told.iter().all(|millis| (2_000..=6_000).contains(millis)),
        "{told:?}"
    );
    assert!(told.iter().any(|millis| *millis != told[0]), "{told:?}");
    let poll = [("Accept", "application/json")];
    let document = server.ask(get(NEWS, &poll)).await.json();
    assert_eq!(document["end"], "draining");
    assert!(document["retry"].as_u64().is_some(), "{document}");

    // In a hurry now.
    within(server.service.drain(Duration::ZERO)).await;
    for mut stream in streams {
        let (_, id) = stream.control("draining").await;
        assert!(!id.is_empty());
        assert_eq!(stream.rest().await, "");
    }
    server.finished().await;
}

#[tokio::test]
async fn every_transport_is_told() {
    let server = start(quiet().with_retry(Duration::from_secs(4))).await;
    let mut stream = server.connect().await;
    stream
        .send(get(NEWS, &[("Accept", "application/x-ndjson")]))
        .await;
    stream.take_until("open").await;
    let id = server.publish("news", "x");
    stream.take_until("\"x\"").await;
    let mut poll = server.connect().await;
    let target = format!("{NEWS}&last_event_id={id}");
    poll.send(get(&target, &[("Accept", "application/json")]))
        .await;
    let mut websocket = WebSocket::open(&server, NEWS).await;
    websocket.message("open").await;
    let client = Http2::connect(&server).await;
    let mut event_stream = client.stream(NEWS, &[]).await;
    event_stream.control("open").await;
    within(async {
        while server.service.subscribers().poll == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    drop(server.service.drain(Duration::ZERO));
    let retry = |millis: &serde_json::Value| {
        let millis = millis.as_u64().unwrap();
        assert!((2_000..=6_000).contains(&millis), "{millis}");
    };
    stream.take_until("{\"type\":\"draining\",\"retry\":").await;
    stream.take_all().await;
    let document = poll.response().await.json();
    assert_eq!(document["end"], "draining");
    retry(&document["retry"]);
    retry(&websocket.message("draining").await["retry"]);
    assert_eq!(
        websocket.close().await,
        (1012, "service restart".to_owned())
    );
    drop(websocket);
    let last = event_stream.try_block().await.unwrap().unwrap();
    retry(&draining_retry(&last).into());
    assert!(event_stream.next().await.is_none());
    client.ended().await;
    server.finished().await;
}

/// Who comes back over the same connection would come back to the same server.
#[tokio::test]
async fn http2_clients_are_told_to_come_back_over_another_connection() {
    let mut server = start(quiet()).await;
    let client = Http2::connect(&server).await;
    let mut stream = client.stream(NEWS, &[]).await;
    stream.control("open").await;
    server.begin_shutdown();
    drains(&server).await;
    let refused = async {
        loop {
            let request = client.request(Method::GET, "/healthz", &[]);
            if client.try_send(request, "").await.is_err() {
                return;
            }
        }
    };
    within(refused).await;
    // What is open goes on, and another connection is still answered.
    server
        .hub
        .try_publish("news", Event::text("still"))
        .unwrap();
    assert_eq!(stream.event().await.data, "still");
    let other = Http2::connect(&server).await;
    let answer = other.ask(Method::GET, "/healthz", &[], "").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);

    drop(server.service.drain(Duration::ZERO));
    stream.control("draining").await;
    client.ended().await;
    server.finished().await;
}

#[tokio::test]
async fn servers_of_one_service_drain_together() {
    let mut first = start(quiet()).await;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let second = Server::bind(any, first.service.clone()).await.unwrap();
    let second = TestServer::run(second, first.service.clone());
    let mut streams = Vec::new();
    for address in [first.address, second.address] {
        let mut client = Client::connect(address).await;
        client.send(get(NEWS, &[])).await;
        streams.push(EventStream::read_from(client).await);
    }
    first.begin_shutdown();
    drains(&second).await;
    drop(first.service.drain(Duration::ZERO));
    for mut stream in streams {
        let rest = stream.rest().await;
        assert_eq!(rest.matches("eventcast.draining").count(), 1, "{rest}");
    }
    first.finished().await;
    second.finished().await;
}

/// The service alone, in simulated time.
#[tokio::test(start_paused = true)]
async fn sessions_end_evenly_over_the_window_in_random_order() {
    const SESSIONS: u32 = 200;
    const WINDOW: Duration = Duration::from_secs(10);
    let service = EventService::new(Hub::new(), ServiceConfig::new());
    let mut open = Vec::new();
    for _ in 0..SESSIONS {
        let request = Request::get(NEWS)
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        open.push(service.handle(request).await.into_body());
    }
    let begin = Instant::now();
    let ended = open.into_iter().enumerate().map(|(index, body)| {
        tokio::spawn(async move {
            body.collect().await.unwrap();
            (begin.elapsed(), index)
        })
    });
    let ended: Vec<_> = ended.collect();
    // The first call's window holds: a later one is over later.
    let drained = pin!(service.drain(WINDOW));
    drop(service.drain(WINDOW));
    drained.await;
    let mut ends = Vec::new();
    for end in ended {
        ends.push(end.await.unwrap());
    }
    ends.sort_unstable();
    for (place, (at, _)) in ends.iter().enumerate() {
        let from = WINDOW * place as u32 / SESSIONS;
        let to = WINDOW * (place as u32 + 1) / SESSIONS;
        // The timer's grain is a millisecond.
        let grain = Duration::from_millis(2);
        assert!((from..=to + grain).contains(at), "{place}: {at:?}");
    }
    assert!(!ends.is_sorted_by_key(|(_, index)| *index), "{ends:?}");
}
