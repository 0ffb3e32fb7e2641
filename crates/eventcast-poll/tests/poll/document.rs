//! The document that answers a poll, byte by byte.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{End, Event, SlowPolicy, Start, SubscriptionOptions};
use eventcast_poll::{PollConfig, poll, poll_head};
use futures_util::FutureExt;
use http_body::Body;
use http_body_util::BodyExt;

use crate::support::{NoTimer, at_once, hub, keeping, publish, resume};

#[test]
fn a_client_without_an_id_is_given_a_position_at_once() {
    let hub = hub();
    publish(&hub, "a", "before");
    let live = hub.subscribe("a").unwrap();
    assert_eq!(at_once(live), r#"{"position":"00000007-a1","events":[]}"#);
    let empty = hub.session().start(Start::Earliest).channel("b").open();
    assert_eq!(
        at_once(empty.unwrap()),
        r#"{"position":"00000007-a1","events":[]}"#
    );
}

#[test]
fn what_is_retained_comes_at_once_with_the_position_after_it() {
    let hub = hub();
    publish(&hub, "a", "one");
    publish(&hub, "b", "two");
    publish(&hub, "other", "three");
    let builder = hub.session().start(Start::Earliest);
    let session = builder.channel("a").channel("b").open().unwrap();
    let expected = concat!(
        r#"{"position":"00000007-a3","events":["#,
        r#"{"id":"00000007-a1","channel":"a","data":"one"},"#,
        r#"{"id":"00000007-a2","channel":"b","data":"two"}]}"#
    );
    assert_eq!(at_once(session), expected);
    // An answer that is lost on the way is asked for again.
    assert_eq!(
        at_once(resume(&hub, &["a", "b"], "00000007-a0")),
        at_once(resume(&hub, &["a", "b"], "00000007-a0"))
    );
    assert_eq!(
        at_once(resume(&hub, &["a", "b"], "00000007-a1")),
        r#"{"position":"00000007-a3","events":[{"id":"00000007-a2","channel":"b","data":"two"}]}"#
    );
}

#[test]
fn everything_comes_in_its_place_as_on_every_transport() {
    let hub = keeping(2);
    let options = SubscriptionOptions::new().with_slow(SlowPolicy::Conflate);
    let builder = hub.session().channel("a").options(options).channel("b");
    let session = builder.open().unwrap();
    for text in ["lost", "1", "2"] {
        publish(&hub, "a", text);
    }
    let keyed = |text: &str| Event::text(text).keyed("k").unwrap();
    hub.try_publish("b", keyed("old")).unwrap();
    hub.try_publish("b", keyed("new")).unwrap();
    hub.fail("a", "disk").unwrap();
    hub.publish_ephemeral("b", Event::text("typing")).unwrap();
    let expected = concat!(
        r#"{"position":"00000007-a6","events":["#,
        r#"{"type":"ephemeral","channel":"b","data":"typing"},"#,
        r#"{"type":"gap","id":"00000007-a1","channel":"a","reason":"slow","missed":1},"#,
        r#"{"id":"00000007-a2","channel":"a","data":"1"},"#,
        r#"{"id":"00000007-a3","channel":"a","data":"2"},"#,
        r#"{"type":"conflated","channel":"b","count":1},"#,
        r#"{"id":"00000007-a5","channel":"b","data":"new"},"#,
        r#"{"type":"completed","id":"00000007-a6","channel":"a","outcome":"failed","reason":"disk"}]}"#
    );
    assert_eq!(at_once(session), expected);
}

#[test]
fn a_resume_that_cannot_be_honoured_is_answered_with_all_its_gaps() {
    let hub = hub();
    publish(&hub, "a", "x");
    let expected = concat!(
        r#"{"position":"00000007-a1","events":["#,
        r#"{"type":"gap","channel":"a","reason":"unknown"},"#,
        r#"{"type":"gap","id":"00000007-a1","channel":"b","reason":"unknown"}]}"#
    );
    assert_eq!(at_once(resume(&hub, &["a", "b"], "foreign")), expected);
}

#[test]
fn completed_channels_end_the_polling() {
    let hub = hub();
    publish(&hub, "a", "x");
    hub.complete("a").unwrap();
    let expected = concat!(
        r#"{"position":"00000007-a2","events":["#,
        r#"{"id":"00000007-a1","channel":"a","data":"x"},"#,
        r#"{"type":"completed","id":"00000007-a2","channel":"a","outcome":"complete"}],"#,
        r#""end":"completed"}"#
    );
    assert_eq!(at_once(resume(&hub, &["a"], "00000007-a0")), expected);
    let finished = resume(&hub, &["a"], "00000007-a2");
    assert!(finished.is_finished());
    assert_eq!(
        at_once(finished),
        r#"{"position":"00000007-a2","events":[],"end":"completed"}"#
    );
}

#[test]
fn other_ends_tell_their_reason() {
    let ended = |end| {
        let session = resume(&hub(), &["a"], "00000007-a0");
        session.handle().end(end);
        at_once(session)
    };
    let retry = Some(Duration::from_millis(1_500));
    for (end, expected) in [
        (End::Closed, r#""end":"closed"}"#),
        (End::Slow, r#""end":"slow"}"#),
        (End::Draining { retry: None }, r#""end":"draining"}"#),
        (End::Draining { retry }, r#""end":"draining","retry":1500}"#),
    ] {
        let expected = format!(r#"{{"position":"00000007-a0","events":[],{expected}"#);
        assert_eq!(ended(end), expected);
    }
}

/// A cut of those gaps would leave them untold, so the client keeps the id that it had.
#[test]
fn an_end_before_the_gaps_of_a_resume_has_no_position() {
    let session = resume(&hub(), &["a"], "foreign");
    session.handle().end(End::Draining { retry: None });
    assert_eq!(at_once(session), r#"{"events":[],"end":"draining"}"#);
}

#[test]
fn a_session_that_had_ended_is_answered_with_its_position_alone() {
    let mut session = resume(&hub(), &["a"], "00000007-a0");
    session.handle().end(End::Closed);
    eventcast_testkit::drain(&mut session);
    assert_eq!(
        at_once(session),
        r#"{"position":"00000007-a0","events":[]}"#
    );
}

#[test]
fn response_headers() {
    let session = hub().subscribe("a").unwrap();
    let get = poll(session, PollConfig::new(), Arc::new(NoTimer));
    let get = get.now_or_never().expect("ready");
    let head = poll_head();
    assert_eq!(get.headers(), head.headers());
    assert_eq!(
        (get.status(), head.status()),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    assert_eq!(get.headers()["content-type"], "application/json");
    assert_eq!(get.headers()["cache-control"], "no-store");

    let length = get.body().size_hint().exact().expect("a known length");
    assert!(!get.body().is_end_stream());
    let document = get.into_body().collect().now_or_never().unwrap().unwrap();
    assert_eq!(document.to_bytes().len() as u64, length);

    assert!(head.body().is_end_stream());
    assert_eq!(head.body().size_hint().exact(), None);
    assert!(head.into_body().frame().now_or_never().unwrap().is_none());
}
