//! Events on their way out: order, batches, replay, plain mode, slow readers.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use common::{
    BINARY, Frame, Peer, TEXT, TokioTimer, earliest, hub, hub_keeping, start, start_with,
};
use eventcast_core::{Event, GapReason, Payload};
use eventcast_ws::{CloseCode, Mode, SubscribeOnly, WsConfig, WsEnd, serve};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::Instant;

/// Counts the writes.
struct Counting {
    io: DuplexStream,
    vectored: bool,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        assert!(self.vectored);
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

async fn sixteen_events(vectored: bool) {
    let hub = hub();
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let io = Counting {
        io: theirs,
        vectored,
        writes: Arc::clone(&writes),
    };
    let session = hub.subscribe("a").unwrap();
    let timer = Arc::new(TokioTimer);
    tokio::spawn(serve(
        io,
        session,
        Arc::new(SubscribeOnly),
        timer,
        WsConfig::new(),
    ));
    let mut peer = Peer { io: ours };
    peer.text().await;
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    for n in 1..=16 {
        hub.try_publish("a", Event::text(n.to_string())).unwrap();
    }
    for n in 1..=16 {
        assert!(peer.text().await.ends_with(&format!(r#""data":"{n}"}}"#)));
    }
    assert_eq!(writes.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_together_is_one_write() {
    sixteen_events(true).await;
    sixteen_events(false).await;
}

#[tokio::test(start_paused = true)]
async fn the_opening_message_and_replay_are_one_stream() {
    let hub = hub();
    for n in 1..=80 {
        hub.publish("a", Event::text(n.to_string())).await.unwrap();
    }
    let begin = Instant::now();
    let (mut peer, _end) = start(earliest(&hub, "a"), WsConfig::new());
    assert!(
        peer.text()
            .await
            .starts_with(r#"{"type":"open","id":"00000007-a0","#)
    );
    for n in 1..=80 {
        assert!(peer.text().await.ends_with(&format!(r#""data":"{n}"}}"#)));
    }
    hub.publish("a", Event::text("live")).await.unwrap();
    assert!(peer.text().await.ends_with(r#""data":"live"}"#));
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_resumes_after_the_last_id_it_saw() {
    let hub = hub();
    let (mut peer, end) = start(hub.subscribe("a").unwrap(), WsConfig::new());
    peer.text().await;
    hub.publish("a", Event::text("1")).await.unwrap();
    hub.publish("a", Event::text("2")).await.unwrap();
    peer.expect(&[r#"{"id":"00000007-a1","channel":"a","data":"1"}"#])
        .await;
    drop(peer);
    assert_eq!(end.await.unwrap(), WsEnd::PeerVanished);
    let session = hub
        .session()
        .channel("a")
        .resume("00000007-a1")
        .open()
        .unwrap();
    let (mut peer, _end) = start(session, WsConfig::new());
    peer.expect(&[
        r#"{"type":"open","id":"00000007-a1","channels":["a"],"heartbeat":15000}"#,
        r#"{"id":"00000007-a2","channel":"a","data":"2"}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_falls_behind_is_told_what_it_lost() {
    let hub = hub_keeping(100);
    let (mut peer, _end) = start_with(
        hub.subscribe("a").unwrap(),
        Arc::new(SubscribeOnly),
        WsConfig::new(),
        256,
    );
    peer.text().await;
    for n in 1..=1_000 {
        hub.publish("a", Event::text(n.to_string())).await.unwrap();
        tokio::task::yield_now().await;
    }
    let (mut last, mut lost) = (0, 0);
    while last < 1_000 {
        let text = peer.text().await;
        let number = |key: &str| -> Option<u64> {
            let rest = text.split_once(key)?.1;
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        };
        match number(r#""missed":"#) {
            Some(missed) => {
                assert!(text.contains(r#""reason":"slow""#));
                last += missed;
                lost += missed;
            }
            None => {
                last += 1;
                assert_eq!(number(r#""data":""#), Some(last));
            }
        }
    }
    // The batch that was being written when the reader stopped, and what is retained.
    assert!((700..900).contains(&lost), "{lost}");
}

fn plain() -> WsConfig {
    WsConfig::new().with_mode(Mode::Plain)
}

#[tokio::test(start_paused = true)]
async fn plain_mode_is_payloads_alone() {
    let hub = hub();
    hub.publish("a", Event::text("text")).await.unwrap();
    hub.publish("a", Event::binary(vec![0, 255])).await.unwrap();
    let json = Payload::json_text(r#""json""#).unwrap();
    hub.publish("a", Event::new(json)).await.unwrap();
    let (mut peer, _end) = start(earliest(&hub, "a"), plain());
    for (first, payload) in [
        (TEXT, &b"text"[..]),
        (BINARY, &[0, 255]),
        (TEXT, b"\"json\""),
    ] {
        let payload = payload.to_vec();
        assert_eq!(peer.frame().await, Some(Frame { first, payload }));
    }
}

#[tokio::test(start_paused = true)]
async fn plain_mode_closes_where_a_gap_is_due() {
    let hub = hub_keeping(2);
    let first = hub.publish("a", Event::text("1")).await.unwrap();
    for _ in 0..4 {
        hub.publish("a", Event::text("x")).await.unwrap();
    }
    let session = hub
        .session()
        .channel("a")
        .resume(&first.to_string())
        .open()
        .unwrap();
    let (mut peer, end) = start(session, plain());
    assert_eq!(peer.close().await, (4000, "gap: trimmed".to_owned()));
    peer.send(
        common::CLOSE,
        common::close_payload(CloseCode::Gap.code(), ""),
    )
    .await;
    assert_eq!(peer.frame().await, None);
    assert_eq!(end.await.unwrap(), WsEnd::Gap(GapReason::Trimmed));
}

#[tokio::test(start_paused = true)]
async fn plain_mode_delivers_what_comes_before_the_gap() {
    let hub = hub_keeping(2);
    let session = hub.subscribe("a").unwrap();
    let (mut peer, _end) = start_with(session, Arc::new(SubscribeOnly), plain(), 4);
    for n in 1..=9 {
        hub.publish("a", Event::text(n.to_string())).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut seen = Vec::new();
    let close = loop {
        let frame = peer.frame().await.unwrap();
        match frame.first {
            TEXT => seen.push(frame.payload[0] - b'0'),
            _ => break frame,
        }
    };
    assert!(!seen.is_empty() && seen.iter().zip(1..).all(|(n, expected)| *n == expected));
    assert_eq!(
        (close.first, &close.payload[2..]),
        (common::CLOSE, &b"gap: slow"[..])
    );
}

#[tokio::test(start_paused = true)]
async fn with_a_linger_there_is_one_flush_a_window() {
    let hub = hub();
    let window = Duration::from_millis(50);
    let config = WsConfig::new().with_mode(Mode::Plain).with_linger(window);
    let (mut peer, _) = start(hub.subscribe("a").unwrap(), config);
    // The first one goes at once, whatever the opening took.
    tokio::task::yield_now().await;
    let begin = Instant::now();
    hub.try_publish("a", Event::text("1")).unwrap();
    peer.expect(&["1"]).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
    hub.try_publish("a", Event::text("2")).unwrap();
    tokio::time::sleep(window / 2).await;
    hub.try_publish("a", Event::text("3")).unwrap();
    peer.expect(&["2"]).await;
    assert_eq!(begin.elapsed(), window);
    peer.expect(&["3"]).await;
    assert_eq!(begin.elapsed(), window, "in the same flush");

    tokio::time::sleep(window * 2).await;
    let begin = Instant::now();
    hub.try_publish("a", Event::text("4")).unwrap();
    peer.expect(&["4"]).await;
    assert_eq!(begin.elapsed(), Duration::ZERO, "so does one after a pause");
}

#[tokio::test(start_paused = true)]
async fn a_linger_holds_up_no_answers_and_nobody_who_is_behind() {
    let hub = hub();
    for n in 0..100 {
        hub.try_publish("a", Event::text(n.to_string())).unwrap();
    }
    let window = Duration::from_secs(1);
    let config = WsConfig::new().with_linger(window);
    let (mut peer, _) = start(earliest(&hub, "a"), config);
    let begin = Instant::now();
    for _ in 0..=100 {
        peer.text().await;
    }
    peer.request(r#"{"type":"ping"}"#).await;
    peer.expect(&[r#"{"type":"pong"}"#]).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
}
