//! What a connection holds, and how large it is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use eventcast_core::{ChannelName, Event, Hub, Payload, Position, Sleep, Timer};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncWrite, DuplexStream};

use super::{Connection, serve};
use crate::config::{Mode, WsConfig};
use crate::handler::{ClientHandler, SubscribeOnly};
use crate::refusal::Refusal;
use crate::upgrade::UpgradedConnection;

struct Never;

impl Timer for Never {
    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}

fn connect(hub: &Hub, room: usize) -> (DuplexStream, Connection<DuplexStream>) {
    let (ours, theirs) = tokio::io::duplex(room);
    let session = hub.subscribe("a").unwrap();
    let config = WsConfig::new();
    let connection = serve(
        theirs,
        session,
        Arc::new(SubscribeOnly),
        Arc::new(Never),
        config,
    );
    (ours, connection)
}

fn poll(connection: &mut Connection<DuplexStream>) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(connection).poll(&mut cx).is_pending());
}

#[test]
fn a_reader_that_stops_costs_one_batch() {
    let hub = Hub::new();
    let (_peer, mut connection) = connect(&hub, 1000);
    for _ in 0..2_000 {
        hub.try_publish("a", Event::text("x".repeat(1000))).unwrap();
        poll(&mut connection);
    }
    assert!(connection.queue.len() < 70 << 10, "{:?}", connection.queue);
}

#[test]
fn a_flood_of_requests_that_are_not_read_back_is_bounded() {
    let hub = Hub::new();
    let (mut peer, mut connection) = connect(&hub, 4096);
    // Half pings, half requests; the mask is zero.
    let mut flood = vec![0x89, 0x80 | 100, 0, 0, 0, 0];
    flood.extend([7; 100]);
    flood.extend([0x81, 0x80 | 3, 0, 0, 0, 0]);
    flood.extend(b"{ }");
    let mut cx = Context::from_waker(Waker::noop());
    let mut refused = 0;
    while refused < 100 {
        match Pin::new(&mut peer).poll_write(&mut cx, &flood) {
            Poll::Ready(_) => refused = 0,
            Poll::Pending => refused += 1,
        }
        poll(&mut connection);
    }
    let limit = WsConfig::new().max_queued();
    let held = connection.queue.len();
    assert!((limit..limit + 1000).contains(&held), "{held}");
}

struct SendBack;

#[async_trait]
impl ClientHandler for SendBack {
    async fn authorize_subscribe(&self, _: &ChannelName) -> Result<(), Refusal> {
        Ok(())
    }

    async fn publish(&self, _: ChannelName, _: Event) -> Result<Position, Refusal> {
        unreachable!("plain mode publishes nothing")
    }

    async fn message(&self, message: Payload) -> Result<Option<Payload>, Refusal> {
        Ok(Some(message))
    }
}

#[test]
fn a_flood_of_messages_whose_echo_is_not_read_is_bounded() {
    let hub = Hub::new();
    let (mut peer, theirs) = tokio::io::duplex(4096);
    let config = WsConfig::new().with_mode(Mode::Plain);
    let session = hub.subscribe("a").unwrap();
    let mut connection = serve(theirs, session, Arc::new(SendBack), Arc::new(Never), config);
    // The mask is zero.
    let mut flood = vec![0x82, 0x80 | 126, 0x20, 0, 0, 0, 0, 0];
    flood.resize(8 + 0x2000, 7);
    let mut cx = Context::from_waker(Waker::noop());
    let (mut sent, mut refused) = (0, 0);
    while refused < 100 {
        match Pin::new(&mut peer).poll_write(&mut cx, &flood[sent..]) {
            Poll::Ready(count) => (sent, refused) = ((sent + count.unwrap()) % flood.len(), 0),
            Poll::Pending => refused += 1,
        }
        poll(&mut connection);
    }
    let limit = config.max_queued();
    let held = connection.queue.len();
    assert!((limit..limit + flood.len()).contains(&held), "{held}");
}

#[test]
fn an_idle_connection_is_small() {
    let sizes = [
        size_of::<Connection<TokioIo<Upgraded>>>(),
        size_of::<UpgradedConnection>(),
    ];
    assert!(sizes.iter().all(|size| *size <= 1024), "{sizes:?}");
}

proptest! {
    #[test]
    fn whatever_comes_in_nothing_panics(
        frames in proptest::collection::vec((any::<u8>(), "[ -~]{0,40}", any::<bool>()), 0..8),
        rest in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let hub = Hub::new();
        let (mut peer, mut connection) = connect(&hub, 1 << 16);
        let mut cx = Context::from_waker(Waker::noop());
        let mut bytes = Vec::new();
        for (first, payload, usual) in frames {
            bytes.extend([if usual { first & 0x8f } else { first }, 0x80 | payload.len() as u8]);
            bytes.extend([0; 4]);
            bytes.extend(payload.as_bytes());
        }
        bytes.extend(rest);
        for part in bytes.chunks(7) {
            let _ = Pin::new(&mut peer).poll_write(&mut cx, part);
            if Pin::new(&mut connection).poll(&mut cx).is_ready() {
                return Ok(());
            }
        }
        drop(peer);
        prop_assert!(Pin::new(&mut connection).poll(&mut cx).is_ready());
    }
}
