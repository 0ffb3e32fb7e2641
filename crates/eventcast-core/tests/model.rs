//! Random schedules of publishes, dispatches, reads, cuts and resumes, checked against what was
//! published: nothing lost unannounced, nothing twice, nothing out of order, no false gap.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use eventcast_core::{
    BatchLimits, Delivery, Driver, Event, Hub, HubConfig, Position, Retention, Session, Sleep,
    Start, Timer,
};
use eventcast_testkit::{Ledger, Observer};
use proptest::prelude::*;

const CHANNELS: [&str; 3] = ["a", "b", "c"];
const READERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Publish(usize),
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
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..CHANNELS.len()).prop_map(Step::Publish),
        3 => (0..2usize).prop_map(Step::Dispatch),
        6 => (0..READERS, 1..5usize).prop_map(|(reader, limit)| Step::Read { reader, limit }),
        3 => (0..READERS, 0..6usize).prop_map(|(reader, arrives)| Step::Cut { reader, arrives }),
    ]
}

struct Never;

impl Timer for Never {
    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Reader {
    session: Session,
    observer: Observer,
    channels: Vec<&'static str>,
    flag: Arc<Flag>,
}

impl Reader {
    fn new(hub: &Hub, channels: &[&'static str], start: Start) -> Self {
        let begin = match start {
            Start::Earliest => 0,
            _ => hub.position().sequence(),
        };
        let mut builder = hub.session().start(start);
        for channel in channels {
            builder = builder.channel(*channel);
        }
        let session = builder.open().unwrap();
        let opening = session.opening().position.unwrap().sequence();
        let mut observer = Observer::new(channels.iter().copied(), begin);
        observer.id(opening);
        Self {
            session,
            observer,
            channels: channels.to_vec(),
            flag: Arc::new(Flag(AtomicBool::new(true))),
        }
    }

    fn read(&mut self, limit: usize) -> Vec<Delivery> {
        self.flag.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.flag));
        let mut out = Vec::new();
        let limits = BatchLimits {
            events: limit,
            bytes: usize::MAX,
        };
        let ready = self
            .session
            .poll_batch(&mut Context::from_waker(&waker), limits, &mut out);
        if ready.is_ready() {
            assert!(!out.is_empty());
            self.flag.0.store(true, Ordering::SeqCst);
        }
        out
    }

    fn see(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            match delivery {
                Delivery::Event(event) => {
                    self.observer
                        .event(event.channel().as_str(), event.sequence());
                }
                Delivery::Gap(gap) => {
                    let id = gap.position.map(Position::sequence);
                    self.observer.gap(gap.channel.as_str(), gap.missed, id);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    fn resume(&mut self, hub: &Hub) {
        let id = Position::new(hub.position().epoch(), self.observer.position());
        let mut builder = hub.session().resume(&id.to_string());
        for channel in &self.channels {
            builder = builder.channel(*channel);
        }
        self.session = builder.open().unwrap();
        assert_eq!(self.session.opening().position, Some(id));
        self.flag = Arc::new(Flag(AtomicBool::new(true)));
    }

    fn woken(&self) -> bool {
        self.flag.0.load(Ordering::SeqCst)
    }
}

fn run(steps: &[Step], config: HubConfig, driven: bool) -> Result<(), TestCaseError> {
    let hub = Hub::with_config(config.with_shards(2));
    let mut drivers: Vec<Driver> = if driven {
        hub.drivers(Never)
    } else {
        Vec::new()
    };
    drivers.truncate(2);
    let mut ledger = Ledger::new();
    let mut publish = |hub: &Hub, channel: usize| {
        let name = CHANNELS[channel];
        let id = hub.try_publish(name, Event::text("x")).unwrap();
        ledger.published(name, id.sequence());
    };
    publish(&hub, 0);
    publish(&hub, 1);
    let mut readers = [
        Reader::new(&hub, &["a"], Start::Live),
        Reader::new(&hub, &["a", "b", "c"], Start::Earliest),
        Reader::new(&hub, &["c", "b"], Start::Live),
    ];
    let mut dispatch = |shard: usize| {
        if let Some(driver) = drivers.get_mut(shard) {
            let _ = Pin::new(driver).poll(&mut Context::from_waker(Waker::noop()));
        }
    };
    for step in steps {
        match *step {
            Step::Publish(channel) => publish(&hub, channel),
            Step::Dispatch(shard) => dispatch(shard),
            Step::Read { reader, limit } => {
                let seen = readers[reader].read(limit);
                readers[reader].see(&seen);
            }
            Step::Cut { reader, arrives } => {
                let seen = readers[reader].read(usize::MAX);
                readers[reader].see(&seen[..arrives.min(seen.len())]);
                readers[reader].resume(&hub);
            }
        }
    }
    // Everything settles: readers are polled only when they were woken, as a runtime would do.
    loop {
        dispatch(0);
        dispatch(1);
        let Some(reader) = readers.iter_mut().find(|reader| reader.woken()) else {
            break;
        };
        let seen = reader.read(64);
        reader.see(&seen);
    }
    for reader in &readers {
        prop_assert_eq!(reader.observer.check(&ledger), Ok(()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_schedules_with_drivers(steps in prop::collection::vec(step(), 0..120)) {
        let retention = Retention::new().with_count(4);
        run(&steps, HubConfig::new().with_retention(retention), true)?;
    }

    #[test]
    fn random_schedules_without_drivers(steps in prop::collection::vec(step(), 0..120)) {
        let retention = Retention::new().with_count(4);
        run(&steps, HubConfig::new().with_retention(retention), false)?;
    }

    #[test]
    fn random_schedules_under_the_hub_bound(steps in prop::collection::vec(step(), 0..120)) {
        run(&steps, HubConfig::new().with_max_bytes(5_000), true)?;
    }
}
