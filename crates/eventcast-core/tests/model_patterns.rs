//! Random schedules for sessions with patterns: channels that are created, completed, forgotten and
//! created again while readers stall, are cut, resume, unsubscribe and come back.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use eventcast_core::{
    BatchLimits, Delivery, Driver, End, Event, Hub, HubConfig, Position, Retention, Session, Sleep,
    SubscribeError, Timer,
};
use eventcast_testkit::{Ledger, ManualClock, Observer, Violation};
use proptest::prelude::*;

const CHANNELS: [&str; 7] = ["p/1", "p/2", "p/3", "p/x/1", "p/x/2", "q/1", "q/2"];
/// What each reader subscribes to.
const READERS: [&[&str]; 4] = [&["p/*"], &["p/1", "p/x/*"], &["*", "p/*"], &["q/1", "p/2"]];

#[derive(Clone, Debug)]
enum Step {
    Publish(usize),
    Complete(usize),
    Dispatch(usize),
    Read {
        reader: usize,
        limit: usize,
    },
    /// Reads, of which only the first few deliveries arrive; then the client resumes.
    Cut {
        reader: usize,
        arrives: usize,
    },
    Heartbeat(usize),
    /// Leaves what it subscribed to and comes back to it, on the same connection.
    Rejoin {
        reader: usize,
        subscription: usize,
    },
    /// Events grow old and channels are forgotten.
    Age,
}

fn step() -> impl Strategy<Value = Step> {
    let reader = || 0..READERS.len();
    prop_oneof![
        9 => (0..CHANNELS.len()).prop_map(Step::Publish),
        1 => (0..CHANNELS.len()).prop_map(Step::Complete),
        3 => (0..2usize).prop_map(Step::Dispatch),
        6 => (reader(), 1..5usize).prop_map(|(reader, limit)| Step::Read { reader, limit }),
        3 => (reader(), 0..6usize).prop_map(|(reader, arrives)| Step::Cut { reader, arrives }),
        2 => reader().prop_map(Step::Heartbeat),
        2 => (reader(), 0..2usize)
            .prop_map(|(reader, subscription)| Step::Rejoin { reader, subscription }),
        2 => Just(Step::Age),
    ]
}

/// Ready at once, so many times: each is one round of maintenance.
#[derive(Clone, Default)]
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

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn fits(selector: &str, channel: &str) -> bool {
    match selector.strip_suffix('*') {
        Some(prefix) => channel.starts_with(prefix),
        None => selector == channel,
    }
}

struct Reader {
    subscriptions: &'static [&'static str],
    /// Absent while it is refused.
    session: Option<Session>,
    observer: Observer,
    flag: Arc<Flag>,
    /// Who looked on before it left and came back, and until where.
    done: Vec<(Observer, u64)>,
}

impl Reader {
    fn new(hub: &Hub, subscriptions: &'static [&'static str]) -> Self {
        let mut builder = hub.session();
        for selector in subscriptions {
            builder = builder.channel(*selector);
        }
        Self {
            subscriptions,
            session: Some(builder.open().unwrap()),
            observer: Self::observer(subscriptions, hub.position().sequence()),
            flag: Arc::new(Flag(AtomicBool::new(true))),
            done: Vec::new(),
        }
    }

    fn observer(subscriptions: &[&str], start: u64) -> Observer {
        let channels = CHANNELS.iter().copied();
        let covered = channels.filter(|name| subscriptions.iter().any(|s| fits(s, name)));
        Observer::new(covered, start)
    }

    fn read(&mut self, limit: usize) -> Vec<Delivery> {
        self.flag.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.flag));
        let mut out = Vec::new();
        let limits = BatchLimits {
            events: limit,
            bytes: usize::MAX,
        };
        let Some(session) = &mut self.session else {
            return out;
        };
        let mut cx = Context::from_waker(&waker);
        if session.poll_batch(&mut cx, limits, &mut out).is_ready() {
            assert!(!out.is_empty());
            self.flag.0.store(true, Ordering::SeqCst);
        }
        out
    }

    /// `false` when the session ended.
    fn see(&mut self, deliveries: &[Delivery]) -> bool {
        for delivery in deliveries {
            match delivery {
                Delivery::Event(event) => {
                    let channel = event.channel().as_str();
                    self.observer.event(channel, event.sequence());
                }
                Delivery::Gap(gap) => {
                    let id = gap.position.map(Position::sequence);
                    for channel in CHANNELS {
                        if fits(gap.channel.as_str(), channel) {
                            self.observer.gap(channel, gap.missed, id);
                        }
                    }
                }
                Delivery::Position(position) => self.observer.id(position.sequence()),
                Delivery::Completed(end) => {
                    if let Some(position) = end.position {
                        self.observer.id(position.sequence());
                    }
                }
                Delivery::End(End::TooManyChannels | End::Completed) => return false,
                other => panic!("unexpected {other:?}"),
            }
        }
        true
    }

    fn resume(&mut self, hub: &Hub) {
        let id = Position::new(hub.position().epoch(), self.observer.position());
        let mut builder = hub.session().resume(&id.to_string());
        for selector in self.subscriptions {
            builder = builder.channel(*selector);
        }
        self.session = match builder.open() {
            Ok(session) => Some(session),
            Err(SubscribeError::SessionFull { .. }) => None,
            Err(error) => panic!("{error}"),
        };
        self.flag = Arc::new(Flag(AtomicBool::new(true)));
    }

    /// Takes a subscription away and adds it again: from there on another observer looks on.
    fn rejoin(&mut self, hub: &Hub, subscription: usize) {
        let selector = self.subscriptions[subscription % self.subscriptions.len()];
        // All that is ready arrives first, so that the old observer has a clear end.
        while let seen @ [_, ..] = &*self.read(usize::MAX) {
            if !self.see(seen) {
                return self.resume(hub);
            }
        }
        let Some(session) = &mut self.session else {
            return;
        };
        session.unsubscribe(selector);
        self.flag.0.store(true, Ordering::SeqCst);
        match session.subscribe([selector]) {
            Ok(position) => {
                let told = position.map(Position::sequence);
                let position = told.unwrap_or_else(|| self.observer.position());
                let next = Self::observer(self.subscriptions, position);
                let done = std::mem::replace(&mut self.observer, next);
                self.done.push((done, position));
            }
            Err(SubscribeError::SessionFull { .. }) => self.session = None,
            Err(error) => panic!("{error}"),
        }
    }

    fn woken(&self) -> bool {
        self.session.is_some() && self.flag.0.load(Ordering::SeqCst)
    }
}

struct Model {
    hub: Hub,
    clock: ManualClock,
    rounds: Rounds,
    drivers: Vec<Driver>,
    ledger: Ledger,
    readers: Vec<Reader>,
}

impl Model {
    fn new(config: HubConfig, driven: bool) -> Self {
        let clock = ManualClock::new();
        let hub = Hub::with_config(config.with_clock(clock.clone()).with_shards(2));
        let rounds = Rounds::default();
        let mut drivers = hub.drivers(rounds.clone());
        if !driven {
            drivers.drain(..drivers.len() - 1);
        }
        let mut model = Self {
            readers: READERS
                .iter()
                .map(|names| Reader::new(&hub, names))
                .collect(),
            hub,
            clock,
            rounds,
            drivers,
            ledger: Ledger::new(),
        };
        model.publish(0);
        model
    }

    fn publish(&mut self, channel: usize) {
        let name = CHANNELS[channel];
        if let Ok(id) = self.hub.try_publish(name, Event::text("x")) {
            self.ledger.published(name, id.sequence());
        }
    }

    fn dispatch_all(&mut self) {
        if self.drivers.len() > 1 {
            self.turn(0);
            self.turn(1);
        }
    }

    fn turn(&mut self, driver: usize) {
        if let Some(driver) = self.drivers.get_mut(driver) {
            let _ = Pin::new(driver).poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Publish(channel) => self.publish(channel),
            Step::Complete(channel) => {
                let _ = self.hub.complete(CHANNELS[channel]);
            }
            Step::Dispatch(shard) if self.drivers.len() > 1 => self.turn(shard),
            Step::Dispatch(_) => {}
            Step::Read { reader, limit } => {
                let reader = &mut self.readers[reader];
                let seen = reader.read(limit);
                if !reader.see(&seen) {
                    reader.resume(&self.hub);
                }
            }
            Step::Cut { reader, arrives } => {
                let reader = &mut self.readers[reader];
                let seen = reader.read(usize::MAX);
                reader.see(&seen[..arrives.min(seen.len())]);
                reader.resume(&self.hub);
            }
            Step::Heartbeat(reader) => {
                let reader = &mut self.readers[reader];
                if let Some(session) = &mut reader.session
                    && let Delivery::Position(position) = session.heartbeat()
                {
                    reader.observer.id(position.sequence());
                }
            }
            Step::Rejoin {
                reader,
                subscription,
            } => {
                self.dispatch_all();
                self.readers[reader].rejoin(&self.hub, subscription);
            }
            Step::Age => {
                self.clock.advance(Duration::from_secs(4));
                self.rounds.0.store(64, Ordering::SeqCst);
                self.turn(self.drivers.len() - 1);
            }
        }
    }

    /// Readers are polled only when they were woken, as a runtime would do.
    fn settle(&mut self) {
        let mut ends = 0;
        loop {
            self.dispatch_all();
            let Some(reader) = self.readers.iter_mut().find(|reader| reader.woken()) else {
                break;
            };
            let seen = reader.read(64);
            if !reader.see(&seen) {
                ends += 1;
                if ends > 20 {
                    // Completed: it would be told so for ever.
                    reader.session = None;
                } else {
                    reader.resume(&self.hub);
                }
            }
        }
    }

    fn check(&self, false_gaps: bool) -> Result<(), TestCaseError> {
        for (index, reader) in self.readers.iter().enumerate() {
            let until = match reader.session {
                None => reader.observer.position(),
                Some(_) => u64::MAX,
            };
            let done = reader
                .done
                .iter()
                .map(|(observer, until)| (observer, *until));
            for (observer, until) in done.chain([(&reader.observer, until)]) {
                match observer.check_until(&self.ledger, until) {
                    Err(Violation::FalseGap { .. }) if false_gaps => {}
                    // It was refused in the midst of its gaps.
                    Err(Violation::Miscounted { .. }) if reader.session.is_none() => {}
                    other => prop_assert_eq!(other, Ok(()), "reader {}", index),
                }
            }
        }
        Ok(())
    }
}

fn run(
    steps: &[Step],
    config: HubConfig,
    driven: bool,
    false_gaps: bool,
) -> Result<(), TestCaseError> {
    let mut model = Model::new(config, driven);
    for step in steps {
        model.take(step);
    }
    model.settle();
    model.check(false_gaps)
}

fn cases(default: u32) -> ProptestConfig {
    ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(default),
    )
}

proptest! {
    #![proptest_config(cases(1_500))]

    /// No channel is forgotten, so every gap is a loss.
    #[test]
    fn patterns_lose_and_repeat_nothing(
        steps in prop::collection::vec(step(), 1..80),
        count in 1..5usize,
        driven: bool,
    ) {
        let config = HubConfig::new()
            .with_retention(Retention::new().with_count(count).with_age(Duration::from_secs(10)))
            .with_collect_after(Duration::from_secs(1_000_000));
        run(&steps, config, driven, false)?;
    }

    /// Channels are forgotten all the time, and sessions have room for few: a name that comes back
    /// may have a false gap, and nothing else may be wrong.
    #[test]
    fn patterns_survive_forgotten_channels_and_full_sessions(
        steps in prop::collection::vec(step(), 1..80),
        count in 1..5usize,
        room in 4..12usize,
        driven: bool,
    ) {
        let config = HubConfig::new()
            .with_retention(Retention::new().with_count(count).with_age(Duration::from_secs(3)))
            .with_collect_after(Duration::from_secs(3))
            .with_max_session_channels(room)
            .with_max_tombstones(2);
        run(&steps, config, driven, true)?;
    }
}
