//! Random schedules for subscribers that leave out events by their own choice: filters and
//! conflation lose nothing else, repeat nothing, and survive cuts.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use std::collections::BTreeMap;
use std::task::{Context, Waker};

use eventcast_core::{
    BatchLimits, Delivery, Event, Hub, HubConfig, Position, Retention, Session, SlowPolicy,
    StoredEvent, SubscriptionOptions,
};
use eventcast_testkit::{Ledger, Observer, Violation};
use proptest::prelude::*;

const CHANNELS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Step {
    Publish {
        channel: usize,
        key: u8,
    },
    Read {
        limit: usize,
    },
    /// Reads, of which only the first few deliveries arrive; then the client resumes.
    Cut {
        arrives: usize,
    },
    Heartbeat,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..2usize, 0..4u8).prop_map(|(channel, key)| Step::Publish { channel, key }),
        4 => (1..5usize).prop_map(|limit| Step::Read { limit }),
        2 => (0..6usize).prop_map(|arrives| Step::Cut { arrives }),
        1 => Just(Step::Heartbeat),
    ]
}

struct Reader {
    hub: Hub,
    options: SubscriptionOptions,
    session: Session,
    observer: Observer,
    gaps: usize,
    /// The last event of each channel and key that came.
    newest: BTreeMap<(String, String), u64>,
}

impl Reader {
    fn new(hub: &Hub, options: SubscriptionOptions) -> Self {
        let builder = hub.session().options(options.clone());
        Self {
            session: builder.channel("a").channel("b").open().unwrap(),
            hub: hub.clone(),
            options,
            observer: Observer::new(CHANNELS, 0),
            gaps: 0,
            newest: BTreeMap::new(),
        }
    }

    fn read(&mut self, limit: usize) -> Vec<Delivery> {
        let limits = BatchLimits {
            events: limit,
            bytes: usize::MAX,
        };
        let mut out = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        let _ = self.session.poll_batch(&mut cx, limits, &mut out);
        out
    }

    fn see(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            match delivery {
                Delivery::Event(event) => {
                    self.observer
                        .event(event.channel().as_str(), event.sequence());
                    self.newest.insert(key_of(event), event.sequence());
                }
                Delivery::Gap(gap) => {
                    self.gaps += 1;
                    let id = gap.position.map(Position::sequence);
                    self.observer.gap(gap.channel.as_str(), None, id);
                }
                Delivery::Position(position) => self.observer.id(position.sequence()),
                Delivery::Conflated(_) | Delivery::Heartbeat => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    fn resume(&mut self) {
        let id = Position::new(self.hub.position().epoch(), self.observer.position());
        let builder = self.hub.session().options(self.options.clone());
        let builder = builder.channel("a").channel("b").resume(&id.to_string());
        self.session = builder.open().unwrap();
    }
}

fn key_of(event: &StoredEvent) -> (String, String) {
    let key = event.key().unwrap().as_str();
    (event.channel().to_string(), key.to_owned())
}

/// What was published, by channel and key, in order.
type Published = Vec<((String, String), u64)>;

fn run(steps: &[Step], retain: usize, options: SubscriptionOptions) -> (Reader, Published) {
    let retention = Retention::new().with_count(retain);
    let hub = Hub::with_config(HubConfig::new().with_retention(retention));
    let mut published = Vec::new();
    let mut reader = Reader::new(&hub, options);
    for step in steps {
        match *step {
            Step::Publish { channel, key } => {
                let key = key.to_string();
                let event = Event::text("x").keyed(key.as_str()).unwrap();
                let id = hub.try_publish(CHANNELS[channel], event).unwrap();
                published.push(((CHANNELS[channel].to_owned(), key), id.sequence()));
            }
            Step::Read { limit } => {
                let seen = reader.read(limit);
                reader.see(&seen);
            }
            Step::Cut { arrives } => {
                let seen = reader.read(64);
                reader.see(&seen[..arrives.min(seen.len())]);
                reader.resume();
            }
            Step::Heartbeat => {
                let heartbeat = reader.session.heartbeat();
                reader.see(&[heartbeat]);
            }
        }
    }
    for _ in 0..published.len() + 2 {
        let seen = reader.read(64);
        reader.see(&seen);
    }
    (reader, published)
}

/// What a filter or conflation lost is announced too; a gap may also stand where only events were
/// lost that would have been left out.
fn tolerating_false_gaps(result: Result<(), Violation>) -> Result<(), Violation> {
    match result {
        Err(Violation::FalseGap { .. }) => Ok(()),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_loses_nothing_that_it_lets_through(steps in prop::collection::vec(step(), 0..100)) {
        let wanted = |event: &StoredEvent| event.key().unwrap().as_str() == "0";
        let (reader, published) = run(&steps, 5, SubscriptionOptions::new().with_filter(wanted));
        let mut ledger = Ledger::new();
        for ((channel, key), sequence) in &published {
            if key == "0" {
                ledger.published(channel, *sequence);
            }
        }
        prop_assert_eq!(tolerating_false_gaps(reader.observer.check(&ledger)), Ok(()));
    }

    #[test]
    fn a_filter_has_no_gap_while_everything_is_retained(steps in prop::collection::vec(step(), 0..100)) {
        let wanted = |event: &StoredEvent| event.key().unwrap().as_str() == "0";
        let (reader, published) = run(&steps, 1_000, SubscriptionOptions::new().with_filter(wanted));
        let expected = published.iter().filter(|((_, key), _)| key == "0").count();
        prop_assert_eq!((reader.observer.events(), reader.gaps), (expected, 0));
    }

    #[test]
    fn conflation_ends_with_the_newest_event_of_every_key_or_a_gap(steps in prop::collection::vec(step(), 0..100)) {
        let options = SubscriptionOptions::new().with_slow(SlowPolicy::Conflate);
        let (reader, published) = run(&steps, 5, options);
        // Order and repeats first: with everything that came as the ledger, nothing is missing.
        let mut ledger = Ledger::new();
        for ((channel, _), sequence) in &published {
            ledger.published(channel, *sequence);
        }
        let order = reader.observer.check(&ledger);
        let only_missing = matches!(
            order,
            Ok(()) | Err(Violation::Lost { .. } | Violation::FalseGap { .. })
        );
        prop_assert!(only_missing, "{order:?}");
        let newest: BTreeMap<_, _> = published.iter().cloned().collect();
        for (key, sequence) in newest {
            let came = reader.newest.get(&key) == Some(&sequence);
            prop_assert!(came || reader.gaps > 0, "{key:?} {sequence}");
        }
    }
}
