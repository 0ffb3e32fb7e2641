//! A client that only ever polls, and loses answers, keeps the whole contract.

use std::sync::Arc;

use eventcast_core::{Hub, Position, Session, Start};
use eventcast_poll::{PollConfig, poll};
use eventcast_testkit::{Ledger, Observer};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{Pending, keeping, parse};

const CHANNELS: [&str; 3] = ["seen/a", "seen/b", "unseen"];

#[derive(Clone, Debug)]
enum Step {
    /// So many events to this channel; more than are kept trim it.
    Publish(usize, usize),
    /// The client polls; the answer may be lost on the way, or the request be cut while it waits.
    Poll { lost: bool },
    /// It polls, and while it waits something is published; then the answer may be lost.
    Wait { channel: usize, lost: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_usize, 1..8_usize).prop_map(|(channel, count)| Step::Publish(channel, count)),
        any::<bool>().prop_map(|lost| Step::Poll { lost }),
        (0..3_usize, any::<bool>()).prop_map(|(channel, lost)| Step::Wait { channel, lost }),
    ]
}

struct World {
    hub: Hub,
    ledger: Ledger,
    observer: Observer,
    config: PollConfig,
    by_pattern: bool,
    position: Option<String>,
}

impl World {
    fn publish(&mut self, channel: usize) {
        let event = eventcast_core::Event::text("x".repeat(20));
        let id = self.hub.try_publish(CHANNELS[channel], event).unwrap();
        self.ledger.published(CHANNELS[channel], id.sequence());
    }

    fn session(&self) -> Session {
        let builder = match &self.position {
            Some(id) => self.hub.session().resume(id),
            None => self.hub.session().start(Start::Earliest),
        };
        let builder = match self.by_pattern {
            true => builder.channel("seen/*"),
            false => builder.channel("seen/a").channel("seen/b"),
        };
        builder.open().unwrap()
    }

    /// Whether there was an answer; one that was cut while it waited is none.
    fn poll(&mut self, while_waiting: Option<usize>, lost: bool) -> Option<usize> {
        let mut answer = poll(self.session(), self.config, Arc::new(Pending));
        let mut response = None;
        for turn in 0..20 {
            if turn == 10
                && let Some(channel) = while_waiting
            {
                self.publish(channel);
            }
            response = (&mut answer).now_or_never();
            if response.is_some() {
                break;
            }
        }
        let body = response?.into_body().collect().now_or_never()?.unwrap();
        if lost {
            return None;
        }
        Some(self.see(&parse(std::str::from_utf8(&body.to_bytes()).unwrap())))
    }

    fn see(&mut self, document: &Value) -> usize {
        let sequence = |id: &Value| {
            let id = id.as_str()?.parse::<Position>();
            Some(id.unwrap().sequence())
        };
        let events = document["events"].as_array().unwrap();
        for event in events {
            let channel = event["channel"].as_str().unwrap();
            let id = sequence(&event["id"]);
            match event["type"].as_str() {
                None => self.observer.event(channel, id.unwrap()),
                Some("gap") => self.observer.gap(channel, event["missed"].as_u64(), id),
                Some(other) => panic!("an object of type {other}"),
            }
        }
        self.observer.id(sequence(&document["position"]).unwrap());
        self.position = Some(document["position"].as_str().unwrap().to_owned());
        events.len()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn each_retained_event_comes_once_and_the_rest_is_a_gap(
        steps in prop::collection::vec(step(), 0..60),
        kept in 1..20_usize,
        max_events in 1..30_usize,
        max_bytes in 1..2_000_usize,
        by_pattern in any::<bool>(),
    ) {
        let config = PollConfig::new().with_max_events(max_events).with_max_bytes(max_bytes);
        let mut world = World {
            hub: keeping(kept),
            ledger: Ledger::new(),
            observer: Observer::new(["seen/a", "seen/b"], 0),
            config,
            by_pattern,
            position: None,
        };
        // The client has a position before anything is trimmed.
        world.poll(None, false);
        for step in steps {
            match step {
                Step::Publish(channel, count) => (0..count).for_each(|_| world.publish(channel)),
                Step::Poll { lost } => drop(world.poll(None, lost)),
                Step::Wait { channel, lost } => drop(world.poll(Some(channel), lost)),
            }
        }
        let mut polls = 0;
        while world.poll(None, false).is_some_and(|count| count > 0) {
            polls += 1;
            prop_assert!(polls < 1_000, "the client gets no further than {:?}", world.position);
        }
        prop_assert_eq!(world.observer.check(&world.ledger), Ok(()));
        let last = world.ledger.last();
        prop_assert!(world.observer.position() <= last);
    }
}
