//! Two hubs on one log: who is on a channel of either, over the log's own messages.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use eventcast_core::{
    Delivery, Driver, Hub, HubConfig, PresenceConfig, PresenceError, PresenceQuery, Session, Sleep,
    SubscriptionOptions, Timer,
};
use eventcast_testkit::{ManualClock, MemoryLog, MemoryNode, drain, poll_once};

use super::members::member;

struct Never;

impl Timer for Never {
    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}

/// A hub on the log. Its drivers send what presence tells, and its rounds are those of the test.
struct Node {
    hub: Hub,
    node: Arc<MemoryNode>,
    drivers: Vec<Driver>,
}

impl Node {
    fn new(log: &MemoryLog, clock: &ManualClock) -> Self {
        let presence = PresenceConfig::new()
            .with_leave_grace(Duration::from_secs(10))
            .with_node_timeout(Duration::from_secs(5), Duration::from_secs(20));
        let config = HubConfig::new()
            .with_clock(clock.clone())
            .with_presence(presence);
        let node = log.node();
        let hub = poll_once(Hub::open(config, Arc::clone(&node)));
        let hub = hub.unwrap().unwrap();
        let drivers = hub.drivers(Never);
        Self { hub, node, drivers }
    }

    fn drive(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for driver in &mut self.drivers {
            assert!(Pin::new(driver).poll(&mut cx).is_pending());
        }
    }

    fn watch(&self) -> Session {
        let options = SubscriptionOptions::new().with_presence(true);
        let session = self.hub.session().options(options).channel("room");
        poll_once(session.open_async()).unwrap().unwrap()
    }

    fn ids(&self) -> Vec<String> {
        let page = self.hub.presence().members("room", PresenceQuery::new());
        let members = page.unwrap().members;
        members.iter().map(|member| member.id.to_string()).collect()
    }

    /// Members and connections.
    fn counts(&self) -> (usize, usize) {
        let counts = self.hub.presence().occupancy("room").unwrap();
        (counts.members, counts.connections)
    }
}

/// So many seconds pass: in each, all maintain, and then all messages go out.
fn seconds(clock: &ManualClock, nodes: &mut [&mut Node], count: usize) {
    for _ in 0..count {
        clock.advance(Duration::from_secs(1));
        nodes.iter().for_each(|n| n.hub.presence().maintain());
        nodes.iter_mut().for_each(|n| n.drive());
    }
}

/// What a session is told, from the counts on.
fn told(session: &mut Session) -> Vec<String> {
    let deliveries = drain(session).into_iter();
    let told = deliveries.map(|delivery| {
        let Delivery::Ephemeral(event) = delivery else {
            panic!("{delivery:?}")
        };
        let text = event.payload().as_str().unwrap();
        text[text.find("\"members\"").unwrap()..].to_owned()
    });
    told.collect()
}

#[test]
fn who_joins_and_leaves_at_one_node_is_told_at_the_other() {
    for log in [MemoryLog::new(), MemoryLog::new().leaving_out_unwanted()] {
        let clock = ManualClock::new();
        let (mut here, mut there) = (Node::new(&log, &clock), Node::new(&log, &clock));
        let mut session = there.watch();
        assert_eq!(told(&mut session), [""; 0]);
        let ann = here.hub.presence().enter("room", member("ann")).unwrap();
        seconds(&clock, &mut [&mut here, &mut there], 2);
        assert_eq!(there.ids(), ["ann"]);
        let joined = r#""members":1,"connections":1,"joins":[{"member":"ann"}]}"#;
        assert_eq!(told(&mut session), [joined]);
        ann.leave();
        seconds(&clock, &mut [&mut here, &mut there], 2);
        assert_eq!(there.counts(), (0, 0));
        let left = r#""members":0,"connections":0,"leaves":[{"member":"ann"}]}"#;
        assert_eq!(told(&mut session), [left]);
        assert!(log.is_empty(), "presence is stored nowhere");
    }
}

#[test]
fn a_node_that_comes_later_learns_who_is_there() {
    let clock = ManualClock::new();
    let log = MemoryLog::new();
    let mut here = Node::new(&log, &clock);
    let _ann = here.hub.presence().enter("room", member("ann")).unwrap();
    seconds(&clock, &mut [&mut here], 3);
    let mut there = Node::new(&log, &clock);
    seconds(&clock, &mut [&mut here, &mut there], 2);
    assert_eq!(there.ids(), ["ann"]);
}

#[test]
fn a_member_counts_once_and_each_connection_of_any_node() {
    let clock = ManualClock::new();
    let log = MemoryLog::new();
    let (mut here, mut there) = (Node::new(&log, &clock), Node::new(&log, &clock));
    let enter = |node: &Node, id| node.hub.presence().enter("room", member(id)).unwrap();
    let ann = [enter(&here, "ann"), enter(&here, "ann")];
    let also_ann = enter(&there, "ann");
    let _bob = enter(&there, "bob");
    let mut both = [&mut here, &mut there];
    seconds(&clock, &mut both, 2);
    assert_eq!(both.each_ref().map(|node| node.counts()), [(2, 4); 2]);
    ann.into_iter().for_each(|connection| connection.leave());
    seconds(&clock, &mut both, 2);
    assert_eq!(both.each_ref().map(|node| node.counts()), [(2, 2); 2]);
    also_ann.leave();
    seconds(&clock, &mut both, 2);
    assert_eq!(both.each_ref().map(|node| node.counts()), [(1, 1); 2]);
}

#[test]
fn members_of_a_node_that_dies_are_gone_after_its_timeout() {
    let clock = ManualClock::new();
    let log = MemoryLog::new();
    let (mut here, mut there) = (Node::new(&log, &clock), Node::new(&log, &clock));
    let _bob = there.hub.presence().enter("room", member("bob")).unwrap();
    seconds(&clock, &mut [&mut here, &mut there], 3);
    let ann = here.hub.presence().enter("room", member("ann")).unwrap();
    // The last that is heard of the node.
    seconds(&clock, &mut [&mut here, &mut there], 1);
    let mut session = there.watch();
    // Nobody maintains it any more: neither of these is told.
    drop((ann, here));
    seconds(&clock, &mut [&mut there], 19);
    assert_eq!(there.ids(), ["ann", "bob"]);
    let joined = r#""members":2,"connections":2,"joins":[{"member":"ann"}]}"#;
    assert_eq!(told(&mut session), [joined]);
    seconds(&clock, &mut [&mut there], 1);
    assert_eq!(there.ids(), ["bob"]);
    assert_eq!(there.counts(), (1, 1));
    assert_eq!(there.hub.presence().stats().nodes, 0);
    let left = r#""members":1,"connections":1,"leaves":[{"member":"ann"}]}"#;
    assert_eq!(told(&mut session), [left]);
}

#[test]
fn a_hub_that_closes_says_so_at_once_and_its_members_have_their_grace() {
    let clock = ManualClock::new();
    let log = MemoryLog::new();
    let (mut here, mut there) = (Node::new(&log, &clock), Node::new(&log, &clock));
    let presence = here.hub.presence();
    let _both = ["ann", "bob"].map(|id| presence.enter("room", member(id)).unwrap());
    seconds(&clock, &mut [&mut here, &mut there], 2);
    assert_eq!(there.ids(), ["ann", "bob"]);
    // No driver has a part in it, and no time passes.
    poll_once(here.hub.close()).unwrap().unwrap();
    let late = presence.enter("room", member("cat")).map(drop);
    assert_eq!(late, Err(PresenceError::Left));
    // Who comes to the other node in time has never left.
    let mut session = there.watch();
    let _ann = there.hub.presence().enter("room", member("ann")).unwrap();
    seconds(&clock, &mut [&mut there], 9);
    assert_eq!(there.ids(), ["ann", "bob"]);
    seconds(&clock, &mut [&mut there], 1);
    assert_eq!(there.ids(), ["ann"]);
    let left = r#""members":1,"connections":1,"leaves":[{"member":"bob"}]}"#;
    assert_eq!(told(&mut session), [left]);
}

#[test]
fn members_of_a_node_without_the_log_come_back_with_it() {
    let clock = ManualClock::new();
    let log = MemoryLog::new();
    let (mut here, mut there) = (Node::new(&log, &clock), Node::new(&log, &clock));
    let _ann = here.hub.presence().enter("room", member("ann")).unwrap();
    seconds(&clock, &mut [&mut here, &mut there], 2);
    here.node.stall();
    seconds(&clock, &mut [&mut here, &mut there], 25);
    assert_eq!(there.counts(), (0, 0));
    assert_eq!(here.ids(), ["ann"]);
    here.node.recover();
    // A heartbeat, a question and its answer.
    seconds(&clock, &mut [&mut here, &mut there], 8);
    assert_eq!(there.ids(), ["ann"]);
}
