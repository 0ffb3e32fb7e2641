//! The stream, line by line, in simulated time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventcast_core::{End, Event, Payload, Session};
use eventcast_poll::{PollConfig, StreamBody, StreamConfig, poll, stream, stream_head};
use futures_util::FutureExt;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::support::{NoTimer, TokioTimer, hub, keeping, parse, publish, resume};

fn body(session: Session) -> StreamBody {
    StreamBody::new(session, StreamConfig::new(), Arc::new(TokioTimer))
}

async fn chunks(body: &mut StreamBody) -> Vec<Bytes> {
    let frame = body.frame().await.expect("a frame").expect("no error");
    frame.into_data().expect("data").into_chunks().into()
}

async fn text(body: &mut StreamBody) -> String {
    String::from_utf8(chunks(body).await.concat()).expect("UTF-8")
}

#[test]
fn it_fits_any_server_and_is_small() {
    fn assert_bounds<T: Body + Send + Unpin + 'static>() {}
    assert_bounds::<StreamBody>();
    let size = size_of::<StreamBody>();
    assert!(size <= 416, "{size} bytes");
}

#[test]
fn response_headers() {
    let session = hub().subscribe("a").unwrap();
    let get = stream(session, StreamConfig::new(), Arc::new(NoTimer));
    let head = stream_head();
    assert_eq!(get.headers(), head.headers());
    assert_eq!(
        (get.status(), head.status()),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    assert_eq!(get.headers()["content-type"], "application/x-ndjson");
    assert_eq!(get.headers()["cache-control"], "no-store");
    assert_eq!(get.headers()["x-accel-buffering"], "no");
    assert!(!get.body().is_end_stream());
    assert!(head.body().is_end_stream());
    assert_eq!(head.body().size_hint().exact(), None);
}

#[test]
fn the_opening_line_is_ready_at_once() {
    let hub = hub();
    publish(&hub, "a", "before");
    let session = hub.session().channel("a").channel("b").open().unwrap();
    let config = StreamConfig::new().with_heartbeat(Duration::from_secs(20));
    let mut body = StreamBody::new(session, config, Arc::new(NoTimer));
    let line = text(&mut body).now_or_never().expect("ready");
    let open = parse(&line);
    let retry = open["retry"].as_u64().unwrap();
    assert!((1000..3000).contains(&retry), "{retry}");
    let start = r#"{"type":"open","id":"00000007-a1","channels":["a","b"],"heartbeat":20000,"#;
    assert_eq!(line, format!("{start}\"retry\":{retry}}}\n"));
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_together_is_one_frame_of_lines() {
    let hub = hub();
    let mut body = body(hub.subscribe("a").unwrap());
    text(&mut body).await;
    assert!(body.frame().now_or_never().is_none());
    publish(&hub, "a", "two\nlines");
    let json = Payload::json_text("{\n\"n\":1}").unwrap();
    hub.try_publish("a", Event::new(json)).unwrap();
    let expected = concat!(
        r#"{"id":"00000007-a1","channel":"a","data":"two\nlines"}"#,
        "\n",
        r#"{"id":"00000007-a2","channel":"a","data":{ "n":1}}"#,
        "\n",
    );
    assert_eq!(text(&mut body).await, expected);
    assert!(body.frame().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn streams_and_polls_share_an_events_bytes() {
    let hub = hub();
    let mut body = body(resume(&hub, &["a"], "00000007-a0"));
    publish(&hub, "a", "shared");
    text(&mut body).await;
    let line = chunks(&mut body).await.remove(0);
    let session = resume(&hub, &["a"], "00000007-a0");
    let answer = poll(session, PollConfig::new(), Arc::new(NoTimer)).await;
    let object = answer.into_body().into_batch().into_chunks().remove(1);
    assert_eq!(line.as_ptr(), object.unwrap().as_ptr());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_has_an_empty_line_each_interval() {
    let mut body = body(hub().subscribe("a").unwrap());
    text(&mut body).await;
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(text(&mut body).await, "\n");
        let silence = began.elapsed();
        let slack = silence.abs_diff(Duration::from_secs(15));
        assert!(slack <= Duration::from_millis(3), "{silence:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_stands_in_its_place() {
    let hub = keeping(1);
    let mut body = body(hub.subscribe("a").unwrap());
    text(&mut body).await;
    for text in ["lost", "lost too", "kept"] {
        publish(&hub, "a", text);
    }
    let expected = concat!(
        r#"{"type":"gap","id":"00000007-a2","channel":"a","reason":"slow","missed":2}"#,
        "\n",
        r#"{"id":"00000007-a3","channel":"a","data":"kept"}"#,
        "\n",
    );
    assert_eq!(text(&mut body).await, expected);
}

#[tokio::test(start_paused = true)]
async fn the_end_is_the_last_line() {
    let retry = Some(Duration::from_secs(4));
    for (end, expected) in [
        (End::Closed, r#"{"type":"end","reason":"closed"}"#),
        (End::Slow, r#"{"type":"end","reason":"slow"}"#),
        (
            End::Draining { retry },
            r#"{"type":"draining","retry":4000}"#,
        ),
    ] {
        let session = hub().subscribe("a").unwrap();
        let handle = session.handle();
        let mut body = body(session);
        text(&mut body).await;
        handle.end(end);
        assert_eq!(text(&mut body).await, format!("{expected}\n"));
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_channels_are_all_completed_ends_and_says_why() {
    let hub = hub();
    hub.try_publish("a", Event::text("x")).unwrap();
    hub.complete("a").unwrap();
    let end = "{\"type\":\"end\",\"reason\":\"completed\"}\n";
    let mut body = body(resume(&hub, &["a"], "00000007-a1"));
    text(&mut body).await;
    let completed = r#"{"type":"completed","id":"00000007-a2","channel":"a","outcome":"complete"}"#;
    assert_eq!(text(&mut body).await, format!("{completed}\n{end}"));
    assert!(body.frame().await.is_none());

    let mut again = self::body(resume(&hub, &["a"], "00000007-a2"));
    text(&mut again).await;
    assert_eq!(text(&mut again).await, end);
    assert!(again.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn with_a_linger_there_is_one_frame_a_window() {
    let hub = hub();
    let window = Duration::from_millis(50);
    let config = StreamConfig::new().with_linger(window);
    let session = hub.subscribe("a").unwrap();
    let mut body = StreamBody::new(session, config, Arc::new(TokioTimer));
    let mut counts = vec![chunks(&mut body).await.len()];
    let start = Instant::now();
    for _ in 0..2 {
        for _ in 0..3 {
            hub.try_publish("a", Event::text("x")).unwrap();
        }
        counts.push(chunks(&mut body).await.len());
    }
    assert_eq!(counts, [1, 3, 3]);
    assert_eq!(start.elapsed(), window);
}
