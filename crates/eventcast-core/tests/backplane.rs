//! Hubs over a log outside them: one log, several nodes, and what happens when it is away.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{
    Delivery, End, Event, GapReason, Health, Hub, HubConfig, Position, PublishError, Retention,
    Session, SlowPolicy, Start, SubscribeError, SubscriptionOptions,
};
use eventcast_testkit::{AppendFault, ManualClock, MemoryLog, MemoryNode, drain, poll_once};

struct Node {
    hub: Hub,
    node: Arc<MemoryNode>,
}

fn node(log: &MemoryLog) -> Node {
    node_with(log, HubConfig::new())
}

fn node_with(log: &MemoryLog, config: HubConfig) -> Node {
    let node = log.node();
    let hub = poll_once(Hub::open(config, Arc::clone(&node))).expect("ready");
    Node {
        hub: hub.expect("attached"),
        node,
    }
}

/// A hub whose memory holds next to nothing: everything older is read from the log.
fn forgetful() -> HubConfig {
    HubConfig::new().with_max_bytes(4_000).with_max_payload(100)
}

impl Node {
    fn publish(&self, channel: &str, text: &str) -> Position {
        let published = poll_once(self.hub.publish(channel, Event::text(text)));
        published.expect("ready").expect("stored")
    }

    fn open(&self, channels: &[&str], start: Start, resume: Option<Position>) -> Session {
        let mut builder = self.hub.session().start(start);
        for channel in channels {
            builder = builder.channel(*channel);
        }
        if let Some(id) = resume {
            builder = builder.resume(&id.to_string());
        }
        poll_once(builder.open_async())
            .expect("ready")
            .expect("open")
    }
}

/// Events as `channel text`, everything else by its kind.
fn told(deliveries: &[Delivery]) -> Vec<String> {
    let tell = |delivery: &Delivery| match delivery {
        Delivery::Event(e) => format!("{} {}", e.channel(), e.payload().as_str().unwrap()),
        Delivery::Gap(gap) => format!("gap {} {}", gap.channel, gap.reason.as_str()),
        Delivery::Completed(end) => format!("completed {}", end.channel),
        Delivery::Conflated(run) => format!("conflated {} {}", run.channel, run.count),
        Delivery::Ephemeral(e) => format!("ephemeral {}", e.payload().as_str().unwrap()),
        Delivery::End(end) => format!("end {}", end.as_str()),
        Delivery::Stalled => "stalled".to_owned(),
        Delivery::Recovered => "recovered".to_owned(),
        Delivery::Position(_) => "position".to_owned(),
        other => format!("{other:?}"),
    };
    deliveries.iter().map(tell).collect()
}

#[test]
fn an_event_reaches_the_sessions_of_all_nodes_under_one_id() {
    for log in [MemoryLog::new(), MemoryLog::new().leaving_out_unwanted()] {
        let (here, there) = (node(&log), node(&log));
        let mut far = there.open(&["a"], Start::Live, None);
        let mut near = here.open(&["a", "b"], Start::Live, None);
        assert_eq!(told(&drain(&mut far)), [""; 0]);
        let id = here.publish("a", "1");
        let Delivery::Event(event) = &drain(&mut far)[0] else {
            panic!("no event")
        };
        assert_eq!(event.id(), id);
        assert_eq!(told(&drain(&mut near)), ["a 1"]);
        assert_eq!(here.hub.position(), id);
        assert_eq!(there.hub.position(), id);
    }
}

#[test]
fn a_session_goes_on_at_the_other_node_and_after_memory_was_forgotten() {
    for log in [MemoryLog::new(), MemoryLog::new().leaving_out_unwanted()] {
        let (here, there) = (node_with(&log, forgetful()), node(&log));
        let ids: Vec<_> = (0..300)
            .map(|n| here.publish("a", &n.to_string()))
            .collect();
        let expected: Vec<_> = (10..300).map(|n| format!("a {n}")).collect();
        for node in [&here, &there] {
            let mut session = node.open(&["a"], Start::Live, Some(ids[9]));
            assert_eq!(session.opening().position, Some(ids[9]));
            assert_eq!(told(&drain(&mut session)), expected);
            assert_eq!(session.honoured_position(), Some(ids[299]));
        }
        let mut session = there.open(&["a"], Start::Live, Some(ids[9]));
        here.publish("a", "300");
        assert_eq!(told(&drain(&mut session)).len(), 291);
    }
}

#[test]
fn starts_are_found_in_the_log() {
    let log = MemoryLog::new();
    let clock = ManualClock::new();
    let here = node_with(&log, HubConfig::new().with_clock(clock.clone()));
    let there = node(&log);
    for n in 0..20 {
        here.publish("a", &n.to_string());
        here.publish("b", "x");
        clock.advance(Duration::from_millis(10));
    }
    let texts = |from: u64| (from..20).map(|n| format!("a {n}")).collect::<Vec<_>>();
    let since = Start::Since(eventcast_core::Timestamp::from_millis(1_055));
    for (start, from) in [
        (Start::Earliest, 0),
        (Start::Last(3), 17),
        (Start::Last(100), 0),
        (since, 6),
        (Start::Live, 20),
    ] {
        let mut session = there.open(&["a"], start, None);
        let position = session.opening().position.expect("a position");
        assert_eq!(told(&drain(&mut session)), texts(from), "{start:?}");
        // A reader that is cut before its first event comes back with that.
        let mut again = there.open(&["a"], Start::Live, Some(position));
        assert_eq!(told(&drain(&mut again)), texts(from), "{start:?}, again");
    }
}

#[test]
fn what_the_log_has_trimmed_is_a_gap_in_place() {
    let log = MemoryLog::new();
    let here = node_with(&log, forgetful());
    let ids: Vec<_> = (0..40)
        .map(|n| here.publish(["a", "b"][n % 2], &n.to_string()))
        .collect();
    log.trim_to(ids[20].sequence());
    let mut session = here.open(&["a", "b"], Start::Live, Some(ids[3]));
    let told = told(&drain(&mut session));
    let gaps = told.iter().filter(|t| t.starts_with("gap")).count();
    assert_eq!((told[0].as_str(), gaps), ("gap a trimmed", 2));
    assert_eq!(told.len(), 2 + 19);
    assert!(told.ends_with(&["a 38".into(), "b 39".into()]));
}

#[test]
fn completed_channels_are_known_to_nodes_that_never_saw_them() {
    for log in [MemoryLog::new(), MemoryLog::new().leaving_out_unwanted()] {
        let (here, there) = (node(&log), node(&log));
        let first = here.publish("job", "1");
        here.publish("job", "2");
        let end = poll_once(here.hub.complete_async("job")).unwrap().unwrap();
        let refused = poll_once(there.hub.publish("job", Event::text("3"))).unwrap();
        assert_eq!(refused, Err(PublishError::Completed));
        let mut live = there.open(&["job"], Start::Live, None);
        let all = ["job 1", "job 2", "completed job", "end completed"];
        assert_eq!(told(&drain(&mut live)), all);
        let mut resumed = there.open(&["job"], Start::Live, Some(first));
        assert_eq!(told(&drain(&mut resumed)), all[1..]);
        assert!(there.open(&["job"], Start::Live, Some(end)).is_finished());
    }
}

#[test]
fn filters_and_conflation_hold_over_pages() {
    let log = MemoryLog::new();
    let here = node(&log);
    for n in 0..60 {
        let key = ["x", "y"][n % 2];
        let event = Event::text(n.to_string()).keyed(key).unwrap();
        poll_once(here.hub.publish("a", event)).unwrap().unwrap();
    }
    let there = node(&log);
    let even = SubscriptionOptions::new()
        .with_start(Start::Earliest)
        .with_filter(|e| e.payload().as_str().is_some_and(|t| t.ends_with('0')));
    let session = there.hub.session().options(even).channel("a").open_async();
    let mut session = poll_once(session).unwrap().unwrap();
    let tens: Vec<_> = (0..6).map(|n| format!("a {}", n * 10)).collect();
    assert_eq!(told(&drain(&mut session)), tens);
    let newest = SubscriptionOptions::new()
        .with_start(Start::Earliest)
        .with_slow(SlowPolicy::Conflate);
    let session = there
        .hub
        .session()
        .options(newest)
        .channel("a")
        .open_async();
    let told = told(&drain(&mut poll_once(session).unwrap().unwrap()));
    assert!(told.len() < 20, "{told:?}");
    assert!(told.ends_with(&["a 58".into(), "a 59".into()]), "{told:?}");
}

#[test]
fn patterns_find_channels_of_other_nodes() {
    let log = MemoryLog::new();
    let (here, there) = (node(&log), node(&log));
    let first = here.publish("chat/1", "a");
    here.publish("chat/2", "b");
    here.publish("news", "c");
    let mut resumed = there.open(&["chat/*"], Start::Live, Some(first));
    let mut earliest = there.open(&["chat/*"], Start::Earliest, None);
    let mut live = there.open(&["chat/*"], Start::Live, None);
    assert_eq!(told(&drain(&mut resumed)), ["chat/2 b"]);
    assert_eq!(told(&drain(&mut earliest)), ["chat/1 a", "chat/2 b"]);
    assert_eq!(told(&drain(&mut live)), [""; 0]);
    here.publish("chat/3", "d");
    here.publish("chat/1", "e");
    for session in [&mut resumed, &mut earliest, &mut live] {
        assert_eq!(told(&drain(session)), ["chat/3 d", "chat/1 e"]);
    }
    // What the sink was not given is looked for.
    log.lose_records();
    here.publish("chat/4", "f");
    here.publish("chat/1", "g");
    log.tell_skipped();
    here.publish("chat/5", "h");
    for session in [&mut resumed, &mut earliest, &mut live] {
        assert_eq!(told(&drain(session)), ["chat/4 f", "chat/1 g", "chat/5 h"]);
    }
}

#[test]
fn skipped_records_are_read_from_the_log() {
    let log = MemoryLog::new();
    let here = node(&log);
    let mut one = here.open(&["a"], Start::Live, None);
    let mut two = here.open(&["a", "b"], Start::Live, None);
    drain(&mut one);
    drain(&mut two);
    here.publish("a", "1");
    log.lose_records();
    here.publish("a", "2");
    here.publish("b", "3");
    log.tell_skipped();
    here.publish("a", "4");
    assert_eq!(told(&drain(&mut one)), ["a 1", "a 2", "a 4"]);
    assert_eq!(told(&drain(&mut two)), ["a 1", "a 2", "b 3", "a 4"]);
}

#[test]
fn a_stall_is_told_once_and_nothing_is_lost() {
    let log = MemoryLog::new();
    let (here, there) = (node(&log), node(&log));
    let mut session = there.open(&["a", "b"], Start::Live, None);
    drain(&mut session);
    there.node.stall();
    assert_eq!(there.hub.health(), Health::Stalled);
    let id = here.publish("a", "1");
    assert_eq!(told(&drain(&mut session)), ["stalled"]);
    assert_eq!(told(&drain(&mut session)), [""; 0]);
    // A client that comes from the other node waits for what that one gave it.
    let mut ahead = there.open(&["a"], Start::Live, Some(id));
    assert_eq!(ahead.opening().position, Some(id));
    assert_eq!(told(&drain(&mut ahead)), ["stalled"]);
    let first = poll_once(there.hub.session().channel("c").open_async());
    assert!(first.is_none(), "where it starts is not known");
    here.publish("a", "2");
    there.node.recover();
    assert_eq!(told(&drain(&mut session)), ["recovered", "a 1", "a 2"]);
    assert_eq!(told(&drain(&mut ahead)), ["recovered", "a 2"]);
    assert_eq!(there.hub.health(), Health::Connected);
}

#[test]
fn a_page_that_fails_is_read_again() {
    let log = MemoryLog::new();
    let (here, there) = (node(&log), node(&log));
    let first = here.publish("a", "1");
    here.publish("a", "2");
    let mut session = there.open(&["a"], Start::Live, Some(first));
    log.fail_reads(1);
    assert_eq!(told(&drain(&mut session)), ["stalled"]);
    // A sign of life of the log: what failed is tried again.
    log.stall();
    log.recover();
    assert_eq!(told(&drain(&mut session)), ["recovered", "a 2"]);
}

#[test]
fn an_unknown_outcome_names_the_key_that_makes_a_retry_safe() {
    let log = MemoryLog::new();
    let here = node(&log);
    let mut session = here.open(&["a"], Start::Live, None);
    for fault in [AppendFault::UnknownStored, AppendFault::UnknownLost] {
        log.fail_next(fault);
        let failed = poll_once(here.hub.publish("a", Event::text("once"))).unwrap();
        let Err(PublishError::OutcomeUnknown { keys, .. }) = failed else {
            panic!("{failed:?}")
        };
        let retry = Event::text("once");
        let retry = retry.with_idempotency_key(keys[0].as_str()).unwrap();
        poll_once(here.hub.publish("a", retry)).unwrap().unwrap();
        assert_eq!(told(&drain(&mut session)), ["a once"]);
    }
    log.fail_next(AppendFault::NotStored);
    let failed = poll_once(here.hub.publish("a", Event::text("x"))).unwrap();
    assert!(matches!(failed, Err(PublishError::Unavailable { .. })));
    log.fail_next(AppendFault::Full);
    let failed = poll_once(here.hub.publish("a", Event::text("x"))).unwrap();
    assert!(matches!(failed, Err(PublishError::Full(_))));
    assert_eq!(log.len(), 2);
}

#[test]
fn a_publish_whose_outcome_is_unknown_is_tried_again_at_another_node_and_stored_once() {
    for (fault, is_stored) in [
        (AppendFault::UnknownStored, true),
        (AppendFault::UnknownLost, false),
    ] {
        let log = MemoryLog::new();
        let (here, there) = (node(&log), node(&log));
        let mut sessions = [&here, &there].map(|node| node.open(&["a"], Start::Live, None));
        let publish = |node: &Node| {
            let event = Event::text("once").with_idempotency_key("k").unwrap();
            poll_once(node.hub.publish("a", event)).expect("ready")
        };
        log.fail_next(fault);
        let failed = publish(&here);
        assert!(
            matches!(failed, Err(PublishError::OutcomeUnknown { .. })),
            "{failed:?}"
        );
        assert_eq!(log.len(), usize::from(is_stored));
        let first = log.last();
        let id = publish(&there).unwrap();
        assert!(!is_stored || id.sequence() == first);
        // Who asks a third time, wherever, is told the same.
        assert_eq!([&here, &there].map(publish), [Ok(id), Ok(id)]);
        assert_eq!(log.len(), 1);
        for session in &mut sessions {
            let deliveries = drain(session);
            let [Delivery::Event(event)] = &deliveries[..] else {
                panic!("{deliveries:?}")
            };
            assert_eq!(event.id(), id);
        }
    }
}

#[test]
fn a_fork_is_a_gap_for_those_who_were_past_it_alone() {
    let log = MemoryLog::new();
    let here = node(&log);
    let kept = here.publish("a", "1");
    let mut past = here.open(&["a", "b"], Start::Live, Some(kept));
    let lost = here.publish("a", "lost");
    assert_eq!(told(&drain(&mut past)), ["a lost"]);
    let mut before = here.open(&["a"], Start::Live, Some(kept));
    log.fork(1);
    let gaps = drain(&mut past);
    assert_eq!(told(&gaps), ["gap a epoch", "gap b epoch"]);
    let after_gap = past.honoured_position().expect("a position");
    assert_ne!(after_gap.epoch(), kept.epoch());
    let new = here.publish("a", "2");
    assert!(new.sequence() > lost.sequence());
    assert_eq!(told(&drain(&mut past)), ["a 2"]);
    assert_eq!(told(&drain(&mut before)), ["a 2"]);
    let there = node(&log);
    for node in [&here, &there] {
        for (id, expected) in [
            (kept, vec!["a 2"]),
            (after_gap, vec!["a 2"]),
            (lost, vec!["gap a epoch", "a 2"]),
            (new, vec![]),
        ] {
            let mut session = node.open(&["a"], Start::Live, Some(id));
            assert_eq!(told(&drain(&mut session)), expected, "{id}");
        }
    }
}

#[test]
fn what_does_not_wait_is_refused() {
    let log = MemoryLog::new();
    let here = node(&log);
    let refused = here.hub.try_publish("a", Event::text("1"));
    assert_eq!(refused, Err(PublishError::NeedsAsync));
    assert_eq!(here.hub.complete("a"), Err(PublishError::NeedsAsync));
    let refused = here.hub.subscribe("a").map(drop);
    assert_eq!(refused, Err(SubscribeError::NeedsAsync));
    poll_once(here.hub.close()).unwrap().unwrap();
    assert_eq!(here.hub.health(), Health::Closed);
    let closed = poll_once(here.hub.publish("a", Event::text("1"))).unwrap();
    assert!(matches!(closed, Err(PublishError::Unavailable { .. })));
}

#[test]
fn a_reader_slower_than_the_log_is_told_so() {
    let log = MemoryLog::new();
    let retention = Retention::new().with_count(5);
    let here = node_with(&log, HubConfig::new().with_retention(retention));
    let mut gap = here.open(&["a"], Start::Live, None);
    let options = SubscriptionOptions::new().with_slow(SlowPolicy::Disconnect);
    let session = here
        .hub
        .session()
        .options(options)
        .channel("a")
        .open_async();
    let mut disconnect = poll_once(session).unwrap().unwrap();
    drain(&mut gap);
    drain(&mut disconnect);
    for n in 0..20 {
        here.publish("a", &n.to_string());
    }
    let deliveries = drain(&mut gap);
    let Delivery::Gap(first) = &deliveries[0] else {
        panic!("{deliveries:?}")
    };
    assert_eq!(first.reason, GapReason::Slow);
    assert_eq!(deliveries.len(), 6);
    let ended = drain(&mut disconnect);
    assert!(matches!(ended[..], [Delivery::End(End::Slow)]), "{ended:?}");
}

#[test]
fn what_memory_holds_of_the_log_is_counted_whatever_removes_it() {
    let log = MemoryLog::new();
    let retention = Retention::new().with_count(5);
    let config = HubConfig::new()
        .with_max_bytes(4_000)
        .with_retention(retention);
    let here = node_with(&log, config);
    let counted = |step: &str| {
        let channels = here.hub.channels(None, 10);
        let events: usize = channels.iter().map(|channel| channel.events).sum();
        let bytes: u64 = channels.iter().map(|channel| channel.bytes).sum();
        let stats = here.hub.stats();
        let held = (stats.retained_events, stats.retained_bytes);
        assert_eq!(held, (events, bytes), "{step}");
        events
    };
    here.publish("a", "before anybody reads");
    let _sessions = ["a", "b", "c", "d"].map(|name| here.open(&[name], Start::Live, None));
    assert_eq!(counted("nothing since"), 0);
    for n in 0..9 {
        here.publish("a", &n.to_string());
    }
    assert_eq!(counted("by number"), 5);
    for n in 0..15 {
        here.publish(["b", "c", "d"][n % 3], "x");
    }
    assert!(counted("by the hub's bytes") < 20);
    log.lose_records();
    here.publish("a", "never given");
    log.tell_skipped();
    assert_eq!(counted("skipped"), 0);
}
