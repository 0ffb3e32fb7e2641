//! How much of a log outside is read at once for those whom memory does not reach.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use eventcast_core::{
    Delivery, Event, HistoryQuery, Hub, HubConfig, PageQuery, Position, Retention, Session, Start,
    SubscriptionOptions,
};
use eventcast_testkit::{MemoryLog, drain, poll_once};

const MAX_PAYLOAD: usize = 4 << 20;

fn hub(log: &MemoryLog) -> Hub {
    let config = HubConfig::new()
        .with_max_payload(MAX_PAYLOAD)
        .with_retention(Retention::new().with_bytes(1 << 30));
    poll_once(Hub::open(config, log.node())).unwrap().unwrap()
}

fn publish(hub: &Hub, channel: &str, size: usize) -> Position {
    let published = hub.publish(channel, Event::binary(vec![0; size]));
    poll_once(published).unwrap().unwrap()
}

fn earliest(hub: &Hub, channels: &[String]) -> Session {
    let mut session = hub.session().start(Start::Earliest);
    for channel in channels {
        session = session.channel(channel.as_str());
    }
    poll_once(session.open_async()).unwrap().unwrap()
}

fn ids(session: &mut Session) -> Vec<Position> {
    let ids = drain(session).into_iter().map(|delivery| match delivery {
        Delivery::Event(event) => event.id(),
        other => panic!("{other:?}"),
    });
    ids.collect()
}

#[test]
fn the_pages_of_a_session_are_bounded_together() {
    const SIZE: usize = 100 << 10;
    for count in [1, 4] {
        let log = MemoryLog::new();
        let here = hub(&log);
        let channels: Vec<_> = (0..count).map(|n| format!("c{n}")).collect();
        let published: Vec<_> = (0..40)
            .map(|n| publish(&here, &channels[n % count], SIZE))
            .collect();
        let there = hub(&log);
        assert_eq!(ids(&mut earliest(&there, &channels)), published);
        let (most, least) = (PageQuery::MAX_BYTES / count + SIZE, 2 * SIZE);
        let largest = log.largest_page();
        assert!((least..most).contains(&largest), "{largest} of {most}");
    }
}

#[test]
fn an_event_larger_than_a_page_passes() {
    let log = MemoryLog::new();
    let here = hub(&log);
    let sizes = [10, MAX_PAYLOAD, MAX_PAYLOAD, 10, 10];
    let published = sizes.map(|size| publish(&here, "a", size));
    let there = hub(&log);
    let channels = ["a".to_owned()];
    assert_eq!(ids(&mut earliest(&there, &channels)), published);
    // The small one before it, and no other.
    assert_eq!(log.largest_page(), 10 + MAX_PAYLOAD);
}

#[test]
fn pages_of_history_go_on_where_they_were_cut() {
    let log = MemoryLog::new();
    let here = hub(&log);
    let sizes = [300 << 10, 300 << 10, 2 << 20, 300 << 10, 2 << 20, 10];
    let published = sizes.map(|size| publish(&here, "a", size));
    for newest_first in [false, true] {
        let mut expected = published.to_vec();
        let mut query = HistoryQuery::oldest_first();
        if newest_first {
            expected.reverse();
            query = HistoryQuery::newest_first();
        }
        let mut read = Vec::new();
        let mut pages = 0;
        loop {
            let page = poll_once(here.history_async("a", query)).unwrap().unwrap();
            read.extend(page.events.iter().map(|event| event.id()));
            pages += 1;
            match page.next {
                Some(next) => query = query.from(next),
                None => break,
            }
        }
        assert_eq!(read, expected);
        assert_eq!(pages, 3);
    }
}

#[test]
fn the_pages_of_a_join_are_bounded_together() {
    const SIZE: usize = 100 << 10;
    let log = MemoryLog::new();
    let outside = hub(&log);
    let within = Hub::with_config(HubConfig::new());
    let names = ["a", "b", "c", "d"];
    for name in names.iter().cycle().take(40) {
        publish(&outside, name, SIZE);
        publish(&within, name, SIZE);
    }
    for (hub, query) in [(&outside, "of the log"), (&within, "of memory")] {
        let mut session = poll_once(hub.subscribe_async("other")).unwrap().unwrap();
        let channels = names.map(|name| name.parse().unwrap()).to_vec();
        let options = SubscriptionOptions::new().with_start(Start::Earliest);
        let joined = poll_once(session.subscribe_with_async(channels, &options));
        for page in joined.unwrap().unwrap().history {
            // The third one reaches a quarter of the bound.
            assert_eq!(page.events.len(), 3, "{query}");
            assert_eq!(page.next, page.events.last().map(|event| event.id()));
        }
    }
    assert_eq!(log.largest_page(), 3 * SIZE);
}

#[test]
fn large_events_of_many_channels_are_not_held_together() {
    const SIZE: usize = 1 << 20;
    let log = MemoryLog::new();
    let hub = hub(&log);
    let names: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    for name in &names {
        publish(&hub, name, SIZE);
    }
    let mut session = poll_once(hub.subscribe_async("other")).unwrap().unwrap();
    let channels = names.iter().map(|name| name.parse().unwrap()).collect();
    let options = SubscriptionOptions::new().with_start(Start::Earliest);
    let joined = poll_once(session.subscribe_with_async(channels, &options));
    let pages = joined.unwrap().unwrap().history;
    let held: usize = pages.iter().map(|page| page.events.len()).sum();
    // Those that were read at once.
    assert!(held <= 16, "{held}");
    // The others go on where they are asked.
    for (name, page) in names.iter().zip(pages) {
        let mut all = page.events;
        if let Some(next) = page.next {
            let query = HistoryQuery::oldest_first().from(next);
            let rest = poll_once(hub.history_async(name.as_str(), query));
            all.extend(rest.unwrap().unwrap().events);
        }
        assert_eq!(all.len(), 1, "{name}");
    }
}

/// What pages hold one after the other, and whether each says that something was trimmed.
fn pages(hub: &Hub, mut query: HistoryQuery) -> (Vec<Position>, Vec<bool>) {
    let (mut ids, mut trimmed) = (Vec::new(), Vec::new());
    loop {
        let page = poll_once(hub.history_async("a", query)).unwrap().unwrap();
        ids.extend(page.events.iter().map(|event| event.id()));
        trimmed.push(page.trimmed);
        match page.next {
            Some(next) => query = query.from(next),
            None => return (ids, trimmed),
        }
    }
}

#[test]
fn history_is_the_same_at_every_node_whatever_its_memory_holds() {
    let log = MemoryLog::new();
    let here = hub(&log);
    let mut published = Vec::new();
    let mut publish_both = |count: usize| {
        for _ in 0..count {
            published.push(publish(&here, "a", 10));
            publish(&here, "b", 10);
        }
        published.clone()
    };
    let trim_mark = publish_both(20)[9].sequence();
    // It has the newest ones in its memory, and nothing else.
    let there = hub(&log);
    let mut session = poll_once(there.subscribe_async("a")).unwrap().unwrap();
    let ids = publish_both(20);
    log.trim_to(trim_mark);
    assert_eq!(drain(&mut session).len(), 20);
    assert_eq!(
        there
            .history("a", HistoryQuery::oldest_first())
            .unwrap()
            .events
            .len(),
        20
    );
    let reversed = |ids: &[Position]| ids.iter().rev().copied().collect::<Vec<_>>();
    for hub in [&here, &there] {
        let forwards = HistoryQuery::oldest_first().with_limit(7);
        let backwards = HistoryQuery::newest_first().with_limit(7);
        // From the beginning, in what is trimmed, just above it, in the cold and the hot part.
        let (read, trimmed) = pages(hub, forwards);
        assert_eq!(read, ids[10..]);
        assert_eq!(trimmed, [true, false, false, false, false]);
        for (from, is_trimmed) in [(4, true), (9, false), (15, false), (25, false)] {
            let (read, trimmed) = pages(hub, forwards.from(ids[from]));
            assert_eq!(read, ids[from.max(9) + 1..]);
            assert_eq!(trimmed[0], is_trimmed, "after {from}");
            assert!(!trimmed[1..].contains(&true));
        }
        assert!(pages(hub, forwards.from(ids[39])).0.is_empty());
        let (read, trimmed) = pages(hub, backwards);
        assert_eq!(read, reversed(&ids[10..]));
        assert_eq!(trimmed, [false, false, false, false, true]);
        for from in [30, 20, 12, 10, 4] {
            let (read, trimmed) = pages(hub, backwards.from(ids[from]));
            assert_eq!(read, reversed(&ids[10..from.max(10)]));
            assert_eq!(trimmed.last(), Some(&true), "before {from}");
        }
    }
}
