//! The position that a reader may be given when it asks for one: of clients that poll.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use std::task::{Context, Waker};
use std::time::Duration;

use eventcast_core::{
    BatchLimits, Delivery, End, Hub, Position, Session, SlowPolicy, Start, SubscriptionOptions,
};
use eventcast_testkit::drain;
use support::{Never, id, keeping, maintained, opening, publish, read, resume, turn};

#[test]
fn a_session_tells_whether_its_reader_has_a_position_already() {
    let hub = Hub::new();
    publish(&hub, &["a", "b"]);
    let first = hub.session().start(Start::Earliest).channel("a").open();
    assert!(!first.unwrap().is_resumed());
    let mut session = resume(&hub, &["a"], &id(&hub, 1));
    assert!(session.is_resumed());
    read(&mut session);
    session.subscribe(["b"]).unwrap();
    assert!(session.is_resumed());
    for broken in ["foreign", "00000000-a1", &id(&hub, 1_000)] {
        assert!(!resume(&hub, &["a"], broken).is_resumed(), "{broken}");
    }
}

#[test]
fn a_settled_position_passes_what_was_left_out_but_nothing_that_is_still_to_come() {
    let settled = |session: &mut Session| {
        let position = session.settled_position();
        position.map(Position::sequence)
    };
    let hub = Hub::new();
    publish(&hub, &["other", "a", "a", "other"]);
    let mut session = resume(&hub, &["a", "b"], &id(&hub, 0));
    assert_eq!(settled(&mut session), Some(0));
    let limits = BatchLimits {
        events: 1,
        bytes: 1,
    };
    let mut cx = Context::from_waker(Waker::noop());
    let poll = session.poll_batch(&mut cx, limits, &mut Vec::new());
    assert!(poll.is_ready());
    assert_eq!(settled(&mut session), Some(2));
    assert_eq!(read(&mut session), ["a 3"]);
    assert_eq!(settled(&mut session), Some(4));
    publish(&hub, &["other", "b"]);
    assert_eq!(settled(&mut session), Some(4));
    assert_eq!(read(&mut session), ["b 6"]);
    assert_eq!(settled(&mut session), Some(6));
    assert_eq!(opening(&session), Some(6));
}

#[test]
fn a_settled_position_waits_for_dispatch() {
    let hub = Hub::new();
    let mut drivers = hub.drivers(Never);
    let mut waits = [hub.subscribe("a").unwrap(), hub.subscribe("a").unwrap()];
    waits.iter_mut().for_each(|session| drop(drain(session)));
    publish(&hub, &["a"]);
    let handed_over: Vec<_> = waits
        .iter_mut()
        .map(|session| session.settled_position().unwrap().sequence())
        .collect();
    assert!(handed_over.contains(&0), "{handed_over:?}");
    drivers.iter_mut().for_each(turn);
    for session in &mut waits {
        assert_eq!(read(session), ["a 1"]);
        assert_eq!(session.settled_position().unwrap().sequence(), 1);
    }
}

#[test]
fn a_settled_position_is_none_before_the_gaps_of_a_broken_resume() {
    let hub = Hub::new();
    publish(&hub, &["a"]);
    let mut session = resume(&hub, &["a", "b"], "foreign");
    session.handle().end(End::Closed);
    assert_eq!(session.settled_position(), None);
    assert_eq!(read(&mut session), ["closed"]);
    assert_eq!(session.settled_position(), None);
}

#[test]
fn a_reader_that_was_disconnected_for_slowness_is_not_settled_past_what_it_missed() {
    let hub = keeping(2);
    let options = SubscriptionOptions::new();
    let options = options.with_slow(SlowPolicy::Disconnect);
    let mut session = hub.session().options(options).channel("a").open().unwrap();
    drain(&mut session);
    publish(&hub, &["a", "a", "a", "a"]);
    assert_eq!(read(&mut session), ["slow"]);
    assert_eq!(session.settled_position().unwrap().sequence(), 0);
}

#[test]
fn what_a_filter_left_out_is_settled() {
    let hub = Hub::new();
    publish(&hub, &["a", "a"]);
    let nothing = SubscriptionOptions::new().with_filter(|_| false);
    let mut session = hub
        .session()
        .options(nothing.with_start(Start::Earliest))
        .channel("a")
        .open()
        .unwrap();
    assert_eq!(opening(&session), Some(0));
    assert_eq!(read(&mut session), [""; 0]);
    assert_eq!(session.settled_position(), Some(hub.position()));
}

#[test]
fn a_session_that_brought_a_forgotten_end_stays_past_it() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(1));
    publish(&hub, &["job"]);
    hub.complete("job").unwrap();
    for _ in 0..2 {
        clock.advance(Duration::from_secs(60));
        maintain();
    }
    publish(&hub, &["a"]);
    let mut session = resume(&hub, &["job"], &id(&hub, 2));
    let all = drain(&mut session);
    let Some(Delivery::Position(told)) = all.iter().rev().nth(1) else {
        panic!("{all:?}");
    };
    assert_eq!(session.settled_position(), Some(*told));
}
