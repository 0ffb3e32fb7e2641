//! Random histories over nodes whose messages are lost, doubled and out of order: once the network
//! is well again, all nodes agree with who is there.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use eventcast_core::{Entered, Payload, PresenceConfig, PresenceQuery};
use eventcast_testkit::ManualClock;
use proptest::prelude::*;

use super::cluster::{Queue, connected, taken};
use super::members::{Node, member};

#[derive(Clone, Debug)]
enum Step {
    Enter {
        node: usize,
        channel: usize,
        id: u8,
    },
    Update {
        which: usize,
        state: u8,
    },
    /// With or without a word.
    Leave {
        which: usize,
        at_once: bool,
    },
    /// Everybody maintains, and of what they say this much is lost, doubled, or late.
    Round {
        fates: Vec<u8>,
    },
    /// A node is killed and starts again.
    Restart {
        node: usize,
        named: bool,
    },
    /// What is under way arrives, in another order.
    Deliver {
        rotate: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..NODES, 0..2_usize, 0..6_u8)
            .prop_map(|(node, channel, id)| Step::Enter { node, channel, id }),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(which, state)| Step::Update { which, state }),
        3 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, at_once)| Step::Leave { which, at_once }),
        5 => prop::collection::vec(0..5_u8, 8).prop_map(|fates| Step::Round { fates }),
        1 => (0..NODES, any::<bool>()).prop_map(|(node, named)| Step::Restart { node, named }),
        2 => (0..7_usize).prop_map(|rotate| Step::Deliver { rotate }),
    ]
}

struct Model {
    clock: ManualClock,
    nodes: Vec<(Node, Queue)>,
    /// What entered and has not left, with its node.
    entered: Vec<(usize, Entered)>,
    under_way: Vec<Bytes>,
}

impl Model {
    fn new() -> Self {
        let clock = ManualClock::new();
        let nodes = (0..NODES).map(|k| connected(&clock, config(k)));
        Self {
            nodes: nodes.collect(),
            clock,
            entered: Vec::new(),
            under_way: Vec::new(),
        }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Enter { node, channel, id } => {
                let presence = self.nodes[node].0.hub.presence();
                let guard = presence.enter(CHANNELS[channel], member(&format!("m{id}")));
                self.entered.push((node, guard.unwrap()));
            }
            Step::Update { which, state } if !self.entered.is_empty() => {
                let (_, guard) = &self.entered[which % self.entered.len()];
                guard.update(Payload::text(state.to_string())).unwrap();
            }
            Step::Leave { which, at_once } if !self.entered.is_empty() => {
                let (_, guard) = self.entered.swap_remove(which % self.entered.len());
                if at_once {
                    guard.leave();
                }
            }
            Step::Update { .. } | Step::Leave { .. } => {}
            Step::Round { fates } => {
                let mut fates = fates.into_iter().cycle();
                self.clock.advance(Duration::from_millis(500));
                for (node, queue) in &self.nodes {
                    node.hub.presence().maintain();
                    for message in taken(queue) {
                        match fates.next() {
                            Some(0) => {}
                            Some(1) => self.under_way.push(message),
                            Some(2) => self.under_way.extend([message.clone(), message]),
                            _ => self.under_way.insert(0, message),
                        }
                    }
                }
            }
            Step::Restart { node, named } => {
                self.entered.retain_mut(|(of, _)| *of != node);
                self.clock.advance(Duration::from_millis(1));
                let config = if named { config(node) } else { unnamed() };
                self.nodes[node] = connected(&self.clock, config);
            }
            Step::Deliver { rotate } => {
                let count = self.under_way.len().max(1);
                self.under_way.rotate_left(rotate % count);
                for message in std::mem::take(&mut self.under_way) {
                    for (node, _) in &self.nodes {
                        node.hub.presence().receive(&message).unwrap();
                    }
                }
            }
        }
    }

    /// The network is well for long enough.
    fn settle(&mut self) {
        for _ in 0..80 {
            self.play(Step::Round { fates: vec![1] });
            self.play(Step::Deliver { rotate: 0 });
        }
    }

    fn check(&self) {
        for channel in CHANNELS {
            let mut expected = BTreeMap::<String, usize>::new();
            for (_, guard) in &self.entered {
                if guard.channel().as_str() == channel {
                    *expected.entry(guard.member().to_string()).or_default() += 1;
                }
            }
            let pages = self.nodes.iter().map(|(node, _)| {
                let page = node.hub.presence().members(channel, PresenceQuery::new());
                page.unwrap()
            });
            let pages: Vec<_> = pages.collect();
            for page in &pages {
                let found = page.members.iter();
                let found: BTreeMap<_, _> =
                    found.map(|m| (m.id.to_string(), m.connections)).collect();
                assert_eq!(found, expected, "{channel}");
                let members = &pages[0].members;
                assert_eq!(&page.members, members, "all nodes say the same");
                let counted = page.occupancy;
                assert_eq!(counted.members, expected.len());
                assert_eq!(counted.connections, expected.values().sum::<usize>());
            }
        }
        for (node, _) in &self.nodes {
            let stats = node.hub.presence().stats();
            assert_eq!(stats.connections, self.entered.len());
            assert_eq!(stats.nodes, NODES - 1);
            assert_eq!(stats.left_out, 0);
        }
    }
}

fn unnamed() -> PresenceConfig {
    PresenceConfig::new()
        .with_leave_grace(Duration::from_secs(3))
        .with_node_timeout(Duration::from_secs(2), Duration::from_secs(8))
}

fn config(node: usize) -> PresenceConfig {
    unnamed().with_node_name(&format!("node-{node}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nodes_agree_in_the_end(steps in prop::collection::vec(step(), 0..80)) {
        let mut model = Model::new();
        for step in steps {
            model.play(step);
        }
        model.settle();
        model.check();
    }
}

const NODES: usize = 3;
const CHANNELS: [&str; 2] = ["one", "two"];
