//! What can be seen of a hub from outside: its figures, its channels, how far its sessions are.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventcast_core::{
    ChannelName, Delivery, Event, Hub, HubConfig, Observer, Outcome, Position, Retention, Start,
};
use eventcast_testkit::{ManualClock, drain};

#[test]
fn pages_hold_every_channel_once_in_order() {
    let hub = Hub::new();
    let names: BTreeSet<String> = (0..257)
        .map(|n| format!("channel/{}", n * 7 % 257))
        .collect();
    for name in &names {
        hub.try_publish(name.as_str(), Event::text("x")).unwrap();
    }
    for limit in [1, 2, 100, 256, 257, 1_000] {
        let mut seen = Vec::new();
        let mut after: Option<ChannelName> = None;
        loop {
            let page = hub.channels(after.as_ref(), limit);
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            seen.extend(page.iter().map(|channel| channel.name.as_str().to_owned()));
        }
        assert!(seen.iter().eq(&names), "{limit}");
    }
    assert!(hub.channels(None, 0).is_empty());
}

#[test]
fn a_channel_as_it_is() {
    let config = HubConfig::new().with_retention(Retention::new().with_count(2));
    let hub = Hub::with_config(config);
    let named = hub.subscribe("a/1").unwrap();
    let mut fitting = hub.subscribe("a/*").unwrap();
    let ids: Vec<_> = (0..3)
        .map(|_| hub.try_publish("a/1", Event::text("x")).unwrap())
        .collect();
    drain(&mut fitting);
    hub.fail("a/1", "no more").unwrap();
    let [channel] = &hub.channels(None, 10)[..] else {
        panic!()
    };
    assert_eq!(channel.name.as_str(), "a/1");
    assert_eq!((channel.subscribers, channel.events), (2, 2));
    assert_eq!((channel.first, channel.last), (Some(ids[1]), Some(ids[2])));
    assert_eq!(channel.bytes, hub.stats().retained_bytes);
    assert_eq!(channel.completed, Some(Outcome::Failed("no more".into())));
    drop(named);
    assert_eq!(hub.channels(None, 10)[0].subscribers, 1);
}

#[test]
fn what_is_retained_is_counted_whatever_removes_it() {
    let clock = ManualClock::new();
    let hub = Hub::with_config(
        HubConfig::new()
            .with_clock(clock.clone())
            .with_max_bytes(10_000)
            .with_retention(
                Retention::new()
                    .with_count(5)
                    .with_age(Duration::from_secs(10)),
            ),
    );
    let counted = |hub: &Hub| {
        let channels = hub.channels(None, 100);
        let events: usize = channels.iter().map(|channel| channel.events).sum();
        let bytes: u64 = channels.iter().map(|channel| channel.bytes).sum();
        let stats = hub.stats();
        assert_eq!(
            (stats.retained_events, stats.retained_bytes),
            (events, bytes)
        );
        events
    };
    for turn in 0..40 {
        let batch = (0..3).map(|_| Event::text("x".repeat(100)));
        hub.try_publish_batch(format!("c{}", turn % 7).as_str(), batch)
            .unwrap();
        let repeated = Event::text("y").with_idempotency_key("same").unwrap();
        hub.try_publish("c0", repeated).unwrap();
        counted(&hub);
    }
    // The hub's bytes were what bound it.
    assert!(counted(&hub) < 7 * 5);
    clock.advance(Duration::from_secs(11));
    hub.try_publish("c0", Event::text("x")).unwrap();
    counted(&hub);
    assert_eq!(hub.stats().max_bytes, 10_000);
}

#[test]
fn how_far_a_session_is() {
    let hub = Hub::new();
    hub.try_publish("a", Event::text("1")).unwrap();
    let session = hub.session().start(Start::Earliest);
    let mut session = session.channel("a").channel("b").open().unwrap();
    let handle = session.handle();
    assert_eq!(
        (handle.progress().sequence, handle.progress().channels),
        (0, 2)
    );
    assert!(handle.progress().is_behind);
    drain(&mut session);
    assert_eq!(handle.progress().sequence, 1);
    assert!(!handle.progress().is_behind);
    // Nothing that it has not read.
    hub.try_publish("elsewhere", Event::text("2")).unwrap();
    assert!(!handle.progress().is_behind);
    hub.try_publish("b", Event::text("3")).unwrap();
    assert!(handle.progress().is_behind);
    drain(&mut session);
    assert_eq!(handle.progress().sequence, 3);
    session.unsubscribe("a");
    drain(&mut session);
    assert_eq!(handle.progress().channels, 1);
    assert!(!handle.progress().is_behind);
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Observer for Told {
    fn published(&self, channel: &ChannelName, events: usize, took: Duration) {
        let line = format!("published {channel} {events} {took:?}");
        self.0.lock().unwrap().push(line);
    }

    fn delivered(&self, deliveries: &[Delivery], began: Position) {
        let line = format!("delivered {} since {}", deliveries.len(), began.sequence());
        self.0.lock().unwrap().push(line);
    }
}

#[test]
fn observers_are_told_of_the_hub_and_of_one_session() {
    let (first, second, own) = (Told::default(), Told::default(), Told::default());
    let config = HubConfig::new()
        .with_clock(ManualClock::new())
        .with_observer(first.clone());
    let hub = Hub::with_config(config);
    assert!(hub.observe(second.clone()));
    assert!(!hub.observe(Told::default()));
    hub.try_publish("a", Event::text("1")).unwrap();
    let (mut one, mut other) = (hub.subscribe("a").unwrap(), hub.subscribe("a").unwrap());
    one.set_observer(Arc::new(own.clone()));
    hub.try_publish_batch("a", [Event::text("2"), Event::text("3")])
        .unwrap();
    drain(&mut one);
    drain(&mut other);
    let all = [
        "published a 1 0ns",
        "published a 2 0ns",
        "delivered 2 since 1",
        "delivered 2 since 1",
    ];
    assert_eq!(first.take(), all);
    assert_eq!(second.take(), all);
    assert_eq!(own.take(), ["delivered 2 since 1"]);
}
