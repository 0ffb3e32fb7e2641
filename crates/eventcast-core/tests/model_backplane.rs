//! Random schedules over a log that two nodes share: publishes, reads, cuts and resumes at either
//! node, stalls, skips, pages that come late, and a memory that holds next to nothing. Checked
//! against what was stored: nothing lost, nothing twice, nothing out of order, no gap.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use std::sync::Arc;

use eventcast_core::{BatchLimits, Delivery, Event, Hub, HubConfig, Position, Session};
use eventcast_testkit::{MemoryLog, MemoryNode, drain, poll_once};
use proptest::prelude::*;

const CHANNELS: [&str; 3] = ["r/a", "r/b", "s/c"];
const READERS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Publish(usize, usize),
    Read(usize, usize),
    /// Of what is read, so much arrives; the client resumes at a node.
    Cut(usize, usize, usize),
    Stall(usize),
    Recover(usize),
    HoldPages,
    ReleasePages,
    HoldRecords,
    ReleaseRecords,
    Lose,
    Skip,
    FailReads,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..2usize, 0..CHANNELS.len()).prop_map(|(n, c)| Step::Publish(n, c)),
        8 => (0..READERS, 1..5usize).prop_map(|(r, n)| Step::Read(r, n)),
        4 => (0..READERS, 0..6usize, 0..2usize).prop_map(|(r, k, n)| Step::Cut(r, k, n)),
        1 => (0..2usize).prop_map(Step::Stall),
        2 => (0..2usize).prop_map(Step::Recover),
        1 => Just(Step::HoldPages),
        2 => Just(Step::ReleasePages),
        1 => Just(Step::HoldRecords),
        2 => Just(Step::ReleaseRecords),
        1 => Just(Step::Lose),
        2 => Just(Step::Skip),
        1 => Just(Step::FailReads),
    ]
}

struct Reader {
    session: Session,
    /// What its client has: sequences in the order of their coming.
    got: Vec<u64>,
    position: Position,
    pattern: bool,
}

impl Reader {
    fn take(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            match delivery {
                Delivery::Event(event) => {
                    assert!(self.got.last().is_none_or(|last| *last < event.sequence()));
                    self.got.push(event.sequence());
                    self.position = event.id();
                }
                Delivery::Position(position) => self.position = *position,
                Delivery::Stalled | Delivery::Recovered => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn hub(log: &MemoryLog, bytes: u64) -> (Hub, Arc<MemoryNode>) {
    let node = log.node();
    let config = HubConfig::new().with_max_payload(16).with_max_bytes(bytes);
    let hub = poll_once(Hub::open(config, Arc::clone(&node)));
    (hub.unwrap().unwrap(), node)
}

/// `None` while the log does not answer.
fn open(hub: &Hub, pattern: bool, resume: Position) -> Option<Session> {
    let builder = hub.session().resume(&resume.to_string());
    let builder = match pattern {
        true => builder.channel("r/*"),
        false => builder.channel(CHANNELS[0]).channel(CHANNELS[2]),
    };
    Some(poll_once(builder.open_async())?.unwrap())
}

fn run(steps: &[Step], bytes: u64, leaving_out: bool) {
    let log = match leaving_out {
        true => MemoryLog::new().leaving_out_unwanted(),
        false => MemoryLog::new(),
    };
    let nodes = [hub(&log, bytes), hub(&log, bytes)];
    let zero = Position::new(log.lineage().epoch(), 0);
    let mut readers: Vec<_> = (0..READERS)
        .map(|n| {
            // A log that leaves channels out is to be told of patterns, which this one is not.
            let pattern = n % 2 == 1 && !leaving_out;
            Reader {
                session: open(&nodes[n / 2].0, pattern, zero).unwrap(),
                got: Vec::new(),
                position: zero,
                pattern,
            }
        })
        .collect();
    let mut published = Vec::new();
    let mut losing = false;
    for step in steps {
        match *step {
            Step::Publish(node, channel) => {
                let event = Event::text("x");
                let stored = poll_once(nodes[node].0.publish(CHANNELS[channel], event));
                if let Some(Ok(id)) = stored {
                    published.push((channel, id.sequence()));
                }
            }
            Step::Read(reader, limit) => {
                let mut out = Vec::new();
                let limits = BatchLimits {
                    events: limit,
                    ..BatchLimits::default()
                };
                let reader = &mut readers[reader];
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                let _ = reader.session.poll_batch(&mut cx, limits, &mut out);
                reader.take(&out);
                if let Some(Delivery::Position(position)) = Some(reader.session.heartbeat()) {
                    reader.position = position;
                }
            }
            Step::Cut(reader, arrives, node) => {
                let reader = &mut readers[reader];
                let read = drain(&mut reader.session);
                reader.take(&read[..arrives.min(read.len())]);
                if let Some(session) = open(&nodes[node].0, reader.pattern, reader.position) {
                    reader.session = session;
                } else {
                    // It comes back once the log answers.
                    log.recover();
                    log.release_pages();
                    log.release_records();
                    log.fail_reads(0);
                    if std::mem::take(&mut losing) {
                        log.tell_skipped();
                    }
                    let session = open(&nodes[node].0, reader.pattern, reader.position);
                    reader.session = session.unwrap();
                }
            }
            Step::Stall(node) => nodes[node].1.stall(),
            Step::Recover(node) => nodes[node].1.recover(),
            Step::HoldPages => log.hold_pages(),
            Step::ReleasePages => log.release_pages(),
            Step::HoldRecords => log.hold_records(),
            Step::ReleaseRecords => log.release_records(),
            Step::Lose => {
                log.lose_records();
                losing = true;
            }
            Step::Skip => {
                if std::mem::take(&mut losing) {
                    log.tell_skipped();
                }
            }
            Step::FailReads => log.fail_reads(2),
        }
    }
    log.fail_reads(0);
    log.release_pages();
    log.release_records();
    log.stall();
    log.recover();
    if losing {
        log.tell_skipped();
    }
    for (number, reader) in readers.iter_mut().enumerate() {
        let rest = drain(&mut reader.session);
        reader.take(&rest);
        let wants = |channel: usize| match reader.pattern {
            true => channel < 2,
            false => channel != 1,
        };
        let all = published.iter().filter(|(channel, _)| wants(*channel));
        let all: Vec<_> = all.map(|(_, sequence)| *sequence).collect();
        assert_eq!(reader.got, all, "reader {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nothing_is_lost_twice_or_out_of_order(
        steps in prop::collection::vec(step(), 1..120),
        small: bool,
        leaving_out: bool,
    ) {
        let bytes = if small { 1_500 } else { 1 << 20 };
        run(&steps, bytes, leaving_out);
    }
}
