//! Exhaustive schedules of small cases: no wake-up is lost, and no event is passed over, whatever
//! the interleaving. Run with `RUSTFLAGS="--cfg loom" cargo test -p eventcast-core --test loom
//! --release`.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]
#![cfg(loom)]

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use eventcast_core::{
    BatchLimits, Delivery, Event, Hub, HubConfig, MemoryBuffer, Session, Sleep, Timer,
};
use loom::future::block_on;
use loom::thread;

struct Never;

impl Timer for Never {
    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}

fn model(case: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(case);
}

fn hub() -> Hub {
    Hub::with_config(
        HubConfig::new()
            .with_shards(1)
            .with_replay_buffer(|_| Box::<MemoryBuffer>::default()),
    )
}

fn publish(hub: &Hub, channel: &'static str) -> thread::JoinHandle<()> {
    let hub = hub.clone();
    thread::spawn(move || {
        hub.try_publish(channel, Event::text("x")).unwrap();
    })
}

/// Reads so many events; a lost wake-up is a deadlock, which loom reports.
fn read(session: &mut Session, count: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    block_on(poll_fn(|cx| {
        loop {
            let mut out = Vec::new();
            let ready = session.poll_batch(cx, BatchLimits::default(), &mut out);
            seen.extend(out.iter().filter_map(|delivery| match delivery {
                Delivery::Event(event) => Some(event.sequence()),
                Delivery::Ephemeral(_) => None,
                other => panic!("{other:?}"),
            }));
            if seen.len() == count {
                return Poll::Ready(());
            }
            if ready.is_pending() {
                return Poll::Pending;
            }
        }
    }));
    seen
}

#[test]
fn arm_or_drain_loses_no_wake_up() {
    model(|| {
        let hub = hub();
        let mut session = hub.subscribe("a").unwrap();
        let publisher = publish(&hub, "a");
        assert_eq!(read(&mut session, 1), [1]);
        publisher.join().unwrap();
    });
}

#[test]
fn two_channels_come_in_order_without_a_driver() {
    model(|| {
        let hub = hub();
        let mut session = hub.session().channel("a").channel("b").open().unwrap();
        let publishers = [publish(&hub, "a"), publish(&hub, "b")];
        assert_eq!(read(&mut session, 2), [1, 2]);
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}

#[test]
fn two_channels_come_in_order_with_a_driver() {
    model(|| {
        let hub = hub();
        let dispatcher = hub.drivers(Never).remove(0);
        let dispatcher = thread::spawn(move || block_on(dispatcher));
        let mut session = hub.session().channel("a").channel("b").open().unwrap();
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || {
                hub.try_publish("a", Event::text("x")).unwrap();
                hub.try_publish("b", Event::text("x")).unwrap();
            })
        };
        assert_eq!(read(&mut session, 2), [1, 2]);
        publisher.join().unwrap();
        drop((session, hub));
        dispatcher.join().unwrap();
    });
}

#[test]
fn a_position_never_passes_an_event_that_is_still_to_come() {
    model(|| {
        let hub = hub();
        let mut session = hub.subscribe("a").unwrap();
        assert_eq!(read(&mut session, 0), [0; 0]);
        let publisher = publish(&hub, "a");
        let joined = session.subscribe(["b"]).unwrap().unwrap();
        let seen = read(&mut session, 1);
        assert!(seen[0] > joined.sequence());
        publisher.join().unwrap();
    });
}

#[test]
fn a_pattern_misses_nothing_that_is_published_while_it_is_opened() {
    model(|| {
        let hub = hub();
        let publisher = publish(&hub, "a/1");
        let mut session = hub.subscribe("a/*").unwrap();
        let start = session.opening().position.unwrap().sequence();
        if start == 0 {
            assert_eq!(read(&mut session, 1), [1]);
        }
        publisher.join().unwrap();
    });
}

#[test]
fn a_channel_that_a_pattern_does_not_know_yet_comes_in_order() {
    model(|| {
        let hub = hub();
        let mut session = hub.session().channel("a/*").channel("b").open().unwrap();
        let publishers = [publish(&hub, "a/1"), publish(&hub, "b")];
        assert_eq!(read(&mut session, 2), [1, 2]);
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}

#[test]
fn an_ephemeral_event_lets_no_event_pass_another() {
    model(|| {
        let hub = hub();
        let mut session = hub.session().channel("a").channel("b").open().unwrap();
        for _ in 0..2 {
            hub.try_publish("b", Event::text("x")).unwrap();
        }
        // The reader waits for `a` and is in the midst of `b`.
        let one = BatchLimits {
            events: 1,
            ..BatchLimits::default()
        };
        let mut out = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(session.poll_batch(&mut cx, one, &mut out).is_ready());
        let typing = {
            let hub = hub.clone();
            thread::spawn(move || {
                hub.publish_ephemeral("a", Event::text("x")).unwrap();
            })
        };
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || {
                hub.try_publish("a", Event::text("x")).unwrap();
                hub.try_publish("b", Event::text("x")).unwrap();
            })
        };
        assert_eq!(read(&mut session, 3), [2, 3, 4]);
        typing.join().unwrap();
        publisher.join().unwrap();
    });
}
