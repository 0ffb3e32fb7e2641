//! What the tests of sessions have in common.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part, and helpers fail tests as the tests themselves do"
)]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use eventcast_core::{
    BatchLimits, Delivery, Driver, Event, Gap, Hub, HubConfig, Outcome, Position, Retention,
    Session, Sleep, Timer,
};
use eventcast_testkit::{ManualClock, drain};

pub(crate) fn keeping(count: usize) -> Hub {
    Hub::with_config(HubConfig::new().with_retention(Retention::new().with_count(count)))
}

pub(crate) fn publish(hub: &Hub, channels: &[&str]) {
    for channel in channels {
        hub.try_publish(*channel, Event::text("x")).unwrap();
    }
}

pub(crate) fn id(hub: &Hub, sequence: u64) -> String {
    Position::new(hub.position().epoch(), sequence).to_string()
}

pub(crate) fn resume(hub: &Hub, channels: &[&str], id: &str) -> Session {
    let builder = hub.session().resume(id);
    let builder = channels
        .iter()
        .fold(builder, |builder, name| builder.channel(*name));
    builder.open().unwrap()
}

/// Events as `channel sequence`, gaps as `channel! reason missed @id`.
pub(crate) fn show(deliveries: &[Delivery]) -> Vec<String> {
    let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    deliveries
        .iter()
        .map(|delivery| match delivery {
            Delivery::Event(event) => format!("{} {}", event.channel(), event.sequence()),
            Delivery::Gap(Gap {
                channel,
                reason,
                missed,
                position,
                ..
            }) => format!(
                "{channel}! {} {} @{}",
                reason.as_str(),
                number(*missed),
                number(position.map(Position::sequence)),
            ),
            Delivery::Completed(end) => {
                let outcome = match &end.outcome {
                    Outcome::Complete => "complete".to_owned(),
                    Outcome::Failed(reason) => format!("failed: {reason}"),
                };
                let id = number(end.position.map(Position::sequence));
                format!("{} {outcome} @{id}", end.channel)
            }
            Delivery::Conflated(run) => format!("{} -{}", run.channel, run.count),
            Delivery::Ephemeral(event) => {
                format!("{} ~{}", event.channel(), event.payload().as_str().unwrap())
            }
            Delivery::Position(position) => format!("@{}", position.sequence()),
            Delivery::End(end) => end.as_str().to_owned(),
            other => format!("{other:?}"),
        })
        .collect()
}

pub(crate) fn read(session: &mut Session) -> Vec<String> {
    show(&drain(session))
}

/// At most so many deliveries of what is ready.
pub(crate) fn read_some(session: &mut Session, events: usize) -> Vec<String> {
    let limits = BatchLimits {
        events,
        bytes: usize::MAX,
    };
    let mut out = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    let _ = session.poll_batch(&mut cx, limits, &mut out);
    show(&out)
}

pub(crate) fn opening(session: &Session) -> Option<u64> {
    session.opening().position.map(Position::sequence)
}

pub(crate) struct Never;

impl Timer for Never {
    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}

pub(crate) fn turn(driver: &mut Driver) {
    let _ = Pin::new(driver).poll(&mut Context::from_waker(Waker::noop()));
}

/// Ready at once, so many times: each is one round of maintenance.
struct Rounds(Arc<AtomicUsize>);

impl Timer for Rounds {
    fn sleep(&self, _: Duration) -> Sleep {
        let left = Arc::clone(&self.0);
        Box::pin(std::future::poll_fn(move |_| {
            match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
                Ok(_) => Poll::Ready(()),
                Err(_) => Poll::Pending,
            }
        }))
    }
}

/// A hub with time and maintenance under the test's control: events are kept for 10 seconds, idle
/// channels for as long as told.
pub(crate) fn maintained(collect_after: Duration) -> (Hub, ManualClock, impl FnMut()) {
    let clock = ManualClock::new();
    let hub = Hub::with_config(
        HubConfig::new()
            .with_clock(clock.clone())
            .with_collect_after(collect_after)
            .with_max_tombstones(2)
            .with_retention(Retention::new().with_age(Duration::from_secs(10))),
    );
    let rounds = Arc::default();
    let mut maintain = hub.drivers(Rounds(Arc::clone(&rounds))).pop().unwrap();
    let all_parts = move || {
        rounds.store(64, Ordering::SeqCst);
        turn(&mut maintain);
    };
    (hub, clock, all_parts)
}
