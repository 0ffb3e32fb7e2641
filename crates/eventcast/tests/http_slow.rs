//! Subscribers that do not read: they delay nobody, cost bounded memory, and are told what they
//! lost, or are cut.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::{Position, Retention, ServerConfig};
use support::client::Client;
use support::stream::EventStream;
use support::websocket::{TEXT, WebSocket, handshake};
use support::{TestServer, get, id, known_ids, quiet};

const NEWS: &str = "/events?channel=news";
const EVENTS: u64 = 50_000;
const RETAINED: u64 = 1 << 20;

/// What a subscriber got, checked to be in order and without a hole.
#[derive(Debug, Default)]
struct Account {
    last: u64,
    events: u64,
    missed: u64,
    gaps: u64,
}

impl Account {
    fn event(&mut self, id: &str, data: &str) {
        let sequence = id.parse::<Position>().unwrap().sequence();
        assert_eq!(sequence, self.last + 1, "after {self:?}");
        assert_eq!(data.trim(), sequence.to_string());
        assert_eq!(data.len(), 1024);
        self.last = sequence;
        self.events += 1;
    }

    fn gap(&mut self, id: &str, gap: &serde_json::Value) {
        assert_eq!(gap["reason"], "slow", "{gap}");
        assert_eq!(gap["channel"], "news");
        let missed = gap["missed"].as_u64().unwrap();
        let sequence = id.parse::<Position>().unwrap().sequence();
        assert_eq!(sequence, self.last + missed, "after {self:?}");
        assert!(missed > 0);
        self.last = sequence;
        self.missed += missed;
        self.gaps += 1;
    }

    fn assert_complete(&self) {
        assert_eq!(self.events + self.missed, EVENTS, "{self:?}");
        assert!(self.gaps > 0 && self.events > 0, "{self:?}");
    }
}

async fn read_stream(stream: &mut EventStream) -> Account {
    let mut account = Account::default();
    while account.last < EVENTS {
        let event = stream.next().await.expect("the stream goes on");
        match event.event_type() {
            "eventcast.open" => assert_eq!(event.last_event_id, id(0)),
            "eventcast.gap" => {
                let gap = serde_json::from_str(&event.data).unwrap();
                account.gap(&event.last_event_id, &gap);
            }
            _ => account.event(&event.last_event_id, &event.data),
        }
    }
    account
}

async fn read_socket(socket: &mut WebSocket) -> Account {
    let mut account = Account::default();
    while account.last < EVENTS {
        let frame = socket.frame().await;
        assert_eq!(frame.opcode, TEXT);
        let message: serde_json::Value = serde_json::from_slice(&frame.payload).unwrap();
        let id = message["id"].as_str().unwrap();
        match message["type"].as_str() {
            Some("open") => {}
            Some("gap") => account.gap(id, &message),
            _ => account.event(id, message["data"].as_str().unwrap()),
        }
    }
    account
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_read_is_told_exactly_what_it_lost() {
    let patience = Duration::from_secs(3_600);
    let hub = known_ids().with_retention(
        Retention::new()
            .with_count(EVENTS as usize)
            .with_bytes(RETAINED),
    );
    let service = quiet()
        .with_write_timeout(patience)
        .with_heartbeat(patience);
    let config = ServerConfig::new().with_write_timeout(patience);
    let server = TestServer::start(hub, service, config).await;

    let mut stuck_stream = Client::connect_narrow(server.address).await;
    stuck_stream.send(get(NEWS, &[])).await;
    let mut stuck_stream = EventStream::read_from(stuck_stream).await;
    let mut stuck_socket = Client::connect_narrow(server.address).await;
    stuck_socket.send(handshake(NEWS, &[])).await;
    let head = stuck_socket.head().await;
    let mut stuck_socket = WebSocket {
        head,
        client: stuck_socket,
    };

    let mut reader = server.stream(NEWS).await;
    reader.control("open").await;
    let mut read = Account::default();
    while read.last < EVENTS {
        let from = read.last + 1;
        let to = (read.last + 64).min(EVENTS);
        for n in from..=to {
            server.publish("news", format_args!("{n:>1024}"));
            assert!(server.hub.stats().retained_bytes <= RETAINED);
        }
        // All of them reach the one that reads: nobody waits for the others.
        for _ in from..=to {
            let event = reader.event().await;
            read.event(&event.last_event_id, &event.data);
        }
    }
    assert_eq!(read.events, EVENTS);

    read_stream(&mut stuck_stream).await.assert_complete();
    read_socket(&mut stuck_socket).await.assert_complete();
    assert!(server.hub.stats().retained_bytes <= RETAINED);

    // And they are live again.
    let last = server.publish("news", "live");
    assert_eq!(stuck_stream.event().await.last_event_id, last);
    assert_eq!(stuck_socket.message("event").await["id"], last);
    assert_eq!(reader.event().await.last_event_id, last);
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_cut() {
    let config = ServerConfig::new().with_write_timeout(Duration::from_millis(200));
    let server = TestServer::start(known_ids(), quiet(), config).await;
    let mut client = Client::connect_narrow(server.address).await;
    client.send(get(NEWS, &[])).await;
    client.take_until("id: 00000007-a0\n\n").await;
    server.publish_until_cut().await;
    server.assert_serves().await;
    let rest = client.take_all().await;
    assert!(rest.ends_with(b"x"), "cut within an event, without an end");
}

#[tokio::test]
async fn a_socket_that_is_not_read_is_cut() {
    let config = quiet().with_write_timeout(Duration::from_millis(200));
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    let mut client = Client::connect_narrow(server.address).await;
    client.send(handshake(NEWS, &[])).await;
    client.take_until("\"retry\":0}").await;
    server.publish_until_cut().await;
    server.assert_serves().await;
    let rest = client.take_all().await;
    assert!(rest.ends_with(b"x"), "cut within an event, without a close");
}

/// A server that is full of what one client does not read.
async fn stuck() -> (TestServer, Client) {
    let config = ServerConfig::new().with_shutdown_grace(Duration::from_millis(200));
    let server = TestServer::start(known_ids(), quiet(), config).await;
    let mut stuck = Client::connect_narrow(server.address).await;
    stuck.send(get(NEWS, &[])).await;
    stuck.take_until("id: 00000007-a0\n\n").await;
    let mut reader = server.stream(NEWS).await;
    reader.control("open").await;
    // More than the kernels' buffers hold; `reader` keeps the pace.
    let text = "x".repeat(64 << 10);
    for _ in 0..256 {
        server.publish("news", &text);
        reader.event().await;
    }
    (server, stuck)
}

/// A shutdown has to do with clients that do not read either.
#[tokio::test]
async fn a_shutdown_does_not_wait_for_those_who_do_not_read() {
    let (mut server, _stuck) = stuck().await;
    let mut other = server.stream("/events?channel=other").await;
    other.control("open").await;
    server.begin_shutdown();
    assert!(other.rest().await.contains("eventcast.draining"));
    server.finished().await;
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut() {
    let (mut server, _stuck) = stuck().await;
    server.begin_shutdown();
    let service = server.service.clone();
    server.finished().await;
    assert_eq!(service.subscribers(), eventcast::Subscribers::default());
}
