//! Cut, moved and restarted: each event once and in order, each loss told.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use eventcast::{Event, ServiceConfig};
use eventcast_client::{Delivery, Loss, Transport};
use eventcast_testkit::{Ledger, Observer};
use futures_util::StreamExt;
use support::cutting::Cutter;
use support::{ALL, TestServer, next, observe, text, within};

const BEFORE: usize = 100;
const EVENTS: usize = 200;

/// Reads all over connections that are cut at random bytes; for each event that comes another one
/// is published, up to a number.
async fn survives_cuts(transport: Transport, seed: u64) {
    let server = TestServer::start(7, ServiceConfig::new()).await;
    let cutter = Cutter::new(server.address, seed);
    let mut ledger = Ledger::new();
    for count in 0..BEFORE {
        server.publish(&mut ledger, ["a", "b"][count % 2], "before it connects");
    }
    let dialing = cutter.clone();
    let mut client = server
        .client("channel=a&channel=b&start=earliest")
        .with_transports([transport])
        .with_dialer(move |_, _| dialing.dial())
        .connect()
        .unwrap();
    let mut observer = Observer::new(["a", "b"], 0);
    let mut published = BEFORE;
    within(async {
        while observer.events() < EVENTS {
            let delivery = client.next().await.expect("no end").expect("no error");
            if observe(&mut observer, &delivery) && published < EVENTS {
                server.publish(&mut ledger, ["a", "b"][published % 2], "while it reads");
                published += 1;
            }
        }
    })
    .await;
    observer.check(&ledger).unwrap();
    assert!(cutter.dials() > 3, "{} connections", cutter.dials());
}

#[tokio::test]
async fn a_websocket_that_is_cut_at_any_byte_loses_nothing() {
    for seed in 1..4 {
        survives_cuts(Transport::WebSocket, seed).await;
    }
}

#[tokio::test]
async fn an_event_stream_that_is_cut_at_any_byte_loses_nothing() {
    for seed in 1..4 {
        survives_cuts(Transport::Sse, seed).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_at_any_byte_loses_nothing() {
    for seed in 1..4 {
        survives_cuts(Transport::Stream, seed).await;
    }
}

#[tokio::test]
async fn polls_that_are_cut_at_any_byte_lose_nothing() {
    for seed in 1..4 {
        survives_cuts(Transport::Poll, seed).await;
    }
}

#[tokio::test]
async fn what_one_client_processed_another_resumes_over_any_transport() {
    let server = TestServer::start(7, ServiceConfig::new()).await;
    let mut ledger = Ledger::new();
    for _ in 0..60 {
        server.publish(&mut ledger, "a", "text");
    }
    let mut observer = Observer::new(["a"], 0);
    let mut last = None;
    let mut transports = ALL.iter().cycle();
    while observer.events() < 60 {
        let mut builder = server
            .client("channel=a&start=earliest")
            .with_transports(transports.next().copied());
        if let Some(id) = last {
            builder = builder.resume(id);
        }
        let mut client = builder.connect().unwrap();
        for _ in 0..7.min(60 - observer.events()) {
            let is_event = |delivery: Delivery| match delivery {
                Delivery::Event(event) => Some(event),
                _ => None,
            };
            let event = next(&mut client, is_event).await;
            assert!(
                client
                    .last_id()
                    .is_none_or(|processed| processed < event.id)
            );
            observer.event("a", event.id.sequence());
        }
        // It asks for more, and so is done with the last one; but does not wait for it.
        let _ = futures_util::poll!(client.next());
        last = client.last_id();
        assert_eq!(last.unwrap().sequence(), observer.position());
        // What the poll may have taken was not processed: it comes again.
    }
    observer.check(&ledger).unwrap();
}

#[tokio::test]
async fn a_restart_of_the_server_is_a_gap_and_the_stream_goes_on() {
    for transport in ALL {
        let old = TestServer::start(7, ServiceConfig::new()).await;
        old.hub.try_publish("a", Event::text("old")).unwrap();
        let cutter = Cutter::new(old.address, 0);
        let dialing = cutter.clone();
        let mut client = old
            .client("channel=a&start=earliest")
            .with_transports([transport])
            .with_dialer(move |_, _| dialing.dial())
            .connect()
            .unwrap();
        assert_eq!(next(&mut client, text).await, "old");
        let new = TestServer::start(8, ServiceConfig::new()).await;
        new.hub.try_publish("a", Event::text("new")).unwrap();
        cutter.move_to(new.address);
        old.service
            .end_sessions(eventcast::End::Draining { retry: None });
        let gap = |delivery| match delivery {
            Delivery::Gap(gap) => Some(gap),
            _ => None,
        };
        let gap = next(&mut client, gap).await;
        assert_eq!(gap.reason, Loss::Epoch, "{transport:?}");
        assert_eq!(next(&mut client, text).await, "new");
    }
}

#[tokio::test]
async fn a_client_that_is_dropped_leaves_no_session() {
    for transport in ALL {
        let server = TestServer::start(7, ServiceConfig::new()).await;
        let client = server.client("channel=a").with_transports([transport]);
        let mut client = client.connect().unwrap();
        next(&mut client, support::connected).await;
        drop(client);
        within(server.service.sessions_ended()).await;
    }
}
