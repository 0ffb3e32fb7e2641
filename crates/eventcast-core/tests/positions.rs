//! The position rules, one counter-example each: what would be lost or doubled without the rule.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use eventcast_core::{
    ChannelName, Delivery, End, Epoch, Event, GapReason, Hub, HubConfig, Position, Start,
    SubscribeError, SubscriptionOptions,
};
use eventcast_testkit::drain;
use support::{Never, id, keeping, maintained, opening, publish, read, resume, turn};

#[test]
fn one_order_over_all_channels() {
    let hub = Hub::new();
    publish(&hub, &["b", "a", "c", "a", "b"]);
    let builder = hub.session().start(Start::Earliest);
    let mut session = builder.channel("a").channel("b").open().unwrap();
    assert_eq!(opening(&session), Some(0));
    assert_eq!(read(&mut session), ["b 1", "a 2", "a 4", "b 5"]);
    publish(&hub, &["c", "b", "a"]);
    assert_eq!(read(&mut session), ["b 7", "a 8"]);
}

#[test]
fn resume_goes_on_exactly_after_the_id_for_any_set_of_channels() {
    let hub = Hub::new();
    publish(&hub, &["a", "b", "a", "b"]);
    let mut session = resume(&hub, &["b", "a"], &id(&hub, 2));
    assert_eq!(opening(&session), Some(2));
    assert_eq!(read(&mut session), ["a 3", "b 4"]);
    // A channel that is new in the set starts after the id, too.
    publish(&hub, &["new"]);
    assert_eq!(
        read(&mut resume(&hub, &["a", "new"], &id(&hub, 3))),
        ["new 5"]
    );
}

#[test]
fn first_block_carries_the_lowest_start_so_that_a_cut_before_the_first_event_loses_nothing() {
    let hub = Hub::new();
    publish(&hub, &["a", "a"]);
    let session = hub
        .session()
        .channel("live")
        .start(Start::Earliest)
        .channel("a")
        .open()
        .unwrap();
    let start = session.opening().position.unwrap();
    drop(session);
    let mut session = resume(&hub, &["live", "a"], &start.to_string());
    assert_eq!(read(&mut session), ["a 1", "a 2"]);
}

#[test]
fn live_starts_at_the_committed_number_not_at_the_dispatched_one() {
    let hub = keeping(1);
    let drivers = hub.drivers(Never);
    let _waits = hub.subscribe("a").unwrap();
    let mut waits = hub.subscribe("a").unwrap();
    drain(&mut waits);
    // Committed, but not dispatched: from the dispatched number this would be a false gap.
    publish(&hub, &["a", "a", "a"]);
    let mut session = hub.session().channel("a").channel("b").open().unwrap();
    assert_eq!(opening(&session), Some(3));
    assert_eq!(read(&mut session), [""; 0]);
    drop(drivers);
}

#[test]
fn a_gap_is_told_in_its_place_and_its_id_covers_nothing_that_is_still_to_come() {
    let hub = keeping(2);
    let mut session = hub.session().channel("a").channel("b").open().unwrap();
    publish(&hub, &["a", "b", "a", "a", "a", "b", "a"]);
    // a lost 1, 3 and 4; its retained are 5 and 7. b still has 2.
    assert_eq!(
        read(&mut session),
        ["a! slow 3 @1", "b 2", "a 5", "b 6", "a 7"]
    );
    // Cut right after the gap, the client comes back with id 1 and misses nothing of b.
    let mut session = resume(&hub, &["a", "b"], &id(&hub, 1));
    assert_eq!(
        read(&mut session),
        ["a! trimmed ? @1", "b 2", "a 5", "b 6", "a 7"]
    );
}

#[test]
fn a_gap_exists_exactly_when_the_position_is_below_the_trim_mark() {
    let hub = keeping(2);
    publish(&hub, &["a", "a", "a", "a"]);
    assert_eq!(
        read(&mut resume(&hub, &["a"], &id(&hub, 2))),
        ["a 3", "a 4"]
    );
    let mut below = resume(&hub, &["a"], &id(&hub, 1));
    assert_eq!(read(&mut below), ["a! trimmed ? @2", "a 3", "a 4"]);
    let earliest = hub.session().start(Start::Earliest).channel("a").open();
    assert_eq!(read(&mut earliest.unwrap()), ["a 3", "a 4"]);
}

#[test]
fn an_id_of_another_run_gives_a_gap_then_all_that_is_retained() {
    let hub = Hub::new();
    publish(&hub, &["a", "b"]);
    let foreign = Position::new(Epoch::from_bits(hub.position().epoch().bits() ^ 1), 1);
    let mut session = resume(&hub, &["a", "b"], &foreign.to_string());
    assert_eq!(opening(&session), None);
    let seen = read(&mut session);
    assert_eq!(seen, ["a! epoch ? @?", "b! epoch ? @0", "a 1", "b 2"]);
}

#[test]
fn only_the_last_gap_of_a_broken_resume_moves_the_position() {
    // If the first block or the first gap had an id of this epoch, a client cut right after it
    // would come back with that id and never hear of the loss in the other channel.
    let hub = Hub::new();
    publish(&hub, &["a"]);
    let session = resume(&hub, &["a", "b"], "garbage");
    assert_eq!(opening(&session), None);
    assert!(session.honoured_position().is_none());
    let mut session = session;
    assert_eq!(read(&mut session), ["a! unknown ? @?", "b! unknown ? @1"]);
    assert!(session.honoured_position().is_some());
    publish(&hub, &["b"]);
    assert_eq!(read(&mut session), ["b 2"]);
}

#[test]
fn an_id_beyond_the_log_is_unknown_to_a_memory_log() {
    let hub = Hub::new();
    publish(&hub, &["a"]);
    let mut session = resume(&hub, &["a"], &id(&hub, 2));
    assert_eq!(read(&mut session), ["a! unknown ? @1"]);
    let mut session = resume(&hub, &["a"], &id(&hub, 1));
    assert_eq!(read(&mut session), [""; 0]);
}

#[test]
fn a_channel_joins_a_live_session_at_its_position() {
    let hub = Hub::new();
    let mut session = hub.subscribe("a").unwrap();
    publish(&hub, &["b", "a", "b"]);
    assert_eq!(read(&mut session), ["a 2"]);
    // All up to 3 is dealt with, so that is where b joins.
    let joined = session.subscribe(["b", "a"]).unwrap().unwrap();
    assert_eq!(joined.sequence(), 3);
    publish(&hub, &["b", "a"]);
    assert_eq!(read(&mut session), ["b 4", "a 5"]);
    assert!(session.unsubscribe("b"));
    assert!(!session.unsubscribe("b"));
    publish(&hub, &["b", "a"]);
    assert_eq!(read(&mut session), ["a 7"]);
}

#[test]
fn a_channel_that_joins_a_lagging_session_starts_in_its_past() {
    let hub = keeping(2);
    let mut session = hub.subscribe("a").unwrap();
    publish(&hub, &["a", "b", "b", "b"]);
    let joined = session.subscribe(["b"]).unwrap().unwrap();
    assert_eq!(joined.sequence(), 0);
    assert_eq!(read(&mut session), ["a 1", "b! trimmed ? @2", "b 3", "b 4"]);
}

#[test]
fn a_session_opened_without_channels_resumes_with_its_first_ones() {
    let hub = Hub::new();
    publish(&hub, &["a", "b", "a"]);
    let mut session = resume(&hub, &[], &id(&hub, 1));
    publish(&hub, &["b"]);
    assert_eq!(
        session.subscribe(["a", "b"]).unwrap().unwrap().sequence(),
        1
    );
    assert_eq!(read(&mut session), ["b 2", "a 3", "b 4"]);
    let mut session = resume(&hub, &[], "garbage");
    assert_eq!(session.subscribe(["a"]).unwrap(), None);
    assert_eq!(read(&mut session), ["a! unknown ? @4"]);
}

#[test]
fn nothing_is_emitted_above_the_dispatched_number() {
    let hub = Hub::with_config(HubConfig::new().with_shards(1));
    let mut drivers = hub.drivers(Never);
    let mut session = hub.session().channel("a").channel("b").open().unwrap();
    assert_eq!(read(&mut session), [""; 0]);
    publish(&hub, &["a"]);
    turn(&mut drivers[0]);
    publish(&hub, &["b", "a"]);
    // The session knows of a, but its mark for b is still to come: a 3 has to wait for b 2.
    assert_eq!(read(&mut session), ["a 1"]);
    assert!(matches!(session.heartbeat(), Delivery::Heartbeat));
    assert_eq!(session.honoured_position().unwrap().sequence(), 1);
    turn(&mut drivers[0]);
    assert_eq!(read(&mut session), ["b 2", "a 3"]);
}

/// The only channel of a session needs no bound; the one that joins it does.
#[test]
fn nothing_above_the_dispatched_number_comes_with_the_second_channel() {
    let hub = Hub::with_config(HubConfig::new().with_shards(1));
    let mut drivers = hub.drivers(Never);
    let mut session = hub.subscribe("a").unwrap();
    assert_eq!(read(&mut session), [""; 0]);
    let handle = session.handle();
    let channels = vec![ChannelName::new("b").unwrap().into()];
    let mut joining = pin!(handle.subscribe(channels, SubscriptionOptions::new()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(joining.as_mut().poll(&mut cx).is_pending());
    publish(&hub, &["a", "b"]);
    let is_event = |delivery: &Delivery| matches!(delivery, Delivery::Event(_));
    assert!(!drain(&mut session).iter().any(is_event));
    assert!(joining.as_mut().poll(&mut cx).is_ready());
    turn(&mut drivers[0]);
    assert_eq!(read(&mut session), ["a 1", "b 2"]);
}

#[test]
fn a_forgotten_channel_leaves_the_floor_as_its_trim_mark() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(60));
    publish(&hub, &["a", "a", "b"]);
    clock.advance(Duration::from_secs(10));
    maintain();
    assert_eq!(hub.stats().retained_bytes, 0);
    assert_eq!(hub.stats().channels, 2);
    clock.advance(Duration::from_secs(60));
    maintain();
    assert_eq!(hub.stats().channels, 0);
    // a's events are gone: who resumes before them has to be told so, though nobody knows a.
    assert_eq!(
        read(&mut resume(&hub, &["a"], &id(&hub, 1))),
        ["a! trimmed ? @3"]
    );
    // And who saw everything is told nothing.
    assert_eq!(read(&mut resume(&hub, &["a"], &id(&hub, 3))), [""; 0]);
}

#[test]
fn a_quiet_subscriber_is_told_a_newer_position_before_the_floor_passes_it() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(60));
    let mut quiet = hub.subscribe("quiet").unwrap();
    assert_eq!(read(&mut quiet), [""; 0]);
    publish(&hub, &["busy", "busy"]);
    // Nothing was forgotten: a heartbeat is a plain one, however much was published elsewhere.
    assert!(matches!(quiet.heartbeat(), Delivery::Heartbeat));
    clock.advance(Duration::from_secs(10));
    maintain();
    let Delivery::Position(position) = quiet.heartbeat() else {
        panic!("the floor is about to rise to 2 and the client still holds 0");
    };
    assert_eq!(position.sequence(), 2);
    assert!(matches!(quiet.heartbeat(), Delivery::Heartbeat));
    clock.advance(Duration::from_secs(60));
    maintain();
    drop(quiet);
    assert_eq!(hub.stats().channels, 0);
    assert_eq!(
        read(&mut resume(&hub, &["quiet"], &position.to_string())),
        [""; 0]
    );
}

#[test]
fn a_channel_with_a_subscriber_is_never_forgotten() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(1));
    publish(&hub, &["a"]);
    let mut session = hub.subscribe("a").unwrap();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(20));
        maintain();
    }
    publish(&hub, &["a"]);
    assert_eq!(read(&mut session), ["a 2"]);
}

#[test]
fn naming_a_channel_leaves_nothing_behind() {
    let hub = Hub::new();
    hub.channel("a").unwrap();
    let mut session = hub.session().channel("b").open().unwrap();
    assert_eq!(hub.stats().channels, 1);
    for n in 0..100 {
        session.subscribe([format!("c{n}")]).unwrap();
        session.unsubscribe(&format!("c{n}"));
    }
    assert_eq!(hub.stats().channels, 1);
    drop(session);
    assert_eq!(hub.stats().channels, 0);
}

#[test]
fn the_hub_bound_evicts_the_oldest_events_of_all_channels_first() {
    let one = {
        let hub = Hub::new();
        publish(&hub, &["a"]);
        hub.stats().retained_bytes
    };
    let hub = Hub::with_config(HubConfig::new().with_max_bytes(4 * one));
    publish(&hub, &["a", "b", "a", "b", "a", "b"]);
    assert_eq!(hub.stats().retained_bytes, 4 * one);
    let mut session = hub
        .session()
        .start(Start::Earliest)
        .channel("a")
        .channel("b")
        .open()
        .unwrap();
    assert_eq!(read(&mut session), ["a 3", "b 4", "a 5", "b 6"]);
}

#[test]
fn limits_are_typed_errors_and_leave_the_session_as_it_was() {
    let config = HubConfig::new()
        .with_max_channels(3)
        .with_max_session_channels(2);
    let hub = Hub::with_config(config);
    let mut session = hub.subscribe("a").unwrap();
    assert_eq!(
        session.subscribe(["b", "c"]),
        Err(SubscribeError::SessionFull { limit: 2 })
    );
    assert_eq!(session.channels().len(), 1);
    assert_eq!(hub.stats().channels, 1);
    let _others = hub.session().channel("c").channel("d").open().unwrap();
    assert_eq!(
        session.subscribe(["b"]),
        Err(SubscribeError::TooManyChannels { limit: 3 })
    );
    assert!(hub.try_publish("e", Event::text("x")).is_err());
    publish(&hub, &["a"]);
    assert_eq!(read(&mut session), ["a 1"]);
}

#[test]
fn an_end_comes_once_and_nothing_follows() {
    let hub = Hub::new();
    let mut session = hub.subscribe("a").unwrap();
    let handle = session.handle();
    handle.end(End::Draining { retry: None });
    handle.end(End::Closed);
    publish(&hub, &["a"]);
    let end = drain(&mut session);
    assert!(
        matches!(end[..], [Delivery::End(End::Draining { .. })]),
        "{end:?}"
    );
    let mut out = Vec::new();
    let limits = eventcast_core::BatchLimits::default();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(session.poll_batch(&mut cx, limits, &mut out).is_ready());
    assert!(out.is_empty());
}

#[test]
fn snapshot_and_stream_join_at_the_hubs_position() {
    let hub = Hub::new();
    publish(&hub, &["a", "a"]);
    let position = hub.position();
    publish(&hub, &["a"]);
    let mut session = resume(&hub, &["a"], &position.to_string());
    assert_eq!(read(&mut session), ["a 3"]);
}

#[test]
fn gap_reasons_have_stable_names() {
    let names = [
        GapReason::Epoch,
        GapReason::Slow,
        GapReason::Trimmed,
        GapReason::Unknown,
    ];
    assert_eq!(
        names.map(GapReason::as_str),
        ["epoch", "slow", "trimmed", "unknown"]
    );
}
