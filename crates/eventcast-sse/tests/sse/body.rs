//! The response and its body, in simulated time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use eventcast_core::{
    End, Epoch, Event, GapReason, Hub, HubConfig, Retention, Session, Sleep, Timer,
};
use eventcast_sse::{SseBody, SseConfig, SseFormat, head_response, response};
use futures_util::FutureExt;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::support::{TokioTimer, parse};

fn hub() -> Hub {
    let retention = Retention::new().with_count(100);
    let config = HubConfig::new().with_epoch(Epoch::from_bits(7));
    Hub::with_config(config.with_retention(retention))
}

fn body(session: Session) -> SseBody {
    SseBody::new(session, SseConfig::new(), Arc::new(TokioTimer))
}

fn publish(hub: &Hub, text: &str) {
    hub.try_publish("a", Event::text(text)).expect("room");
}

async fn chunks(body: &mut SseBody) -> Vec<Bytes> {
    let frame = body.frame().await.expect("a frame").expect("no error");
    let data = frame.into_data().expect("data");
    assert!(data.has_remaining());
    data.into_chunks().into()
}

async fn text(body: &mut SseBody) -> String {
    let bytes = chunks(body).await.concat();
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn it_fits_any_server_and_is_small() {
    fn assert_bounds<T: Body + Send + Unpin + 'static>() {}
    assert_bounds::<SseBody>();
    let size = size_of::<SseBody>();
    assert!(size <= 416, "{size} bytes");
}

#[test]
fn response_headers() {
    let get = response(
        hub().subscribe("a").unwrap(),
        SseConfig::new(),
        Arc::new(TokioTimer),
    );
    let head = head_response();
    assert_eq!(get.headers(), head.headers());
    assert_eq!(
        (get.status(), head.status()),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    assert_eq!(get.headers()["content-type"], "text/event-stream");
    assert_eq!(get.headers()["cache-control"], "no-store");
    assert_eq!(get.headers()["x-accel-buffering"], "no");
    assert!(!get.body().is_end_stream());
    assert!(head.body().is_end_stream());
    assert_eq!(head.body().size_hint().exact(), None);
    assert!(head.into_body().frame().now_or_never().unwrap().is_none());
}

#[test]
fn the_opening_block_is_ready_at_once_and_tells_the_settings() {
    // Outside a runtime: no timer is touched before the connection waits.
    let hub = hub();
    publish(&hub, "before");
    let config = SseConfig::new().with_heartbeat(Duration::from_secs(20));
    let session = hub.session().channel("a").channel("b").open().unwrap();
    let mut body = SseBody::new(session, config, Arc::new(TokioTimer));
    let opening = text(&mut body).now_or_never().expect("ready");
    let (events, parser) = parse([opening.as_bytes()]);
    assert_eq!(events[0].event_type(), "eventcast.open");
    assert_eq!(
        events[0].data,
        "{\"channels\":[\"a\",\"b\"],\"heartbeat\":20000}"
    );
    assert_eq!(events[0].last_event_id, "00000007-a1");
    let retry = parser.retry().expect("a retry").as_millis();
    assert!((1000..3000).contains(&retry), "{retry}");
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_together_is_one_frame() {
    let hub = hub();
    let mut body = body(hub.subscribe("a").unwrap());
    text(&mut body).await;
    assert!(body.frame().now_or_never().is_none());
    for n in 0..16 {
        publish(&hub, &n.to_string());
    }
    let chunks = chunks(&mut body).await;
    assert_eq!(chunks.len(), 16);
    assert_eq!(chunks[3], "data: 3\nid: 00000007-a4\n\n");
    assert!(body.frame().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn connections_share_an_events_bytes() {
    let hub = hub();
    let mut bodies = [
        body(hub.subscribe("a").unwrap()),
        body(hub.subscribe("a").unwrap()),
    ];
    publish(&hub, "shared");
    let mut addresses = Vec::new();
    for body in &mut bodies {
        text(body).await;
        addresses.push(chunks(body).await[0].as_ptr());
    }
    assert_eq!(addresses[0], addresses[1]);
}

#[tokio::test(start_paused = true)]
async fn the_json_format_tells_the_channel() {
    let hub = hub();
    let config = SseConfig::new().with_format(SseFormat::Json);
    let session = hub.session().channel("a").channel("b").open().unwrap();
    let mut body = SseBody::new(session, config, Arc::new(TokioTimer));
    text(&mut body).await;
    publish(&hub, "x");
    assert_eq!(
        text(&mut body).await,
        "data: {\"id\":\"00000007-a1\",\"channel\":\"a\",\"data\":\"x\"}\nid: 00000007-a1\n\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_has_a_heartbeat_each_interval() {
    let mut body = body(hub().subscribe("a").unwrap());
    text(&mut body).await;
    let mut last = Instant::now();
    for _ in 0..5 {
        assert_eq!(text(&mut body).await, ":\n");
        let now = Instant::now();
        let silence = now - last;
        assert!(
            silence.abs_diff(Duration::from_secs(15)) < SLACK,
            "{silence:?}"
        );
        last = now;
    }
}

#[tokio::test(start_paused = true)]
async fn no_silence_is_longer_than_the_interval() {
    let hub = hub();
    let mut body = body(hub.subscribe("a").unwrap());
    text(&mut body).await;
    let mut last = Instant::now();
    for step in 0..60 {
        // At every phase of the timer.
        let pause = Duration::from_millis(step * 397);
        let published_at = last + pause;
        loop {
            let frame = tokio::time::timeout_at(published_at, text(&mut body)).await;
            let Ok(frame) = frame else { break };
            assert_eq!(frame, ":\n");
            let silence = last.elapsed();
            assert!(silence <= Duration::from_secs(15) + SLACK, "{silence:?}");
            assert!(silence >= Duration::from_millis(7_500), "{silence:?}");
            last = Instant::now();
        }
        publish(&hub, "x");
        assert!(text(&mut body).await.starts_with("data: x\n"));
        last = Instant::now();
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_leaves_its_timer_alone() {
    struct Counting(Arc<AtomicUsize>);
    impl Timer for Counting {
        fn sleep(&self, duration: Duration) -> Sleep {
            self.0.fetch_add(1, Ordering::Relaxed);
            TokioTimer.sleep(duration)
        }
    }
    let hub = hub();
    let sleeps = Arc::new(AtomicUsize::new(0));
    let timer = Arc::new(Counting(Arc::clone(&sleeps)));
    let mut body = SseBody::new(hub.subscribe("a").unwrap(), SseConfig::new(), timer);
    text(&mut body).await;
    for _ in 0..100 {
        assert!(body.frame().now_or_never().is_none());
        publish(&hub, "x");
        text(&mut body).await;
    }
    assert_eq!(sleeps.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gap_stands_in_its_place() {
    let hub = hub();
    let mut body = body(hub.subscribe("a").unwrap());
    text(&mut body).await;
    for n in 1..=103 {
        publish(&hub, &n.to_string());
    }
    let stream = text(&mut body).await;
    let (events, _) = parse([stream.as_bytes()]);
    assert_eq!(events[0].event_type(), "eventcast.gap");
    let reason = GapReason::Slow.as_str();
    assert_eq!(
        events[0].data,
        format!("{{\"channel\":\"a\",\"reason\":\"{reason}\",\"missed\":3}}")
    );
    assert_eq!(events[0].last_event_id, "00000007-a3");
    assert_eq!(events[1].data, "4");
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_cannot_be_honoured_opens_without_an_id() {
    let session = hub().session().channel("a").resume("foreign").open();
    let mut body = body(session.unwrap());
    let stream = text(&mut body).await + &text(&mut body).await;
    let (events, _) = parse([stream.as_bytes()]);
    assert_eq!(events[0].event_type(), "eventcast.open");
    assert_eq!(events[0].last_event_id, "");
    assert_eq!(events[1].data, "{\"channel\":\"a\",\"reason\":\"unknown\"}");
    assert_eq!(events[1].last_event_id, "00000007-a0");
}

#[tokio::test(start_paused = true)]
async fn the_end_is_the_last_frame() {
    let hub = hub();
    let session = hub.subscribe("a").unwrap();
    let handle = session.handle();
    let mut body = body(session);
    text(&mut body).await;
    handle.end(End::Draining {
        retry: Some(Duration::from_secs(4)),
    });
    assert_eq!(
        text(&mut body).await,
        "event: eventcast.draining\nretry: 4000\ndata: {\"reason\":\"draining\"}\n\n"
    );
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_had_ended_gives_the_opening_alone() {
    let mut session = hub().subscribe("a").unwrap();
    session.handle().end(End::Closed);
    let read =
        std::future::poll_fn(|cx| session.poll_batch(cx, Default::default(), &mut Vec::new()));
    read.await;
    let mut body = body(session);
    assert!(text(&mut body).await.starts_with("event: eventcast.open\n"));
    assert!(body.frame().await.is_none());
}

/// Dropping either the body or its last frame's session leaves nothing behind in the hub.
#[tokio::test(start_paused = true)]
async fn dropping_the_body_drops_the_session() {
    let hub = hub();
    let body = body(hub.subscribe("a").unwrap());
    assert_eq!(hub.stats().channels, 1);
    drop(body);
    assert_eq!(hub.stats().channels, 0);
}

/// The simulated timer counts whole milliseconds, rounded up, and there are two to an interval.
const SLACK: Duration = Duration::from_millis(3);

#[tokio::test(start_paused = true)]
async fn with_a_linger_there_is_one_frame_a_window() {
    let hub = hub();
    let window = Duration::from_millis(50);
    let config = SseConfig::new().with_linger(window);
    let session = hub.subscribe("a").unwrap();
    let mut body = SseBody::new(session, config, Arc::new(TokioTimer));
    chunks(&mut body).await;

    let start = Instant::now();
    publish(&hub, "1");
    assert_eq!(chunks(&mut body).await.len(), 1);
    assert_eq!(
        start.elapsed(),
        Duration::ZERO,
        "the first one goes at once"
    );
    publish(&hub, "2");
    assert!(body.frame().now_or_never().is_none(), "it waits for others");
    publish(&hub, "3");
    assert_eq!(chunks(&mut body).await.len(), 2);
    assert_eq!(start.elapsed(), window);

    tokio::time::sleep(window * 2).await;
    let start = Instant::now();
    publish(&hub, "4");
    assert_eq!(chunks(&mut body).await.len(), 1);
    assert_eq!(start.elapsed(), Duration::ZERO, "so does one after a pause");
}

#[tokio::test(start_paused = true)]
async fn a_linger_does_not_hold_up_who_is_behind() {
    let hub = hub();
    for _ in 0..100 {
        publish(&hub, "x");
    }
    let session = hub.session().start(eventcast_core::Start::Earliest);
    let session = session.channel("a").open().unwrap();
    let config = SseConfig::new().with_linger(Duration::from_millis(50));
    let mut body = SseBody::new(session, config, Arc::new(TokioTimer));
    chunks(&mut body).await;

    let start = Instant::now();
    let counts = [chunks(&mut body).await.len(), chunks(&mut body).await.len()];
    assert_eq!(counts, [64, 36]);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn events_do_not_keep_heartbeats_from_coming() {
    // The tick and an event are due in the same turn: the tick's wake-up must not be lost.
    let hub = hub();
    let config = SseConfig::new().with_heartbeat(Duration::from_secs(10));
    let session = hub.subscribe("a").unwrap();
    let mut body = SseBody::new(session, config, Arc::new(TokioTimer));
    chunks(&mut body).await;
    publish(&hub, "1");
    chunks(&mut body).await;
    assert!(body.frame().now_or_never().is_none(), "the tick runs");
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        publish(&hub, "x");
        chunks(&mut body).await;
    }
    let start = Instant::now();
    assert!(text(&mut body).await.starts_with(':'));
    let silence = start.elapsed();
    assert!(silence >= Duration::from_secs(5), "{silence:?}");
    assert!(silence <= Duration::from_secs(10), "{silence:?}");
}
