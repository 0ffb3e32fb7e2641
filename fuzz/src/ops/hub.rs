//! A hub whose time, dispatch and maintenance happen when told.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use eventcast_core::{Driver, Event, HistoryQuery, Hub, PublishError, Sleep, StoredEvent, Timer};
use eventcast_testkit::ManualClock;

use super::record::{CHANNELS, Record};
use super::settings::Settings;

pub(crate) struct TestHub {
    pub(crate) hub: Hub,
    pub(crate) clock: ManualClock,
    pub(crate) record: RefCell<Record>,
    settings: Settings,
    maintenance: Driver,
    rounds: Arc<AtomicUsize>,
    dispatchers: Vec<Driver>,
}

impl TestHub {
    pub(crate) fn new(settings: Settings) -> Self {
        let clock = ManualClock::new();
        let hub = Hub::with_config(settings.config().with_clock(clock.clone()));
        let rounds = Arc::default();
        let mut drivers = hub.drivers(Rounds(Arc::clone(&rounds)));
        let maintenance = drivers.pop().expect("the last one maintains");
        if !settings.driven {
            // Publishers do their work then.
            drivers.clear();
        }
        Self {
            hub,
            clock,
            record: RefCell::default(),
            settings,
            maintenance,
            rounds,
            dispatchers: drivers,
        }
    }

    pub(crate) fn publish(&self, channel: &'static str, count: usize) {
        let mut record = self.record.borrow_mut();
        let events = (0..count).map(|_| Event::text("x"));
        match self.hub.try_publish_batch(channel, events) {
            Ok(ids) => {
                assert_eq!(record.end(channel), None, "published after the end");
                assert_eq!(ids.len(), count);
                ids.iter()
                    .for_each(|id| record.published(channel, id.sequence()));
            }
            Err(error) => {
                assert_eq!(error, PublishError::Completed);
                assert!(record.end(channel).is_some(), "{channel} is open");
            }
        }
    }

    pub(crate) fn publish_ephemeral(&self, channel: &str) {
        let result = self.hub.publish_ephemeral(channel, Event::text("e"));
        let is_open = self.record.borrow().end(channel).is_none();
        match result {
            // A forgotten channel has nobody who listens, completed or not.
            Ok(heard) => assert!(is_open || !heard),
            Err(error) => assert_eq!((error, is_open), (PublishError::Completed, false)),
        }
    }

    pub(crate) fn complete(&self, channel: &'static str, failed: bool) {
        let mut record = self.record.borrow_mut();
        let result = match failed {
            true => self.hub.fail(channel, "why"),
            false => self.hub.complete(channel),
        };
        match result {
            Ok(id) => record.completed(channel, id.sequence()),
            Err(error) => {
                assert_eq!(error, PublishError::Completed);
                assert!(record.end(channel).is_some(), "{channel} is open");
            }
        }
    }

    pub(crate) fn dispatch(&mut self, shard: usize) {
        let count = self.dispatchers.len().max(1);
        if let Some(driver) = self.dispatchers.get_mut(shard % count) {
            turn(driver);
        }
    }

    /// Removes what is too old, in all parts of the hub.
    pub(crate) fn maintain(&mut self) {
        let before = self.hub.stats().channels;
        self.rounds.store(64, Ordering::SeqCst);
        turn(&mut self.maintenance);
        if self.hub.stats().channels < before {
            self.record.get_mut().forgotten = true;
        }
    }

    /// What a channel retains, oldest first.
    pub(crate) fn retained(&self, channel: &str) -> Vec<Arc<StoredEvent>> {
        let page = self.hub.history(channel, HistoryQuery::oldest_first());
        page.expect("a valid name").events
    }

    /// Before the oldest event of a channel, or the end of the log.
    pub(crate) fn earliest(&self, channel: &str) -> u64 {
        let oldest = self.retained(channel).first().map(|e| e.sequence() - 1);
        oldest.unwrap_or_else(|| self.hub.position().sequence())
    }

    /// What is retained is what was published, in order, and no more than is allowed.
    pub(crate) fn check(&self) {
        let record = self.record.borrow();
        for channel in CHANNELS {
            let retained = self.retained(channel);
            assert!(retained.len() <= self.settings.count);
            let in_order = retained.is_sorted_by(|a, b| a.sequence() < b.sequence());
            assert!(in_order, "{retained:?}");
            let is_known = |event: &Arc<StoredEvent>| record.has(channel, event.sequence());
            assert!(retained.iter().all(is_known), "{retained:?}");
        }
    }
}

fn turn(driver: &mut Driver) {
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
