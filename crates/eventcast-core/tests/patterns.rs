//! Patterns: all channels that fit, those included that come later.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use std::time::Duration;

use eventcast_core::{
    Event, GapReason, Hub, HubConfig, NameError, Retention, Session, SlowPolicy, Start,
    SubscribeError, SubscriptionOptions,
};
use eventcast_testkit::drain;
use support::{id, keeping, maintained, opening, publish, read, read_some, resume, turn};

#[test]
fn channels_created_later_are_delivered_and_others_are_not() {
    let hub = Hub::new();
    publish(&hub, &["a/1"]);
    let mut session = hub.subscribe("a/*").unwrap();
    publish(&hub, &["a/1", "b/1", "a/2", "a", "a/1"]);
    assert_eq!(read(&mut session), ["a/1 2", "a/2 4", "a/1 6"]);
    publish(&hub, &["a/2", "a/3"]);
    assert_eq!(read(&mut session), ["a/2 7", "a/3 8"]);
    assert_eq!(session.channels().len(), 1);
    assert_eq!(session.channels()[0].as_str(), "a/*");
}

#[test]
fn starts_hold_for_every_channel_that_fits() {
    let hub = Hub::new();
    publish(&hub, &["a/1", "a/2", "b", "a/1", "a/2"]);
    let start = |start| {
        let mut session = hub.session().start(start).channel("a/*").open().unwrap();
        (opening(&session), read(&mut session))
    };
    let (position, events) = start(Start::Earliest);
    assert_eq!(events, ["a/1 1", "a/2 2", "a/1 4", "a/2 5"]);
    assert_eq!(position, Some(0));
    assert_eq!(start(Start::Last(1)).1, ["a/1 4", "a/2 5"]);
    assert_eq!(start(Start::Live), (Some(5), vec![]));
}

#[test]
fn a_resume_brings_channels_that_were_created_meanwhile() {
    let hub = Hub::new();
    publish(&hub, &["a/1", "a/2", "a/3", "b/1"]);
    let mut session = resume(&hub, &["a/*"], &id(&hub, 1));
    assert_eq!(opening(&session), Some(1));
    assert_eq!(read(&mut session), ["a/2 2", "a/3 3"]);
    // A channel that had nothing at the resume is found when it has.
    publish(&hub, &["a/1"]);
    assert_eq!(read(&mut session), ["a/1 5"]);
}

#[test]
fn named_channels_and_patterns_are_one_order_and_nothing_comes_twice() {
    let hub = Hub::new();
    let session = hub.session().channel("a/1").channel("a/*").channel("*");
    let mut session = session.open().unwrap();
    publish(&hub, &["a/2", "a/1", "b", "a/2"]);
    assert_eq!(read(&mut session), ["a/2 1", "a/1 2", "b 3", "a/2 4"]);
}

#[test]
fn a_pattern_may_go_and_come_while_others_stay() {
    let hub = Hub::new();
    let mut session = hub.session().channel("a/*").channel("a/1").open().unwrap();
    publish(&hub, &["a/1", "a/2"]);
    assert_eq!(read(&mut session), ["a/1 1", "a/2 2"]);
    assert!(session.unsubscribe("a/*"));
    publish(&hub, &["a/1", "a/2"]);
    assert_eq!(read(&mut session), ["a/1 3"]);
    session.subscribe(["a/*"]).unwrap();
    publish(&hub, &["a/2"]);
    assert_eq!(read(&mut session), ["a/2 5"]);
    // The named channel goes; the pattern still fits it.
    assert!(session.unsubscribe("a/1"));
    publish(&hub, &["a/1"]);
    assert_eq!(read(&mut session), ["a/1 6"]);
    // And is named again, at its place.
    session.subscribe(["a/1"]).unwrap();
    assert!(session.unsubscribe("a/*"));
    publish(&hub, &["a/1", "a/2"]);
    assert_eq!(read(&mut session), ["a/1 7"]);
    assert!(!session.unsubscribe("a/*"));
}

#[test]
fn a_pattern_joins_a_live_session_at_its_position_and_only_live() {
    let hub = Hub::new();
    let mut session = hub.subscribe("b").unwrap();
    publish(&hub, &["b", "a/1", "a/2"]);
    // The session lags: what follows its position is to come, of the new channels too.
    let joined = session.subscribe(["a/*"]).unwrap().unwrap();
    assert_eq!(joined.sequence(), 0);
    assert_eq!(read(&mut session), ["b 1", "a/1 2", "a/2 3"]);
    let earliest = SubscriptionOptions::new().with_start(Start::Earliest);
    assert_eq!(
        session.subscribe_with(["c/*"], &earliest).unwrap_err(),
        SubscribeError::PatternStart
    );
}

#[test]
fn a_slow_reader_finds_the_gap_of_a_channel_it_never_read() {
    let hub = keeping(2);
    let mut session = hub.subscribe("a/*").unwrap();
    publish(&hub, &["a/1", "a/1", "a/2", "a/1", "a/1"]);
    assert_eq!(
        read(&mut session),
        ["a/1! slow 2 @2", "a/2 3", "a/1 4", "a/1 5"]
    );
}

#[test]
fn a_channel_a_pattern_fits_is_forgotten_all_the_same() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(1));
    let mut session = hub.subscribe("a/*").unwrap();
    publish(&hub, &["a/1", "a/2"]);
    assert_eq!(read(&mut session), ["a/1 1", "a/2 2"]);
    for _ in 0..3 {
        clock.advance(Duration::from_secs(11));
        maintain();
    }
    assert_eq!(hub.stats().channels, 0);
    assert!(read(&mut session).is_empty());
    // It comes back: no gap, for the session was at hand all the time.
    publish(&hub, &["a/1"]);
    assert_eq!(read(&mut session), ["a/1 3"]);
    drop(session);
    // A resume cannot know what was forgotten: the pattern says so, once.
    let mut late = resume(&hub, &["a/*", "b/*"], &id(&hub, 0));
    assert_eq!(
        read(&mut late),
        ["a/*! trimmed ? @?", "b/*! trimmed ? @0", "a/1 3"]
    );
    assert!(!read(&mut resume(&hub, &["a/*"], &id(&hub, 2)))[0].contains('!'));
}

#[test]
fn what_lags_behind_a_forgotten_channel_is_told() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(1));
    let mut session = hub.subscribe("a/*").unwrap();
    publish(&hub, &["a/1", "a/1"]);
    for _ in 0..3 {
        clock.advance(Duration::from_secs(11));
        maintain();
    }
    assert_eq!(hub.stats().channels, 0);
    publish(&hub, &["a/1"]);
    assert_eq!(read(&mut session), ["a/1! slow 2 @2", "a/1 3"]);
}

#[test]
fn a_broken_resume_is_one_gap_a_pattern() {
    let hub = Hub::new();
    publish(&hub, &["a/1", "a/2"]);
    let mut foreign = resume(&hub, &["a/*"], "zzzzzzzz-a5");
    assert_eq!(
        read(&mut foreign),
        ["a/*! epoch ? @0", "a/1 1", "a/2 2"],
        "all that is retained of this epoch"
    );
    let mut unknown = resume(&hub, &["a/*"], "nonsense");
    assert_eq!(read(&mut unknown), ["a/*! unknown ? @2"]);
}

#[test]
fn channels_beyond_the_limit_come_and_go_while_they_are_idle() {
    let hub = Hub::with_config(HubConfig::new().with_max_session_channels(3));
    let mut session = hub.subscribe("*").unwrap();
    for (n, name) in ["a", "b", "c", "d", "a", "e", "b", "a"].iter().enumerate() {
        publish(&hub, &[name]);
        assert_eq!(read(&mut session), [format!("{name} {}", n + 1)]);
    }
}

#[test]
fn more_channels_at_once_than_the_limit_are_refused() {
    let hub = Hub::with_config(HubConfig::new().with_max_session_channels(3));
    let mut session = hub.subscribe("*").unwrap();
    publish(&hub, &["a", "b", "c"]);
    assert_eq!(read(&mut session), ["too_many_channels"]);
    let builder = hub.session().resume(&id(&hub, 0)).channel("*");
    assert_eq!(
        builder.open().unwrap_err(),
        SubscribeError::SessionFull { limit: 3 }
    );
    // Nothing of the refused session stays.
    assert_eq!(
        read(&mut resume(&hub, &["*"], &id(&hub, 1))),
        ["b 2", "c 3"]
    );
}

#[test]
fn a_flood_of_channels_is_found_without_being_kept() {
    let hub = Hub::new();
    let mut session = hub.subscribe("a/*").unwrap();
    let names: Vec<_> = (0..600).map(|n| format!("a/{n}")).collect();
    for name in &names {
        publish(&hub, &[name]);
    }
    let mut expected = (0..600).map(|n| format!("a/{n} {}", n + 1));
    assert!(read(&mut session).into_iter().eq(&mut expected));
}

#[test]
fn a_flood_of_channels_that_are_forgotten_is_a_gap_of_the_pattern() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(1));
    let options = [SlowPolicy::Gap, SlowPolicy::Disconnect];
    let mut sessions: Vec<Session> = options
        .map(|slow| SubscriptionOptions::new().with_slow(slow))
        .map(|options| {
            hub.session()
                .options(options)
                .channel("a/*")
                .open()
                .unwrap()
        })
        .into();
    for n in 0..300 {
        publish(&hub, &[&format!("a/{n}")]);
    }
    for _ in 0..3 {
        clock.advance(Duration::from_secs(11));
        maintain();
    }
    publish(&hub, &["a/last"]);
    assert_eq!(read(&mut sessions[0]), ["a/*! slow ? @0", "a/last 301"]);
    assert_eq!(read(&mut sessions[1]), ["slow"]);
}

#[test]
fn completed_channels_end_and_the_session_stays() {
    let hub = Hub::new();
    let mut session = hub.subscribe("jobs/*").unwrap();
    publish(&hub, &["jobs/1"]);
    hub.complete("jobs/1").unwrap();
    publish(&hub, &["jobs/2"]);
    assert_eq!(
        read(&mut session),
        ["jobs/1 1", "jobs/1 complete @2", "jobs/2 3"]
    );
    assert!(!session.is_finished());
    let mut late = hub.subscribe("jobs/*").unwrap();
    assert!(read(&mut late).is_empty(), "ends of before are no news");
    let mut resumed = resume(&hub, &["jobs/*"], &id(&hub, 1));
    assert_eq!(read(&mut resumed), ["jobs/1 complete @2", "jobs/2 3"]);
}

#[test]
fn ephemeral_events_reach_a_pattern() {
    let hub = Hub::new();
    let mut session = hub.subscribe("room/*").unwrap();
    let typing = || Event::text("typing");
    assert!(hub.publish_ephemeral("room/1", typing()).unwrap());
    assert!(!hub.publish_ephemeral("other", typing()).unwrap());
    assert_eq!(read(&mut session), ["room/1 ~typing"]);
    publish(&hub, &["room/1"]);
    hub.publish_ephemeral("room/1", typing()).unwrap();
    assert_eq!(read(&mut session), ["room/1 ~typing", "room/1 1"]);
}

#[test]
fn a_quiet_patterns_position_moves() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(1));
    let mut session = hub.subscribe("a/*").unwrap();
    publish(&hub, &["b"]);
    clock.advance(Duration::from_secs(11));
    maintain();
    assert!(read(&mut session).is_empty());
    let told = format!("{:?}", session.heartbeat());
    assert!(told.starts_with("Position"), "{told}");
    assert_eq!(opening(&session), Some(1));
}

#[test]
fn nothing_above_the_dispatched_number_is_passed_by() {
    let hub = Hub::with_config(HubConfig::new().with_shards(1));
    let mut drivers = hub.drivers(support::Never);
    let mut session = hub.session().channel("a/*").channel("b").open().unwrap();
    publish(&hub, &["a/1", "b"]);
    // The shard has not told the session of `a/1`: `b` must wait for it.
    assert!(read(&mut session).is_empty());
    assert!(matches!(
        session.heartbeat(),
        eventcast_core::Delivery::Heartbeat
    ));
    assert_eq!(opening(&session), Some(0));
    turn(&mut drivers[0]);
    assert_eq!(read(&mut session), ["a/1 1", "b 2"]);
}

#[test]
fn a_filter_and_a_policy_hold_for_all_that_fit() {
    let hub = keeping(2);
    let options = SubscriptionOptions::new()
        .with_slow(SlowPolicy::Disconnect)
        .with_filter(|event| event.name().is_some());
    let mut session = hub
        .session()
        .options(options)
        .channel("a/*")
        .open()
        .unwrap();
    publish(&hub, &["a/1"]);
    hub.try_publish("a/2", Event::text("x").named("n").unwrap())
        .unwrap();
    assert_eq!(read(&mut session), ["a/2 2"]);
    publish(&hub, &["a/3", "a/3", "a/3"]);
    assert_eq!(read(&mut session), ["slow"]);
}

#[test]
fn a_pattern_ends_in_its_only_star() {
    let hub = Hub::with_config(HubConfig::new().with_retention(Retention::new()));
    let error = hub.subscribe("a/*/b").unwrap_err();
    assert_eq!(error, SubscribeError::Channel(NameError::Pattern));
    let gap = drain(&mut resume(&hub, &["*"], "x"));
    assert!(
        matches!(&gap[0], eventcast_core::Delivery::Gap(gap) if gap.reason == GapReason::Unknown)
    );
}

#[test]
fn a_name_beside_a_forgotten_channel_of_that_name_brings_nothing_twice() {
    let (hub, clock, mut maintain) = maintained(Duration::from_secs(1));
    let mut session = hub.subscribe("p/*").unwrap();
    publish(&hub, &["p/1"]);
    for _ in 0..3 {
        clock.advance(Duration::from_secs(11));
        maintain();
    }
    assert_eq!(hub.stats().channels, 0);
    // The session has not read that loss yet, and the channel comes back.
    publish(&hub, &["p/1"]);
    assert_eq!(read_some(&mut session, 1), ["p/1! slow 1 @1"]);
    session.subscribe(["p/1"]).unwrap();
    publish(&hub, &["p/1"]);
    assert_eq!(read(&mut session), ["p/1 2", "p/1 3"]);
}

#[test]
fn a_channel_that_only_a_pattern_reads_is_not_forgotten_by_another_reader() {
    let (hub, _, mut maintain) = maintained(Duration::from_secs(60));
    let mut session = hub.subscribe("p/*").unwrap();
    hub.publish_ephemeral("p/1", Event::text("typing")).unwrap();
    assert_eq!(read(&mut session), ["p/1 ~typing"]);
    maintain();
    drop(hub.subscribe("p/1").unwrap());
    publish(&hub, &["p/1"]);
    session.subscribe(["p/1"]).unwrap();
    publish(&hub, &["p/1"]);
    assert_eq!(read(&mut session), ["p/1 1", "p/1 2"]);
}

#[test]
fn a_pattern_that_was_left_holds_no_position_back() {
    let hub = Hub::new();
    let mut session = hub.session().channel("a").channel("p/*").open().unwrap();
    assert!(read(&mut session).is_empty());
    publish(&hub, &["p/1"]);
    session.unsubscribe("p/*");
    assert!(read(&mut session).is_empty());
    publish(&hub, &["b", "b"]);
    assert_eq!(session.settled_position(), Some(hub.position()));
}

#[test]
fn a_name_has_its_own_options_whatever_pattern_fits_it() {
    let hub = Hub::new();
    publish(&hub, &["p/1", "p/1", "p/2", "p/2"]);
    let mut session = hub
        .session()
        .start(Start::Last(1))
        .channel("p/*")
        .start(Start::Earliest)
        .channel("p/1")
        .open()
        .unwrap();
    assert_eq!(read(&mut session), ["p/1 1", "p/1 2", "p/2 4"]);
    let nothing = SubscriptionOptions::new().with_filter(|_| false);
    session.subscribe_with(["p/2"], &nothing).unwrap();
    publish(&hub, &["p/1", "p/2"]);
    assert_eq!(read(&mut session), ["p/1 5"]);
}

#[test]
fn channels_that_have_nothing_make_room_for_named_ones() {
    let hub = Hub::with_config(HubConfig::new().with_max_session_channels(3));
    let mut session = hub.subscribe("*").unwrap();
    publish(&hub, &["a", "b"]);
    assert_eq!(read(&mut session), ["a 1", "b 2"]);
    session.subscribe(["c", "d"]).unwrap();
    publish(&hub, &["d", "c"]);
    assert_eq!(read(&mut session), ["d 3", "c 4"]);
    assert!(session.subscribe(["e"]).is_err());
}
