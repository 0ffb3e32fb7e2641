//! Channels that join a live session of a hub whose log is outside: what their pages hold.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use eventcast_core::{
    ChangeError, ChannelSelector, Delivery, Event, HistoryPage, HistoryQuery, Hub, HubConfig,
    Joined, Position, Session, Start, SubscribeError, SubscriptionOptions, Timestamp,
};
use eventcast_testkit::{ManualClock, MemoryLog, MemoryNode, drain, poll_once};

struct Node {
    hub: Hub,
    node: Arc<MemoryNode>,
}

fn node(log: &MemoryLog, config: HubConfig) -> Node {
    let node = log.node();
    let hub = poll_once(Hub::open(config, Arc::clone(&node)));
    let hub = hub.unwrap().unwrap();
    Node { hub, node }
}

/// A hub whose memory holds next to nothing.
fn forgetful() -> HubConfig {
    HubConfig::new().with_max_bytes(4_000).with_max_payload(100)
}

impl Node {
    fn publish(&self, channel: &str, number: usize) -> Position {
        let published = self.hub.publish(channel, Event::text(number.to_string()));
        poll_once(published).unwrap().unwrap()
    }

    fn publish_all(&self, numbers: Range<usize>) -> Vec<Position> {
        numbers.map(|number| self.publish("a", number)).collect()
    }

    /// A live session with another channel, which has read all that there is.
    fn session(&self) -> Session {
        let session = poll_once(self.hub.subscribe_async("other"));
        let mut session = session.unwrap().unwrap();
        drain(&mut session);
        session
    }
}

fn channels(name: &str) -> Vec<ChannelSelector> {
    vec![name.parse().unwrap()]
}

fn join(session: &mut Session, start: Start) -> Result<Joined, SubscribeError> {
    let options = SubscriptionOptions::new().with_start(start);
    poll_once(session.subscribe_with_async(channels("a"), &options)).unwrap()
}

fn numbers(page: &HistoryPage) -> Vec<usize> {
    let payloads = page.events.iter().map(|event| event.payload());
    payloads
        .map(|p| p.as_str().unwrap().parse().unwrap())
        .collect()
}

/// The events of the channel that the session has now.
fn read(session: &mut Session) -> Vec<usize> {
    let mut numbers = Vec::new();
    for delivery in drain(session) {
        match delivery {
            Delivery::Event(event) if event.channel().as_str() == "a" => {
                numbers.push(event.payload().as_str().unwrap().parse().unwrap());
            }
            Delivery::Event(_) | Delivery::Position(_) | Delivery::Subscribed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    numbers
}

fn range(from: usize, to: usize) -> Vec<usize> {
    (from..to).collect()
}

#[test]
fn a_page_is_read_from_the_log() {
    for log in [MemoryLog::new(), MemoryLog::new().leaving_out_unwanted()] {
        let clock = ManualClock::new();
        let here = node(&log, HubConfig::new().with_clock(clock.clone()));
        let ids: Vec<_> = (0..40)
            .map(|n| {
                let id = here.publish("a", n);
                clock.advance(Duration::from_millis(10));
                id
            })
            .collect();
        // One that was not there, and one that has forgotten nearly all.
        for there in [node(&log, HubConfig::new()), node(&log, forgetful())] {
            for (start, from) in [
                (Start::Earliest, 0),
                (Start::Last(5), 35),
                (Start::Last(100), 0),
                (Start::Since(Timestamp::from_millis(1_095)), 10),
                (Start::After(ids[19]), 20),
                (Start::Live, 40),
            ] {
                let mut session = there.session();
                let joined = join(&mut session, start).unwrap();
                let page = &joined.history[0];
                assert_eq!(numbers(page), range(from, 40), "{start:?}");
                assert!(!page.trimmed && page.next.is_none(), "{start:?}: {page:?}");
                assert_eq!(joined.position, Some(ids[39]));
                assert_eq!(page.position, ids[39]);
                assert_eq!(read(&mut session), [0; 0]);
                // It is in the session already.
                let again = join(&mut session, start).unwrap();
                assert!(again.history[0].events.is_empty());
            }
        }
    }
}

#[test]
fn the_session_goes_on_where_the_page_ends() {
    for config in [HubConfig::new(), forgetful()] {
        for log in [MemoryLog::new(), MemoryLog::new().leaving_out_unwanted()] {
            let here = node(&log, config.clone());
            here.publish_all(0..10);
            let mut session = here.session();
            // It lags: what comes now is after its place.
            here.publish("other", 0);
            here.publish_all(10..20);
            let joined = join(&mut session, Start::Last(15)).unwrap();
            let page = &joined.history[0];
            assert_eq!(numbers(page), range(5, 10));
            assert!(!page.trimmed && page.next.is_none(), "{page:?}");
            assert_eq!(joined.position, Some(page.events[4].id()));
            here.publish("a", 20);
            assert_eq!(read(&mut session), range(10, 21));
        }
    }
}

#[test]
fn what_came_while_the_log_was_asked_is_in_the_page_or_named_by_it() {
    for (config, is_held) in [(HubConfig::new(), true), (forgetful(), false)] {
        let log = MemoryLog::new();
        let here = node(&log, config);
        here.publish_all(0..5);
        let mut session = here.session();
        let prepared = poll_once(session.prepare(channels("a"), Start::Last(2)));
        let prepared = prepared.unwrap().unwrap();
        here.publish_all(5..30);
        here.publish("other", 0);
        drain(&mut session);
        let options = SubscriptionOptions::new();
        let joined = session.join(prepared, &options).unwrap();
        let page = &joined.history[0];
        assert!(!page.trimmed);
        let mut all = numbers(page);
        assert_eq!(page.next.is_none(), is_held, "{page:?}");
        if let Some(next) = page.next {
            let rest = HistoryQuery::oldest_first().from(next);
            let rest = poll_once(here.hub.history_async("a", rest));
            all.extend(numbers(&rest.unwrap().unwrap()));
        }
        assert_eq!(all, range(3, 30));
        assert_eq!(read(&mut session), [0; 0]);
        here.publish("a", 30);
        assert_eq!(read(&mut session), [30]);
    }
}

#[test]
fn what_the_log_has_trimmed_is_said_and_nothing_else() {
    let log = MemoryLog::new();
    let here = node(&log, HubConfig::new());
    let ids = here.publish_all(0..20);
    log.trim_to(ids[9].sequence());
    let there = node(&log, HubConfig::new());
    for (start, is_trimmed) in [
        (Start::After(ids[4]), true),
        (Start::After(ids[9]), false),
        (Start::After(ids[14]), false),
        (Start::Last(3), false),
        (Start::Earliest, false),
    ] {
        let page = &join(&mut there.session(), start).unwrap().history[0];
        assert_eq!(page.trimmed, is_trimmed, "{start:?}");
        assert_eq!(numbers(page).last(), Some(&19));
    }
}

#[test]
fn a_long_page_is_cut_and_says_where() {
    let log = MemoryLog::new();
    let here = node(&log, HubConfig::new());
    here.publish_all(0..1_500);
    let page = &join(&mut here.session(), Start::Earliest).unwrap().history[0];
    assert_eq!(numbers(page), range(0, 1_000));
    let rest = HistoryQuery::oldest_first().from(page.next.unwrap());
    let rest = poll_once(here.hub.history_async("a", rest));
    assert_eq!(numbers(&rest.unwrap().unwrap()), range(1_000, 1_500));
}

#[test]
fn a_handle_is_given_the_page() {
    let log = MemoryLog::new();
    let here = node(&log, HubConfig::new());
    here.publish_all(0..10);
    let there = node(&log, HubConfig::new());
    let mut session = there.session();
    let handle = session.handle();
    let options = SubscriptionOptions::new().with_start(Start::Last(4));
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut asked = pin!(handle.subscribe(channels("a"), options.clone()));
        assert!(asked.as_mut().poll(&mut cx).is_pending());
        // It joins as it is read, at the place that it has then.
        here.publish("a", 10);
        assert_eq!(read(&mut session), [0; 0]);
        let Some(Ok(joined)) = poll_once(asked) else {
            panic!("no answer")
        };
        assert_eq!(numbers(&joined.history[0]), range(6, 11));
    }
    drop(session);
    let gone = poll_once(handle.subscribe(channels("b"), options)).unwrap();
    assert_eq!(gone.map(drop), Err(ChangeError::Gone));
}

#[test]
fn without_the_log_nothing_joins() {
    let log = MemoryLog::new();
    let here = node(&log, HubConfig::new());
    here.publish_all(0..10);
    let mut session = here.session();
    let before = session.channels();
    let options = SubscriptionOptions::new().with_start(Start::Earliest);
    let refused = session.subscribe_with(["a"], &options).map(drop);
    assert_eq!(refused, Err(SubscribeError::NeedsAsync));
    here.node.stall();
    let refused = join(&mut session, Start::Earliest).map(drop);
    assert_eq!(refused, Err(SubscribeError::Unavailable));
    here.node.recover();
    log.fail_reads(1);
    let refused = join(&mut session, Start::Earliest).map(drop);
    assert_eq!(refused, Err(SubscribeError::Unavailable));
    // What the page holds was lost meanwhile.
    let prepared = poll_once(session.prepare(channels("a"), Start::Earliest));
    log.fork(3);
    let refused = session.join(prepared.unwrap().unwrap(), &options).map(drop);
    assert_eq!(refused, Err(SubscribeError::Unavailable));
    assert_eq!(session.channels(), before);
    let page = &join(&mut session, Start::Earliest).unwrap().history[0];
    assert_eq!(numbers(page), range(0, 7));
}

#[test]
fn more_channels_than_a_session_may_have_are_asked_about_nowhere() {
    let log = MemoryLog::new();
    let here = node(&log, HubConfig::new().with_max_session_channels(2));
    let mut session = here.session();
    let before = here.hub.stats().channels;
    let three = ["a", "b", "c"].map(|name| name.parse().unwrap()).to_vec();
    let options = SubscriptionOptions::new().with_start(Start::Earliest);
    let refused = poll_once(session.subscribe_with_async(three, &options)).unwrap();
    let full = SubscribeError::SessionFull { limit: 2 };
    assert_eq!(refused.map(drop), Err(full));
    assert_eq!(here.hub.stats().channels, before);
}

#[test]
fn channels_that_do_not_join_after_all_take_no_room() {
    let log = MemoryLog::new();
    let node = node(&log, HubConfig::new().with_max_session_channels(10));
    let mut session = node.session();
    let before = node.hub.stats().channels;
    let fresh = |count: usize| -> Vec<ChannelSelector> {
        (0..count)
            .map(|n| format!("c{n}").parse().unwrap())
            .collect()
    };
    let options = SubscriptionOptions::new().with_start(Start::Earliest);
    let refused = poll_once(session.subscribe_with_async(fresh(10), &options)).unwrap();
    assert_eq!(
        refused.unwrap_err(),
        SubscribeError::SessionFull { limit: 10 }
    );
    let prepared = poll_once(session.prepare(fresh(5), Start::Earliest));
    assert!(node.hub.stats().channels > before);
    drop(prepared);
    assert_eq!(node.hub.stats().channels, before);
    poll_once(session.subscribe_with_async(fresh(5), &options))
        .unwrap()
        .unwrap();
    assert_eq!(node.hub.stats().channels, before + 5);
    // A name that is given twice takes one place.
    poll_once(session.subscribe_with_async(fresh(8), &options))
        .unwrap()
        .unwrap();
    let last = vec!["last".parse().unwrap(); 2];
    poll_once(session.subscribe_with_async(last, &options))
        .unwrap()
        .unwrap();
    assert_eq!(session.channels().len(), 10);
}
