//! Where subscriptions start, what they leave out, and what is published beside plain events.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use std::time::Duration;

use eventcast_core::{
    ChangeError, Delivery, Epoch, Event, HistoryQuery, Hub, HubConfig, Position, Retention,
    Session, SlowPolicy, Start, SubscriptionOptions, Timestamp,
};
use eventcast_testkit::{ManualClock, drain};
use support::{id, keeping, opening, publish, read, resume};

fn starting(hub: &Hub, channel: &str, start: Start) -> Session {
    hub.session().start(start).channel(channel).open().unwrap()
}

#[test]
fn each_channel_has_its_own_start() {
    let hub = Hub::new();
    publish(&hub, &["a", "b", "a", "b", "a"]);
    let mut session = hub
        .session()
        .start(Start::Last(1))
        .channel("a")
        .start(Start::Earliest)
        .channel("b")
        .open()
        .unwrap();
    assert_eq!(opening(&session), Some(0));
    assert_eq!(read(&mut session), ["b 2", "b 4", "a 5"]);
    assert_eq!(
        read(&mut starting(&hub, "a", Start::Last(2))),
        ["a 3", "a 5"]
    );
    assert_eq!(read(&mut starting(&hub, "a", Start::Last(9))).len(), 3);
    assert_eq!(read(&mut starting(&hub, "a", Start::Last(0))), [""; 0]);
}

#[test]
fn a_start_after_a_position_is_honoured_or_announced() {
    let hub = keeping(2);
    publish(&hub, &["a", "a", "a", "a"]);
    let after = |sequence| Start::After(Position::new(hub.position().epoch(), sequence));
    assert_eq!(read(&mut starting(&hub, "a", after(3))), ["a 4"]);
    assert_eq!(
        read(&mut starting(&hub, "a", after(1)))[0],
        "a! trimmed ? @2"
    );
    assert_eq!(
        read(&mut starting(&hub, "a", after(9))),
        ["a! unknown ? @4"]
    );
    let foreign = Position::new(Epoch::from_bits(hub.position().epoch().bits() ^ 1), 3);
    let mut session = starting(&hub, "a", Start::After(foreign));
    assert_eq!(opening(&session), None);
    assert_eq!(read(&mut session), ["a! epoch ? @2", "a 3", "a 4"]);
}

#[test]
fn a_start_since_a_time_tells_what_was_trimmed_since() {
    let clock = ManualClock::new();
    let hub = Hub::with_config(
        HubConfig::new()
            .with_clock(clock.clone())
            .with_retention(Retention::new().with_count(3)),
    );
    for _ in 0..5 {
        publish(&hub, &["a"]);
        clock.advance(Duration::from_secs(1));
    }
    // Published at seconds 1 to 5; those of 1 and 2 are trimmed.
    let since = |millis| Start::Since(Timestamp::from_millis(millis));
    assert_eq!(read(&mut starting(&hub, "a", since(4_000))), ["a 4", "a 5"]);
    assert_eq!(read(&mut starting(&hub, "a", since(3_001))), ["a 4", "a 5"]);
    assert_eq!(read(&mut starting(&hub, "a", since(2_001))).len(), 3);
    assert_eq!(
        read(&mut starting(&hub, "a", since(2_000)))[0],
        "a! trimmed ? @2"
    );
    assert_eq!(read(&mut starting(&hub, "a", since(9_000))), [""; 0]);
}

#[test]
fn joining_with_a_start_gives_a_page_that_ends_at_the_sessions_position() {
    let hub = keeping(3);
    publish(&hub, &["b", "b", "b", "b", "b"]);
    let mut session = hub.subscribe("a").unwrap();
    publish(&hub, &["a", "b"]);
    // The session lags: its position lies before a 6 and b 7.
    let options = SubscriptionOptions::new().with_start(Start::Earliest);
    let joined = session.subscribe_with(["b", "a"], &options).unwrap();
    assert_eq!(joined.position.unwrap().sequence(), 5);
    let page: Vec<_> = joined.history[0]
        .events
        .iter()
        .map(|e| e.sequence())
        .collect();
    assert_eq!(page, [4, 5]);
    assert!(
        joined.history[1].events.is_empty(),
        "a was in the session already"
    );
    assert_eq!(read(&mut session), ["a 6", "b 7"]);
}

#[test]
fn a_filter_leaves_out_without_a_gap_and_the_position_moves() {
    let hub = keeping(4);
    let wanted = SubscriptionOptions::new().with_filter(|event| event.name().is_some());
    let mut session = hub.session().options(wanted).channel("a").open().unwrap();
    publish(&hub, &["a"]);
    let named = Event::text("x").named("tick").unwrap();
    hub.try_publish("a", named).unwrap();
    assert_eq!(read(&mut session), ["a 2"]);
    publish(&hub, &["a", "a"]);
    assert_eq!(read(&mut session), [""; 0]);
    // The position is told before the trim mark passes it, so that a resume sees no false gap.
    publish(&hub, &["a", "a"]);
    assert_eq!(read(&mut session), ["@6"]);
    publish(&hub, &["a", "a", "a", "a"]);
    assert_eq!(read(&mut session), ["@10"]);
    publish(&hub, &["a"]);
    read(&mut session);
    assert_eq!(support::show(&[session.heartbeat()]), ["@11"]);
    assert_eq!(read(&mut resume(&hub, &["a"], &id(&hub, 10))), ["a 11"]);
}

#[test]
fn a_filter_that_lets_nothing_through_does_not_hold_up_the_hub() {
    let hub = Hub::new();
    let nothing = SubscriptionOptions::new().with_filter(|_| false);
    let mut session = hub.session().options(nothing).channel("a").open().unwrap();
    hub.try_publish_batch("a", (0..1_000).map(|_| Event::text("x")))
        .unwrap();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut out = Vec::new();
    for _ in 0..=1_000 / 64 {
        let limits = eventcast_core::BatchLimits::default();
        assert!(session.poll_batch(&mut cx, limits, &mut out).is_pending());
    }
    assert_eq!(session.subscribe(["b"]).unwrap().unwrap().sequence(), 1_000);
}

fn quote(symbol: &str) -> Event {
    Event::text("x").keyed(symbol).unwrap()
}

fn conflating(hub: &Hub, channel: &str) -> Session {
    let options = SubscriptionOptions::new().with_slow(SlowPolicy::Conflate);
    hub.session()
        .options(options)
        .channel(channel)
        .open()
        .unwrap()
}

#[test]
fn conflation_keeps_the_newest_of_each_key_in_order() {
    let hub = Hub::new();
    let mut session = conflating(&hub, "t");
    hub.try_publish("t", quote("A")).unwrap();
    assert_eq!(read(&mut session), ["t 1"]);
    let symbols = ["A", "B", "A", "C", "B"];
    hub.try_publish_batch("t", symbols.map(quote)).unwrap();
    publish(&hub, &["t"]);
    assert_eq!(read(&mut session), ["t -2", "t 4", "t 5", "t 6", "t 7"]);
}

#[test]
fn what_was_trimmed_is_no_gap_while_a_newer_event_of_its_key_is_retained() {
    let hub = keeping(2);
    let mut session = conflating(&hub, "t");
    let mut plain = hub.subscribe("t").unwrap();
    hub.try_publish_batch("t", ["A", "B", "A", "B"].map(quote))
        .unwrap();
    assert_eq!(read(&mut session), ["t 3", "t 4"]);
    assert_eq!(read(&mut plain), ["t! slow 2 @2", "t 3", "t 4"]);
    // C's only event is trimmed: that is a loss.
    hub.try_publish_batch("t", ["C", "A", "B"].map(quote))
        .unwrap();
    assert_eq!(read(&mut session), ["t! slow ? @5", "t 6", "t 7"]);
}

#[test]
fn disconnect_ends_the_session_in_place_of_the_gap() {
    let hub = keeping(2);
    let options = SubscriptionOptions::new().with_slow(SlowPolicy::Disconnect);
    let mut session = hub.session().options(options).channel("a").open().unwrap();
    publish(&hub, &["a", "a"]);
    assert_eq!(read(&mut session), ["a 1", "a 2"]);
    publish(&hub, &["a", "a", "a"]);
    assert_eq!(read(&mut session), ["slow"]);
    assert_eq!(
        read(&mut resume(&hub, &["a"], &id(&hub, 2)))[0],
        "a! trimmed ? @3"
    );
}

#[test]
fn history_pages_in_both_directions() {
    let hub = keeping(5);
    publish(&hub, &["b", "a", "a", "a", "a", "a", "a"]);
    let pages = |query: HistoryQuery| {
        let mut query = query.with_limit(2);
        let mut seen = Vec::new();
        loop {
            let page = hub.history("a", query).unwrap();
            assert!(page.events.len() <= 2);
            seen.extend(page.events.iter().map(|event| event.sequence()));
            match page.next {
                Some(next) => query = query.from(next),
                None => return seen,
            }
        }
    };
    assert_eq!(pages(HistoryQuery::oldest_first()), [3, 4, 5, 6, 7]);
    assert_eq!(pages(HistoryQuery::newest_first()), [7, 6, 5, 4, 3]);
    let at = |sequence| Position::new(hub.position().epoch(), sequence);
    assert_eq!(pages(HistoryQuery::oldest_first().from(at(5))), [6, 7]);
    assert_eq!(pages(HistoryQuery::newest_first().from(at(5))), [4, 3]);
    let below = hub
        .history("a", HistoryQuery::oldest_first().from(at(1)))
        .unwrap();
    assert!(below.trimmed);
    let all = HistoryQuery::oldest_first();
    assert!(hub.history("a", all).unwrap().trimmed);
    assert!(!hub.history("b", all).unwrap().trimmed);
    let none = all.with_limit(0);
    assert_eq!(hub.history("a", none).unwrap().events.len(), 1);
    assert!(
        hub.history("none", HistoryQuery::newest_first())
            .unwrap()
            .events
            .is_empty()
    );
    assert_eq!(hub.stats().channels, 2);
}

#[test]
fn an_idempotency_key_stores_once_within_its_window() {
    let clock = ManualClock::new();
    let window = Duration::from_secs(60);
    let config = HubConfig::new().with_clock(clock.clone());
    let hub = Hub::with_config(config.with_idempotency_window(2, window));
    let publish = |channel: &str, key: &str| {
        let event = Event::text("x").with_idempotency_key(key).unwrap();
        hub.try_publish(channel, event).unwrap().sequence()
    };
    assert_eq!((publish("a", "k"), publish("a", "k")), (1, 1));
    assert_eq!(publish("b", "k"), 2);
    assert_eq!(publish("a", "l"), 3);
    // Two keys are remembered: that of a's first event is not among them any more.
    assert_eq!(publish("a", "k"), 4);
    clock.advance(window);
    assert_eq!(publish("c", "m"), 5);
    assert_eq!(publish("a", "l"), 6);
}

#[test]
fn a_batch_is_stored_whole_or_not_at_all() {
    let hub = Hub::with_config(HubConfig::new().with_max_payload(3));
    let mut session = hub.subscribe("a").unwrap();
    let ids = hub
        .try_publish_batch("a", ["x", "y"].map(Event::text))
        .unwrap();
    assert_eq!(
        ids.iter().map(|id| id.sequence()).collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(
        hub.try_publish_batch("a", ["z", "long"].map(Event::text))
            .is_err()
    );
    assert!(hub.try_publish_batch("a", []).unwrap().is_empty());
    assert_eq!(read(&mut session), ["a 1", "a 2"]);
}

#[test]
fn an_ephemeral_event_has_no_id_and_is_stored_nowhere() {
    let hub = Hub::new();
    assert_eq!(hub.publish_ephemeral("a", Event::text("nobody")), Ok(false));
    assert_eq!(hub.stats().channels, 0);
    let mut session = hub.session().channel("a").channel("b").open().unwrap();
    assert_eq!(read(&mut session), [""; 0]);
    assert_eq!(hub.publish_ephemeral("a", Event::text("typing")), Ok(true));
    publish(&hub, &["b"]);
    let mut seen = read(&mut session);
    seen.sort();
    assert_eq!(seen, ["a ~typing", "b 1"]);
    assert_eq!(session.honoured_position().unwrap().sequence(), 1);
    let mut late = starting(&hub, "a", Start::Earliest);
    assert_eq!(read(&mut late), [""; 0]);
    // Whoever does not read gets the last few.
    for n in 0..100 {
        hub.publish_ephemeral("a", Event::text(n.to_string()))
            .unwrap();
    }
    let seen = read(&mut session);
    assert_eq!((seen.len(), seen[15].as_str()), (16, "a ~99"));
    assert!(
        hub.publish_ephemeral("a", Event::binary(vec![0; 17 << 10]))
            .is_err()
    );
}

#[test]
fn an_ephemeral_event_does_not_hide_an_event_from_the_watermark() {
    let hub = Hub::with_config(HubConfig::new().with_shards(1));
    let mut drivers = hub.drivers(support::Never);
    let mut session = hub.session().channel("a").channel("b").open().unwrap();
    assert_eq!(read(&mut session), [""; 0]);
    // The channel stands in the shard's queue for the ephemeral event when the other comes.
    hub.publish_ephemeral("a", Event::text("typing")).unwrap();
    publish(&hub, &["a"]);
    assert_eq!(session.subscribe(["c"]).unwrap().unwrap().sequence(), 0);
    support::turn(&mut drivers[0]);
    assert_eq!(read(&mut session), ["a ~typing", "a 1"]);
}

#[test]
fn retention_goes_by_the_longest_prefix() {
    let keep = |count| Retention::new().with_count(count);
    let hub = Hub::with_config(
        HubConfig::new()
            .with_retention(keep(3))
            .with_retention_for("log/", keep(2))
            .with_retention_for("log/debug", keep(1)),
    );
    for channel in ["news", "log/app", "log/debug/x"] {
        publish(&hub, &[channel; 5]);
    }
    let kept = |channel: &str| read(&mut starting(&hub, channel, Start::Earliest)).len();
    assert_eq!(
        (kept("news"), kept("log/app"), kept("log/debug/x")),
        (3, 2, 1)
    );
}

#[test]
fn a_handle_changes_a_session_and_its_reader_is_told_in_place() {
    let hub = Hub::new();
    let mut session = hub.subscribe("a").unwrap();
    let handle = session.handle();
    publish(&hub, &["b", "a", "b"]);
    assert_eq!(read(&mut session), ["a 2"]);
    let waker = std::task::Waker::noop();
    let mut cx = std::task::Context::from_waker(waker);
    let options = SubscriptionOptions::new().with_start(Start::Earliest);
    let mut change = Box::pin(handle.subscribe(vec!["b".parse().unwrap()], options));
    assert!(change.as_mut().poll(&mut cx).is_pending());
    publish(&hub, &["b"]);
    let seen = drain(&mut session);
    let Delivery::Subscribed(told) = &seen[0] else {
        panic!("{seen:?}")
    };
    assert_eq!(told.channels.len(), 2);
    assert_eq!(seen.len(), 1);
    let std::task::Poll::Ready(Ok(joined)) = change.as_mut().poll(&mut cx) else {
        panic!()
    };
    assert_eq!(joined.position, told.position);
    let page = &joined.history[0].events;
    let sequences: Vec<_> = page.iter().map(|e| e.sequence()).collect();
    assert_eq!(sequences, [1, 3, 4]);
    publish(&hub, &["b"]);
    assert_eq!(read(&mut session), ["b 5"]);

    let mut change = Box::pin(handle.unsubscribe(vec!["b".parse().unwrap()]));
    assert!(change.as_mut().poll(&mut cx).is_pending());
    assert!(matches!(drain(&mut session)[..], [Delivery::Subscribed(_)]));
    assert!(change.as_mut().poll(&mut cx).is_ready());

    // One that nobody waits for any more is not made.
    let mut dropped = Box::pin(handle.unsubscribe(vec!["a".parse().unwrap()]));
    assert!(dropped.as_mut().poll(&mut cx).is_pending());
    drop(dropped);
    assert!(drain(&mut session).is_empty());
    // Nor more of them than a few at once, nor any once nobody reads.
    let mut changes: Vec<_> = (0..17)
        .map(|_| Box::pin(handle.unsubscribe(Vec::new())))
        .collect();
    let polled: Vec<_> = changes
        .iter_mut()
        .map(|change| change.as_mut().poll(&mut cx))
        .collect();
    assert!(matches!(
        polled[16],
        std::task::Poll::Ready(Err(ChangeError::Busy))
    ));
    drop(session);
    for change in &mut changes[..16] {
        let gone = change.as_mut().poll(&mut cx);
        assert!(matches!(
            gone,
            std::task::Poll::Ready(Err(ChangeError::Gone))
        ));
    }
}
