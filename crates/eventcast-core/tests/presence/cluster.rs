//! Several nodes: what they learn of each other, and when one is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eventcast_core::{Payload, PresenceConfig, PresenceMessageError, PresenceQuery};
use eventcast_testkit::ManualClock;

use super::members::{Node, member};

pub(crate) type Queue = Arc<Mutex<VecDeque<Bytes>>>;

/// A node whose messages wait in a queue.
pub(crate) fn connected(clock: &ManualClock, config: PresenceConfig) -> (Node, Queue) {
    let node = Node::at(clock.clone(), config);
    let queue = Queue::default();
    let out = Arc::clone(&queue);
    node.hub
        .presence()
        .connect(move |message| out.lock().unwrap().push_back(message));
    (node, queue)
}

pub(crate) fn taken(queue: &Queue) -> Vec<Bytes> {
    queue.lock().unwrap().drain(..).collect()
}

/// All maintain, and every message reaches everybody, in order, echoes included.
fn round(clock: &ManualClock, nodes: &[(Node, Queue)]) {
    clock.advance(Duration::from_secs(1));
    for (node, queue) in nodes {
        node.hub.presence().maintain();
        for message in taken(queue) {
            for (other, _) in nodes {
                other.hub.presence().receive(&message).unwrap();
            }
        }
    }
}

fn rounds(clock: &ManualClock, nodes: &[(Node, Queue)], count: usize) {
    (0..count).for_each(|_| round(clock, nodes));
}

#[test]
fn nodes_learn_of_each_others_members() {
    let clock = ManualClock::new();
    let nodes = [0, 1, 2].map(|_| connected(&clock, PresenceConfig::new()));
    let ann = nodes[0].0.hub.presence().enter("room", member("ann"));
    let bob = member("bob").with_state(Payload::json_text("{\"a\":1}").unwrap());
    let bob = nodes[1].0.hub.presence().enter("room", bob);
    let _also = nodes[2].0.hub.presence().enter("room", member("bob"));
    rounds(&clock, &nodes, 2);
    for (node, _) in &nodes {
        assert_eq!(node.ids("room"), ["ann", "bob"]);
        let page = node.hub.presence().members("room", PresenceQuery::new());
        let page = page.unwrap();
        assert_eq!(page.occupancy.connections, 3);
        let state = page.members[1].state.as_ref().unwrap();
        assert_eq!(state.as_str(), Some("{\"a\":1}"));
    }
    ann.unwrap().leave();
    bob.unwrap().leave();
    rounds(&clock, &nodes, 1);
    for (node, _) in &nodes {
        assert_eq!(node.ids("room"), ["bob"]);
    }
}

#[test]
fn a_node_that_comes_anew_asks_for_all() {
    let clock = ManualClock::new();
    let old = connected(&clock, PresenceConfig::new());
    let presence = old.0.hub.presence();
    let large = Payload::text("x".repeat(1_000));
    let enter = |k: usize| {
        let member = member(&format!("m{k}")).with_state(large.clone());
        presence.enter("room", member).unwrap()
    };
    // More than is kept of what was told: in parts.
    let _crowd: Vec<_> = (0..3_000).map(enter).collect();
    let mut nodes = vec![old];
    rounds(&clock, &nodes, 3);
    nodes.push(connected(&clock, PresenceConfig::new()));
    rounds(&clock, &nodes, 5);
    let counts = nodes[1].0.hub.presence().occupancy("room").unwrap();
    assert_eq!(counts.members, 3_000);
    assert_eq!(nodes[1].0.hub.presence().stats().remote_connections, 3_000);
}

#[test]
fn parts_that_are_lost_are_told_again_while_members_come_and_go() {
    let clock = ManualClock::new();
    let nodes = [0, 1].map(|_| connected(&clock, PresenceConfig::new()));
    let presence = nodes[0].0.hub.presence();
    let enter = |k: usize| {
        let member = member(&format!("m{k}")).with_state(Payload::text("x".repeat(1_000)));
        presence.enter("room", member).unwrap()
    };
    let mut crowd: Vec<_> = (0..3_000).map(enter).collect();
    presence.maintain();
    taken(&nodes[0].1);
    let mut count = 0;
    for k in 0..40 {
        crowd.swap_remove(k).leave();
        crowd.push(enter(10_000 + k));
        clock.advance(Duration::from_secs(1));
        for (node, queue) in &nodes {
            node.hub.presence().maintain();
            for message in taken(queue) {
                count += 1;
                if count % 3 != 0 {
                    let to = &nodes[usize::from(std::ptr::eq(queue, &nodes[0].1))].0;
                    to.hub.presence().receive(&message).unwrap();
                }
            }
        }
    }
    let known = nodes[1].0.hub.presence().occupancy("room").unwrap();
    assert!(known.members > 2_900, "{known:?}");
    rounds(&clock, &nodes, 5);
    let pages = nodes.each_ref().map(|(node, _)| node.ids("room"));
    assert_eq!(pages[0], pages[1]);
    let counts = nodes
        .each_ref()
        .map(|(node, _)| node.hub.presence().occupancy("room"));
    assert_eq!(counts[0], counts[1]);
}

#[test]
fn members_of_a_silent_node_are_gone_and_come_back_with_it() {
    let clock = ManualClock::new();
    let nodes = [0, 1].map(|_| connected(&clock, PresenceConfig::new()));
    let _ann = nodes[0].0.hub.presence().enter("room", member("ann"));
    rounds(&clock, &nodes, 3);
    let here = &nodes[1].0;
    assert_eq!(here.ids("room"), ["ann"]);
    rounds(&clock, &nodes[1..], 16);
    assert_eq!(here.ids("room"), ["ann"]);
    rounds(&clock, &nodes[1..], 5);
    assert!(here.ids("room").is_empty());
    assert_eq!(here.hub.presence().stats().nodes, 0);
    taken(&nodes[0].1);
    rounds(&clock, &nodes, 8);
    assert_eq!(here.ids("room"), ["ann"]);
}

#[test]
fn a_node_of_the_same_name_takes_the_place() {
    let clock = ManualClock::new();
    let config = |name| PresenceConfig::new().with_node_name(name);
    let first = connected(&clock, config("a"));
    let other = connected(&clock, config("b"));
    let guards: Vec<_> = ["ann", "bob"]
        .map(|id| first.0.hub.presence().enter("room", member(id)).unwrap())
        .into();
    let nodes = [first, other];
    rounds(&clock, &nodes, 3);
    let [first, other] = nodes;
    // Killed: nobody hears that these leave. What it said last comes late.
    first.0.hub.presence().maintain();
    clock.advance(Duration::from_secs(6));
    first.0.hub.presence().maintain();
    let late = taken(&first.1);
    let again = connected(&clock, config("a"));
    let _ann = again.0.hub.presence().enter("room", member("ann"));
    let nodes = [again, other];
    rounds(&clock, &nodes, 1);
    for message in late {
        nodes[1].0.hub.presence().receive(&message).unwrap();
    }
    assert_eq!(nodes[1].0.ids("room"), ["ann", "bob"]);
    let counts = nodes[1].0.hub.presence().occupancy("room").unwrap();
    assert_eq!(counts.connections, 1);
    rounds(&clock, &nodes, 12);
    assert_eq!(nodes[1].0.ids("room"), ["ann"]);
    assert_eq!(nodes[0].0.ids("room"), ["ann"]);
    drop(guards);
}

#[test]
fn members_of_a_node_that_ends_have_their_grace() {
    let clock = ManualClock::new();
    let nodes = [0, 1].map(|_| connected(&clock, PresenceConfig::new()));
    let going = nodes[0].0.hub.presence();
    let _ann = going.enter("room", member("ann")).unwrap();
    let _bob = going.enter("room", member("bob")).unwrap();
    rounds(&clock, &nodes, 2);
    going.close();
    assert!(going.enter("room", member("cat")).is_err());
    for message in taken(&nodes[0].1) {
        nodes[1].0.hub.presence().receive(&message).unwrap();
    }
    let here = &nodes[1].0;
    rounds(&clock, &nodes[1..], 5);
    assert_eq!(here.ids("room"), ["ann", "bob"]);
    let _ann = here.hub.presence().enter("room", member("ann"));
    rounds(&clock, &nodes[1..], 6);
    assert_eq!(here.ids("room"), ["ann"]);
}

#[test]
fn strangers_messages_are_refused() {
    let clock = ManualClock::new();
    let (node, _) = connected(&clock, PresenceConfig::new());
    let presence = node.hub.presence();
    assert_eq!(
        presence.receive(b"something else"),
        Err(PresenceMessageError::Version)
    );
    assert!(!eventcast_core::Presence::is_message(b"something else"));
    for id in 1..=256_u64 {
        presence.receive(&digest(id, 5)).unwrap();
    }
    assert_eq!(
        presence.receive(&digest(1_000, 5)),
        Err(PresenceMessageError::TooManyNodes { limit: 256 })
    );
    presence.receive(&digest(7, 6)).unwrap();
}

#[test]
fn what_does_not_fit_is_left_out() {
    let clock = ManualClock::new();
    let small = PresenceConfig::new().with_max_connections_per_channel(2);
    let nodes = [
        connected(&clock, PresenceConfig::new()),
        connected(&clock, small),
    ];
    let presence = nodes[0].0.hub.presence();
    let _all: Vec<_> = ["a", "b", "c"]
        .map(|id| presence.enter("room", member(id)).unwrap())
        .into();
    rounds(&clock, &nodes, 2);
    assert_eq!(nodes[1].0.ids("room").len(), 2);
    assert_eq!(nodes[1].0.hub.presence().stats().left_out, 1);
}

fn digest(node: u64, version: u64) -> Vec<u8> {
    let mut message = b"presence\x01\x02".to_vec();
    message.extend(node.to_be_bytes());
    message.extend(version.to_be_bytes());
    message.extend(0_u64.to_be_bytes());
    message.extend([0, 0]);
    message
}
