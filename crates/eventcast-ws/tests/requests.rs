//! What clients ask for, and what they are answered.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use common::{PING, PONG, Peer, Publishing, TEXT, frame, hub, start, start_with};
use eventcast_core::{ChannelName, Event, Hub, HubConfig, Position};
use eventcast_testkit::MemoryLog;
use eventcast_ws::{ClientHandler, ErrorCode, Refusal, WsConfig, WsEnd};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A connection with the channel `a` whose opening message is read.
async fn connect(hub: &Hub) -> (Peer, JoinHandle<WsEnd>) {
    let session = hub.session().channel("a").open().unwrap();
    let handler = Arc::new(Publishing(hub.clone()));
    let (mut peer, end) = start_with(session, handler, WsConfig::new(), 1 << 20);
    assert!(peer.text().await.starts_with(r#"{"type":"open""#));
    (peer, end)
}

#[tokio::test(start_paused = true)]
async fn ping() {
    let (mut peer, _end) = connect(&hub()).await;
    peer.request(r#"{"type":"ping","ref":"é"}"#).await;
    peer.request(r#"{"type":"ping"}"#).await;
    peer.expect(&[r#"{"type":"pong","ref":"é"}"#, r#"{"type":"pong"}"#])
        .await;
}

#[tokio::test(start_paused = true)]
async fn subscribe_and_unsubscribe() {
    let hub = hub();
    let (mut peer, _end) = connect(&hub).await;
    hub.publish("b", Event::text("before")).await.unwrap();
    peer.request(r#"{"type":"subscribe","channels":["b","a","c"],"ref":1}"#)
        .await;
    peer.expect(&[r#"{"type":"subscribed","ref":1,"channels":["a","b","c"],"id":"00000007-a1"}"#])
        .await;
    hub.publish("b", Event::text("after")).await.unwrap();
    peer.expect(&[r#"{"id":"00000007-a2","channel":"b","data":"after"}"#])
        .await;
    peer.request(r#"{"type":"unsubscribe","channels":["b","never"],"ref":2}"#)
        .await;
    peer.expect(&[r#"{"type":"unsubscribed","ref":2,"channels":["a","c"],"id":"00000007-a2"}"#])
        .await;
    hub.publish("b", Event::text("unheard")).await.unwrap();
    hub.publish("c", Event::text("heard")).await.unwrap();
    peer.expect(&[r#"{"id":"00000007-a4","channel":"c","data":"heard"}"#])
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_reply_comes_before_the_channels_events() {
    let hub = hub();
    let (mut peer, _end) = connect(&hub).await;
    let subscribe = frame(TEXT, br#"{"type":"subscribe","channels":["b"]}"#);
    let publish = frame(TEXT, br#"{"type":"publish","channel":"b","data":1}"#);
    peer.send_raw(&[subscribe, publish].concat()).await;
    peer.expect(&[
        r#"{"type":"subscribed","channels":["a","b"],"id":"00000007-a0"}"#,
        r#"{"type":"published","id":"00000007-a1"}"#,
        r#"{"id":"00000007-a1","channel":"b","data":1}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_page_is_read_from_a_log_outside() {
    let log = MemoryLog::new();
    let other = Hub::open(HubConfig::new(), log.node()).await.unwrap();
    let id = other.publish("b", Event::text("before")).await.unwrap();
    let hub = Hub::open(HubConfig::new(), log.node()).await.unwrap();
    let session = hub.subscribe_async("a").await.unwrap();
    let (mut peer, _end) = start(session, WsConfig::new());
    peer.text().await;
    let subscribe = r#"{"type":"subscribe","channels":["b"],"start":"last:1","ref":1}"#;
    log.stall();
    peer.request(subscribe).await;
    let mut told = [peer.text().await, peer.text().await];
    told.sort();
    let refused = r#"{"type":"error","ref":1,"code":"unavailable""#;
    assert!(told[0].starts_with(refused), "{told:?}");
    assert!(told[1].contains("stalled"), "{told:?}");
    log.recover();
    assert!(peer.text().await.contains("recovered"));
    peer.request(subscribe).await;
    let event = format!(r#"{{"id":"{id}","channel":"b","data":"before"}}"#);
    let page = format!(r#"{{"channel":"b","events":[{event}],"trimmed":false}}"#);
    peer.expect(&[&format!(
        r#"{{"type":"subscribed","ref":1,"channels":["a","b"],"id":"{id}","history":[{page}]}}"#
    )])
    .await;
    let id = other.publish("b", Event::text("after")).await.unwrap();
    peer.expect(&[&format!(r#"{{"id":"{id}","channel":"b","data":"after"}}"#)])
        .await;
}

/// A connection with the channel `a` of a hub on a log that gives no page, and one that publishes.
async fn connect_without_pages() -> (MemoryLog, Hub, Peer, JoinHandle<WsEnd>) {
    let log = MemoryLog::new();
    let other = Hub::open(HubConfig::new(), log.node()).await.unwrap();
    other.publish("b", Event::text("1")).await.unwrap();
    let hub = Hub::open(HubConfig::new(), log.node()).await.unwrap();
    let session = hub.subscribe_async("a").await.unwrap();
    let handler = Arc::new(Publishing(other.clone()));
    let (mut peer, end) = start_with(session, handler, WsConfig::new(), 1 << 20);
    assert!(peer.text().await.starts_with(r#"{"type":"open""#));
    log.hold_pages();
    (log, other, peer, end)
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_answer_holds_nothing_up_and_is_not_waited_for_long() {
    let (log, other, mut peer, _end) = connect_without_pages().await;
    let began = Instant::now();
    peer.request(r#"{"type":"subscribe","channels":["b"],"start":"earliest","ref":1}"#)
        .await;
    peer.request(r#"{"type":"ping","ref":2}"#).await;
    peer.expect(&[r#"{"type":"pong","ref":2}"#]).await;
    let id = other.publish("a", Event::text("x")).await.unwrap();
    peer.expect(&[&format!(r#"{{"id":"{id}","channel":"a","data":"x"}}"#)])
        .await;
    peer.request(r#"{"type":"publish","channel":"c","data":1,"ref":3}"#)
        .await;
    let published = peer.text().await;
    assert!(published.starts_with(r#"{"type":"published","ref":3"#));
    assert_eq!(log.waiting_pages(), 1);
    peer.expect(&[
        r#"{"type":"error","ref":1,"code":"unavailable","message":"the log cannot be reached"}"#,
    ])
    .await;
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(log.waiting_pages(), 0);
    log.release_pages();
    peer.request(r#"{"type":"subscribe","channels":["b"],"start":"last:1","ref":4}"#)
        .await;
    let subscribed = peer.text().await;
    assert!(subscribed.starts_with(r#"{"type":"subscribed","ref":4,"channels":["a","b"]"#));
}

#[tokio::test(start_paused = true)]
async fn requests_about_channels_wait_for_those_that_are_joining() {
    let (log, _other, mut peer, _end) = connect_without_pages().await;
    peer.request(r#"{"type":"subscribe","channels":["b"],"start":"earliest","ref":1}"#)
        .await;
    peer.request(r#"{"type":"ping","ref":2}"#).await;
    peer.request(r#"{"type":"unsubscribe","channels":["b"],"ref":3}"#)
        .await;
    // Nothing is read behind it.
    peer.request(r#"{"type":"ping","ref":4}"#).await;
    peer.expect(&[r#"{"type":"pong","ref":2}"#]).await;
    log.release_pages();
    let subscribed = peer.text().await;
    assert!(subscribed.starts_with(r#"{"type":"subscribed","ref":1,"channels":["a","b"]"#));
    let unsubscribed = peer.text().await;
    assert!(unsubscribed.starts_with(r#"{"type":"unsubscribed","ref":3,"channels":["a"]"#));
    peer.expect(&[r#"{"type":"pong","ref":4}"#]).await;
}

/// Allows every channel until it is told not to.
#[derive(Default)]
struct Revocable(AtomicBool);

#[async_trait]
impl ClientHandler for Revocable {
    async fn authorize_subscribe(&self, _: &ChannelName) -> Result<(), Refusal> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(Refusal::new(ErrorCode::Forbidden, "no more")),
            false => Ok(()),
        }
    }

    async fn publish(&self, _: ChannelName, _: Event) -> Result<Position, Refusal> {
        unreachable!()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_forbidden_while_the_log_is_asked_is_not_joined() {
    let log = MemoryLog::new();
    let hub = Hub::open(HubConfig::new(), log.node()).await.unwrap();
    hub.publish("b", Event::text("before")).await.unwrap();
    let session = hub.subscribe_async("a").await.unwrap();
    let handler = Arc::new(Revocable::default());
    let (mut peer, _end) = start_with(session, handler.clone(), WsConfig::new(), 1 << 20);
    peer.text().await;
    log.hold_pages();
    peer.request(r#"{"type":"subscribe","channels":["b"],"start":"earliest"}"#)
        .await;
    while log.waiting_pages() == 0 {
        tokio::task::yield_now().await;
    }
    handler.0.store(true, Ordering::SeqCst);
    log.release_pages();
    peer.expect(&[r#"{"type":"error","code":"forbidden","message":"no more","channels":["b"]}"#])
        .await;
}

#[tokio::test(start_paused = true)]
async fn publish_every_kind() {
    let (mut peer, _end) = connect(&hub()).await;
    for (n, fields) in [
        (1, r#""data":"text""#),
        (2, r#""event":"named","data":[1,  2]"#),
        (3, r#""encoding":"base64","data":"AP8=""#),
        (4, r#""encoding":"json","data":"string""#),
        (5, r#""data":null"#),
    ] {
        peer.request(&format!(
            r#"{{"type":"publish","channel":"a","ref":{n},{fields}}}"#
        ))
        .await;
        peer.expect(&[
            &format!(r#"{{"type":"published","ref":{n},"id":"00000007-a{n}"}}"#),
            &format!(r#"{{"id":"00000007-a{n}","channel":"a",{fields}}}"#),
        ])
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_leave_the_connection_as_it_was() {
    let (mut peer, _end) = connect(&hub()).await;
    peer.request(r#"{"type":"subscribe","channels":["b","secret"],"ref":1}"#)
        .await;
    peer.request(r#"{"type":"publish","channel":"secret","data":1,"ref":2}"#)
        .await;
    peer.request(r#"{"type":"subscribe","channels":["a*b"],"ref":3}"#)
        .await;
    peer.request("{").await;
    peer.request(r#"{"type":"sing","ref":4}"#).await;
    peer.request(r#"{"type":"unsubscribe","channels":["none"],"ref":5}"#)
        .await;
    peer.expect(&[
        r#"{"type":"error","ref":1,"code":"forbidden","message":"no","channels":["secret"]}"#,
        r#"{"type":"error","ref":2,"code":"forbidden","message":"no"}"#,
        r#"{"type":"error","ref":3,"code":"bad_channel","message":"a pattern has one `*`, at its end"}"#,
        r#"{"type":"error","code":"bad_request","message":"not valid at line 1 column 1"}"#,
        r#"{"type":"error","ref":4,"code":"bad_request","message":"unknown `type`"}"#,
        r#"{"type":"unsubscribed","ref":5,"channels":["a"],"id":"00000007-a0"}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn limits_of_the_hub() {
    let hub = Hub::with_config(
        HubConfig::new()
            .with_max_session_channels(2)
            .with_max_payload(4),
    );
    let (mut peer, _end) = connect(&hub).await;
    peer.request(r#"{"type":"subscribe","channels":["b","c"],"ref":1}"#)
        .await;
    assert!(
        peer.text()
            .await
            .starts_with(r#"{"type":"error","ref":1,"code":"too_many_channels""#)
    );
    peer.request(r#"{"type":"publish","channel":"a","data":"12345","ref":2}"#)
        .await;
    assert!(
        peer.text()
            .await
            .starts_with(r#"{"type":"error","ref":2,"code":"too_large""#)
    );
}

#[tokio::test(start_paused = true)]
async fn publishing_is_refused_unless_a_handler_allows_it() {
    let (mut peer, _end) = start(hub().subscribe("a").unwrap(), WsConfig::new());
    peer.text().await;
    peer.request(r#"{"type":"publish","channel":"a","data":1}"#)
        .await;
    peer.expect(&[r#"{"type":"error","code":"forbidden","message":"publishing is not allowed"}"#])
        .await;
}

/// Answers when it is told to.
struct Slow(Arc<Semaphore>);

#[async_trait]
impl ClientHandler for Slow {
    async fn authorize_subscribe(&self, _: &ChannelName) -> Result<(), Refusal> {
        self.0.acquire().await.unwrap().forget();
        Ok(())
    }

    async fn publish(&self, _: ChannelName, _: Event) -> Result<Position, Refusal> {
        unreachable!()
    }
}

#[tokio::test(start_paused = true)]
async fn events_flow_while_a_handler_works_and_requests_wait() {
    let hub = hub();
    let permits = Arc::new(Semaphore::new(0));
    let session = hub.subscribe("a").unwrap();
    let (mut peer, _end) = start_with(
        session,
        Arc::new(Slow(Arc::clone(&permits))),
        WsConfig::new(),
        1 << 20,
    );
    peer.text().await;
    peer.request(r#"{"type":"subscribe","channels":["b"],"ref":1}"#)
        .await;
    peer.request(r#"{"type":"ping","ref":2}"#).await;
    hub.publish("a", Event::text("x")).await.unwrap();
    hub.publish("b", Event::text("not yet subscribed"))
        .await
        .unwrap();
    peer.expect(&[r#"{"id":"00000007-a1","channel":"a","data":"x"}"#])
        .await;
    permits.add_permits(1);
    peer.expect(&[
        r#"{"type":"subscribed","ref":1,"channels":["a","b"],"id":"00000007-a2"}"#,
        r#"{"type":"pong","ref":2}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_in_order() {
    let (mut peer, _end) = connect(&hub()).await;
    peer.send(PING, b"1").await;
    peer.send(PING, b"").await;
    for payload in [&b"1"[..], b""] {
        let pong = peer.frame().await.unwrap();
        assert_eq!((pong.first, &pong.payload[..]), (PONG, payload));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_may_come_in_fragments_with_pings_between() {
    let (mut peer, _end) = connect(&hub()).await;
    peer.send(0x01, br#"{"type":"#).await;
    peer.send(PING, b"p").await;
    assert_eq!(peer.frame().await.unwrap().first, PONG);
    peer.send(0x80, br#""ping"}"#).await;
    peer.expect(&[r#"{"type":"pong"}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_may_come_byte_by_byte() {
    let (mut peer, _end) = connect(&hub()).await;
    for byte in frame(TEXT, br#"{"type":"ping"}"#) {
        peer.send_raw(&[byte]).await;
        tokio::task::yield_now().await;
    }
    peer.expect(&[r#"{"type":"pong"}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_again_is_served_again() {
    let hub = hub();
    let session = hub.subscribe("a").unwrap();
    let config = WsConfig::new().with_max_queued(100);
    let (peer, _end) = start_with(session, Arc::new(Publishing(hub.clone())), config, 1000);
    let (reader, mut writer) = tokio::io::split(peer.io);
    let requests = tokio::spawn(async move {
        for n in 0..1_000 {
            let request = format!(r#"{{"type":"ping","ref":{n}}}"#);
            let request = frame(TEXT, request.as_bytes());
            writer.write_all(&request).await.unwrap();
        }
        writer
    });
    // Long enough for all that can be answered before anything is read.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!requests.is_finished());
    hub.publish("a", Event::text("x")).await.unwrap();
    let mut peer = Peer {
        io: tokio::io::join(reader, tokio::io::sink()),
    };
    let begin = Instant::now();
    let mut events = 0;
    assert!(peer.text().await.starts_with(r#"{"type":"open""#));
    for n in 0..1_000 {
        let mut text = peer.text().await;
        if text.contains("data") {
            events += 1;
            text = peer.text().await;
        }
        assert_eq!(text, format!(r#"{{"type":"pong","ref":{n}}}"#));
    }
    assert_eq!((events, begin.elapsed()), (1, Duration::ZERO));
    drop(requests.await.unwrap());
}
