//! Finite channels: their end is an event, for who is there, who comes late, and who comes back.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use std::time::Duration;

use eventcast_core::{Epoch, Event, Hub, Position, PublishError, Session, Start};
use futures_util::stream;
use support::{id, maintained, opening, publish, read, resume};

#[test]
fn a_live_subscriber_gets_the_rest_and_then_the_end() {
    let hub = Hub::new();
    let mut session = hub.subscribe("job").unwrap();
    publish(&hub, &["job"]);
    hub.complete("job").unwrap();
    assert_eq!(
        read(&mut session),
        ["job 1", "job complete @2", "completed"]
    );
}

#[test]
fn a_late_subscriber_gets_what_is_retained_and_then_the_end() {
    let hub = Hub::new();
    publish(&hub, &["job", "job"]);
    hub.fail("job", "disk full").unwrap();
    let expected = ["job 1", "job 2", "job failed: disk full @3", "completed"];
    assert_eq!(read(&mut hub.subscribe("job").unwrap()), expected);
    let earliest = hub.session().start(Start::Earliest).channel("job").open();
    assert_eq!(read(&mut earliest.unwrap()), expected);
    assert_eq!(
        read(&mut resume(&hub, &["job"], &id(&hub, 1))),
        expected[1..]
    );
}

#[test]
fn a_resume_at_or_past_every_end_is_finished_and_no_other() {
    let hub = Hub::new();
    publish(&hub, &["a", "b"]);
    hub.complete("a").unwrap();
    hub.complete("b").unwrap();
    assert!(!resume(&hub, &["a", "b"], &id(&hub, 3)).is_finished());
    assert!(resume(&hub, &["a", "b"], &id(&hub, 4)).is_finished());
    assert!(resume(&hub, &["a"], &id(&hub, 3)).is_finished());
    assert!(!resume(&hub, &["a", "open"], &id(&hub, 4)).is_finished());
    assert!(!resume(&hub, &["a"], "garbage").is_finished());
    // Without an id it is a first connect: it gets the events.
    assert!(!hub.subscribe("a").unwrap().is_finished());
    assert_eq!(read(&mut resume(&hub, &["a"], &id(&hub, 3))), ["completed"]);
}

#[test]
fn an_end_has_its_place_in_the_order() {
    let hub = Hub::new();
    let mut session = hub.session().channel("a").channel("b").open().unwrap();
    publish(&hub, &["a"]);
    hub.complete("a").unwrap();
    publish(&hub, &["b"]);
    assert_eq!(read(&mut session), ["a 1", "a complete @2", "b 3"]);
    hub.complete("b").unwrap();
    assert_eq!(read(&mut session), ["b complete @4", "completed"]);
}

#[test]
fn nothing_is_published_to_a_completed_channel() {
    let hub = Hub::new();
    let handle = hub.channel("job").unwrap();
    handle.try_publish(Event::text("x")).unwrap();
    handle.complete().unwrap();
    assert_eq!(
        handle.try_publish(Event::text("y")),
        Err(PublishError::Completed)
    );
    assert_eq!(handle.complete(), Err(PublishError::Completed));
    assert_eq!(
        hub.publish_ephemeral("job", Event::text("z")),
        Err(PublishError::Completed)
    );
}

#[test]
fn a_session_that_stays_open_can_go_on_with_other_channels() {
    let hub = Hub::new();
    let mut session = hub.subscribe("job").unwrap();
    session.stay_open();
    hub.complete("job").unwrap();
    assert_eq!(read(&mut session), ["job complete @1"]);
    session.subscribe(["next"]).unwrap();
    publish(&hub, &["next"]);
    assert_eq!(read(&mut session), ["next 2"]);
}

#[test]
fn a_completed_channel_is_forgotten_after_its_age_and_leaves_a_tombstone() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(5));
    publish(&hub, &["job"]);
    clock.advance(Duration::from_secs(9));
    hub.complete("job").unwrap();
    // The event is past its age, the end is not: who comes now is told both.
    clock.advance(Duration::from_secs(9));
    maintain();
    let mut late = resume(&hub, &["job"], &id(&hub, 0));
    assert_eq!(
        read(&mut late),
        ["job! trimmed ? @1", "job complete @2", "completed"]
    );
    drop(late);
    clock.advance(Duration::from_secs(9));
    maintain();
    clock.advance(Duration::from_secs(5));
    maintain();
    assert_eq!(hub.stats().channels, 0);

    // Only the end is remembered, and asking creates nothing.
    let mut late = hub.subscribe("job").unwrap();
    assert_eq!(read(&mut late), ["job complete @?", "@2", "completed"]);
    let mut behind = resume(&hub, &["job"], &id(&hub, 1));
    assert!(!behind.is_finished());
    assert_eq!(
        read(&mut behind),
        ["job! trimmed ? @1", "job complete @?", "@2", "completed"]
    );
    // With the last id it was given, the next resume is finished.
    assert!(resume(&hub, &["job"], &id(&hub, 2)).is_finished());
    let foreign = Position::new(Epoch::from_bits(hub.position().epoch().bits() ^ 1), 9);
    let mut foreign = resume(&hub, &["job"], &foreign.to_string());
    assert_eq!(read(&mut foreign)[0], "job! epoch ? @2");
    assert_eq!(
        hub.try_publish("job", Event::text("x")),
        Err(PublishError::Completed)
    );
    assert_eq!(hub.stats().channels, 0);
}

/// A session of `new` and of `old`, of which only the end is remembered.
fn beside_a_forgotten_one() -> (Hub, Session) {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(1));
    hub.complete("old").unwrap();
    for _ in 0..3 {
        clock.advance(Duration::from_secs(10));
        maintain();
    }
    let session = hub.session().channel("old").channel("new").open().unwrap();
    (hub, session)
}

#[test]
fn a_channel_of_which_only_the_end_is_remembered_can_be_left() {
    let (_hub, mut session) = beside_a_forgotten_one();
    assert!(session.unsubscribe("old"));
    assert!(!session.unsubscribe("old"));
    assert_eq!(session.channels().len(), 1);
    assert_eq!(read(&mut session), [""; 0]);
}

#[test]
fn tombstones_are_bounded() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(1));
    for name in ["a", "b", "c"] {
        hub.complete(name).unwrap();
        for _ in 0..3 {
            clock.advance(Duration::from_secs(10));
            maintain();
        }
    }
    // The oldest is a new channel again, whose trim mark is the floor.
    publish(&hub, &["a"]);
    assert_eq!(
        hub.try_publish("b", Event::text("x")),
        Err(PublishError::Completed)
    );
    assert_eq!(
        read(&mut resume(&hub, &["a"], &id(&hub, 1)))[0],
        "a! trimmed ? @3"
    );
}

#[test]
fn a_completed_channel_beside_a_forgotten_one_is_told_in_one_session() {
    let (hub, mut session) = beside_a_forgotten_one();
    assert_eq!(session.channels().len(), 2);
    assert_eq!(opening(&session), Some(1));
    assert_eq!(read(&mut session), ["old complete @?"]);
    hub.complete("new").unwrap();
    assert_eq!(read(&mut session), ["new complete @2", "@2", "completed"]);
}

#[tokio::test]
async fn a_stream_of_chunks_is_published_and_its_error_is_the_end() {
    let hub = Hub::new();
    let chunks = [
        Ok(Event::text("a")),
        Err("model overloaded"),
        Ok(Event::text("b")),
    ];
    let answer = hub.channel("answer").unwrap();
    answer.publish_all(stream::iter(chunks)).await.unwrap();
    let mut session = hub.subscribe("answer").unwrap();
    let expected = [
        "answer 1",
        "answer failed: model overloaded @2",
        "completed",
    ];
    assert_eq!(read(&mut session), expected);
}
