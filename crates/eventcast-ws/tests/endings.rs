//! How connections end, and what keeps them from it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{
    CLOSE, PING, PONG, Peer, Publishing, TokioTimer, close_payload, hub, start, start_with,
};
use eventcast_core::{
    Clock, End, Epoch, Event, Hub, HubConfig, Retention, SessionHandle, Timestamp,
};
use eventcast_ws::{Mode, SubscribeOnly, WsConfig, WsEnd};
use tokio::task::JoinHandle;
use tokio::time::Instant;

async fn connect(config: WsConfig) -> (Peer, JoinHandle<WsEnd>, SessionHandle) {
    let session = hub().subscribe("a").unwrap();
    let handle = session.handle();
    let (mut peer, end) = start(session, config);
    if config.mode() == Mode::Json {
        peer.text().await;
    }
    (peer, end, handle)
}

#[tokio::test(start_paused = true)]
async fn the_peer_closes() {
    for (payload, code) in [
        (close_payload(1000, "bye"), Some(1000)),
        (close_payload(4999, ""), Some(4999)),
        (Vec::new(), None),
    ] {
        let (mut peer, end, _) = connect(WsConfig::new()).await;
        peer.send(CLOSE, &payload).await;
        let answer = peer.frame().await.unwrap();
        assert_eq!((answer.first, answer.payload), (CLOSE, payload));
        assert_eq!(peer.frame().await, None);
        assert_eq!(end.await.unwrap(), WsEnd::PeerClosed { code });
    }
}

#[tokio::test(start_paused = true)]
async fn requests_before_the_peers_close_are_answered() {
    let (mut peer, end, _) = connect(WsConfig::new()).await;
    let ping = common::frame(common::TEXT, br#"{"type":"ping"}"#);
    let close = common::frame(CLOSE, &close_payload(1000, ""));
    peer.send_raw(&[ping, close].concat()).await;
    peer.expect(&[r#"{"type":"pong"}"#]).await;
    assert_eq!(peer.close().await.0, 1000);
    assert_eq!(end.await.unwrap(), WsEnd::PeerClosed { code: Some(1000) });
}

#[tokio::test(start_paused = true)]
async fn draining() {
    let (mut peer, end, handle) = connect(WsConfig::new()).await;
    let reason = End::Draining {
        retry: Some(Duration::from_secs(3)),
    };
    handle.end(reason);
    peer.expect(&[r#"{"type":"draining","retry":3000}"#]).await;
    assert_eq!(peer.close().await, (1012, "service restart".to_owned()));
    // Sent before the client knew: neither answered nor a mistake.
    peer.request(r#"{"type":"ping"}"#).await;
    peer.send(PING, b"").await;
    peer.send(CLOSE, close_payload(1012, "")).await;
    assert_eq!(peer.frame().await, None);
    assert_eq!(end.await.unwrap(), WsEnd::Session(reason));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_closed() {
    let (mut peer, end, handle) = connect(WsConfig::new()).await;
    handle.end(End::Closed);
    assert_eq!(peer.close().await, (1001, "closed".to_owned()));
    drop(peer);
    assert_eq!(end.await.unwrap(), WsEnd::Session(End::Closed));
}

#[tokio::test(start_paused = true)]
async fn draining_in_plain_mode() {
    let (mut peer, _end, handle) = connect(WsConfig::new().with_mode(Mode::Plain)).await;
    handle.end(End::Draining { retry: None });
    assert_eq!(peer.close().await.0, 1012);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_ends_in_time() {
    let (peer, end, handle) = connect(WsConfig::new()).await;
    let begin = Instant::now();
    handle.end(End::Closed);
    assert_eq!(end.await.unwrap(), WsEnd::Session(End::Closed));
    assert_eq!(begin.elapsed().as_secs(), 5);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_cannot_be_written_ends_in_time() {
    let session = hub().subscribe("a").unwrap();
    let handle = session.handle();
    let (peer, end) = start_with(session, Arc::new(SubscribeOnly), WsConfig::new(), 100);
    let begin = Instant::now();
    handle.end(End::Closed);
    assert_eq!(end.await.unwrap(), WsEnd::Session(End::Closed));
    assert_eq!(begin.elapsed().as_secs(), 5);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn the_peer_vanishes() {
    let (peer, end, _) = connect(WsConfig::new()).await;
    let begin = Instant::now();
    drop(peer);
    assert_eq!(end.await.unwrap(), WsEnd::PeerVanished);
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_pinged_and_given_up() {
    let (mut peer, end, _) = connect(WsConfig::new()).await;
    let begin = Instant::now();
    for seconds in [15, 30] {
        let ping = peer.frame().await.unwrap();
        assert_eq!((ping.first, ping.payload.len()), (PING, 0));
        assert_eq!(begin.elapsed().as_secs(), seconds);
    }
    assert_eq!(peer.frame().await, None);
    assert_eq!(begin.elapsed().as_secs(), 40);
    assert_eq!(end.await.unwrap(), WsEnd::PeerTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_lives() {
    let (mut peer, end, _) = connect(WsConfig::new()).await;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3600) {
        assert_eq!(peer.frame().await.unwrap().first, PING);
        peer.send(PONG, b"").await;
    }
    assert!(!end.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_gives_signs_of_life_of_its_own_is_not_dead() {
    let (mut peer, end, _) = connect(WsConfig::new()).await;
    let mut pings = 0;
    for _ in 0..100 {
        peer.send(PING, b"mine").await;
        while peer.frame().await.unwrap().first != PONG {
            pings += 1;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert!(!end.is_finished());
    // One every heartbeat, whatever else is said.
    assert_eq!(pings, 990 / 15);
}

#[tokio::test(start_paused = true)]
async fn a_busy_stream_to_a_silent_peer_is_pinged() {
    let hub = hub();
    let (mut peer, end) = start(hub.subscribe("a").unwrap(), WsConfig::new());
    let publisher = tokio::spawn(async move {
        loop {
            hub.publish("a", Event::text("x")).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let mut pings = 0;
    while let Some(frame) = peer.frame().await {
        pings += usize::from(frame.first == PING);
    }
    assert_eq!((pings, end.await.unwrap()), (2, WsEnd::PeerTimeout));
    publisher.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stalled_write_ends_in_time() {
    let hub = hub();
    let session = hub.subscribe("a").unwrap();
    let (peer, end) = start_with(session, Arc::new(SubscribeOnly), WsConfig::new(), 100);
    hub.publish("a", Event::text("x".repeat(1000)))
        .await
        .unwrap();
    let begin = Instant::now();
    assert_eq!(end.await.unwrap(), WsEnd::WriteStalled);
    let seconds = begin.elapsed().as_secs_f32();
    assert!((30.0..=37.5).contains(&seconds), "{seconds}");
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_slow_write_is_not_stalled() {
    let hub = hub();
    let session = hub.subscribe("a").unwrap();
    let (mut peer, end) = start_with(session, Arc::new(SubscribeOnly), WsConfig::new(), 100);
    hub.publish("a", Event::text("x".repeat(1000)))
        .await
        .unwrap();
    let mut bytes = [0; 60];
    for _ in 0..15 {
        tokio::time::sleep(Duration::from_secs(29)).await;
        tokio::io::AsyncReadExt::read(&mut peer.io, &mut bytes)
            .await
            .unwrap();
    }
    assert!(!end.is_finished());
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_a_write_is_blocked() {
    let hub = hub();
    let session = hub.subscribe("a").unwrap();
    let handler = Arc::new(Publishing(hub.clone()));
    let (mut peer, _end) = start_with(session, handler, WsConfig::new(), 100);
    peer.text().await;
    hub.publish("a", Event::text("x".repeat(1000)))
        .await
        .unwrap();
    tokio::task::yield_now().await;
    peer.send(PING, b"now").await;
    tokio::task::yield_now().await;
    peer.request(r#"{"type":"publish","channel":"a","data":1}"#)
        .await;
    tokio::task::yield_now().await;
    // The publish took effect although nothing could be written.
    assert_eq!(hub.position().sequence(), 2);
    assert!(peer.text().await.len() > 1000);
    assert_eq!(peer.frame().await.unwrap().first, PONG);
    peer.expect(&[
        r#"{"type":"published","id":"00000007-a2"}"#,
        r#"{"id":"00000007-a2","channel":"a","data":1}"#,
    ])
    .await;
}

/// Tokio's clock, which tests move.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.elapsed().as_millis() as u64)
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_client_is_told_that_its_position_moved() {
    let config = HubConfig::new()
        .with_epoch(Epoch::from_bits(7))
        .with_clock(TestClock(Instant::now()))
        .with_retention(Retention::new().with_age(Duration::from_secs(1)))
        .with_collect_after(Duration::from_secs(60));
    let hub = Hub::with_config(config);
    for driver in hub.drivers(TokioTimer) {
        tokio::spawn(driver);
    }
    let (mut peer, _end) = start(hub.subscribe("a").unwrap(), WsConfig::new());
    peer.text().await;
    hub.publish("elsewhere", Event::text("x")).await.unwrap();
    peer.expect(&[r#"{"type":"position","id":"00000007-a1"}"#])
        .await;
}
