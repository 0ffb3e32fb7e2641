//! Two hubs on one log, whose server is a real one: who is on a channel of either. The tests of another
//! log use it as well: its `Log` is what is different.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use eventcast_core::{
    Delivery, Entered, Hub, HubConfig, Member, Payload, PresenceConfig, PresenceQuery, Session,
    Sleep, SubscriptionOptions, Timer,
};
use eventcast_testkit::ManualClock;
use futures_util::StreamExt;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::Log;

const INTERVAL: Duration = Duration::from_millis(10);
const HEARTBEAT: Duration = Duration::from_millis(50);
/// It passes by a clock of the test's only: nobody is late because the machine is busy.
const NODE_TIMEOUT: Duration = Duration::from_secs(3600);

/// For rounds of presence alone.
struct Tokio;

impl Timer for Tokio {
    fn sleep(&self, duration: Duration) -> Sleep {
        match duration {
            INTERVAL => Box::pin(tokio::time::sleep(duration)),
            _ => Box::pin(std::future::pending()),
        }
    }
}

/// A hub in a thread of its own.
struct Node {
    hub: Hub,
    life: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Node {
    async fn new(log: &Log, config: HubConfig) -> Self {
        let presence = PresenceConfig::new()
            .with_interval(INTERVAL)
            .with_leave_grace(Duration::ZERO)
            .with_node_timeout(HEARTBEAT, NODE_TIMEOUT);
        let log = log.connect();
        let (life, end) = oneshot::channel();
        let (opened, hub) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let hub = Hub::open(config.with_presence(presence), log.await).await;
                let hub = hub.unwrap();
                for driver in hub.drivers(Tokio) {
                    tokio::spawn(driver);
                }
                opened.send(hub).unwrap();
                let _ = end.await;
            });
        });
        let hub = hub.await.unwrap();
        Self { hub, life, thread }
    }

    /// All that it does ends, its connections as well, and it says nothing more.
    fn die(self) {
        drop(self.life);
        self.thread.join().unwrap();
    }

    fn enter(&self, id: &str) -> Entered {
        let member = Member::new(id).unwrap();
        self.hub.presence().enter("room", member).unwrap()
    }

    async fn watch(&self) -> Watch<'_> {
        let options = SubscriptionOptions::new().with_presence(true);
        let session = self.hub.session().options(options).channel("room");
        Watch {
            node: self,
            session: session.open_async().await.unwrap(),
        }
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

/// A session on the channel of one of them.
struct Watch<'a> {
    node: &'a Node,
    session: Session,
}

impl Watch<'_> {
    async fn next(&mut self) -> Delivery {
        let next = tokio::time::timeout(Duration::from_secs(60), self.session.next()).await;
        let ids = self.node.ids();
        next.unwrap_or_else(|_| panic!("nothing more is told, and there are {ids:?}"))
            .unwrap()
    }

    /// What is told next, from the counts on.
    async fn told(&mut self) -> String {
        let Delivery::Ephemeral(event) = self.next().await else {
            panic!("not of presence")
        };
        let text = event.payload().as_str().unwrap();
        text[text.find("\"members\"").unwrap()..].to_owned()
    }

    /// Reads on until its node has these members.
    async fn until_members(&mut self, ids: &[&str]) {
        while self.node.ids() != ids {
            self.next().await;
        }
    }

    async fn until_stalled(&mut self) {
        while !matches!(self.next().await, Delivery::Stalled) {}
    }

    async fn until_recovered(&mut self) {
        while !matches!(self.next().await, Delivery::Recovered) {}
    }
}

#[tokio::test]
async fn who_joins_changes_and_leaves_at_one_node_is_told_at_the_other() {
    let log = Log::start();
    let there = Node::new(&log, HubConfig::new()).await;
    let here = Node::new(&log, HubConfig::new()).await;
    let mut watch = there.watch().await;
    let ann = here.enter("ann");
    let joined = r#""members":1,"connections":1,"joins":[{"member":"ann"}]}"#;
    assert_eq!(watch.told().await, joined);
    assert_eq!(there.ids(), ["ann"]);
    ann.update(Payload::text("away")).unwrap();
    let updated = r#""members":1,"connections":1,"updates":[{"member":"ann","state":"away"}]}"#;
    assert_eq!(watch.told().await, updated);
    ann.leave();
    let left = r#""members":0,"connections":0,"leaves":[{"member":"ann"}]}"#;
    assert_eq!(watch.told().await, left);
    assert_eq!(there.counts(), (0, 0));
}

#[tokio::test]
async fn a_node_that_comes_later_learns_who_is_there() {
    let log = Log::start();
    let here = Node::new(&log, HubConfig::new()).await;
    let _ann = here.enter("ann");
    here.watch().await.until_members(&["ann"]).await;
    let there = Node::new(&log, HubConfig::new()).await;
    there.watch().await.until_members(&["ann"]).await;
    assert_eq!(there.counts(), (1, 1));
}

#[tokio::test]
async fn members_of_a_node_that_dies_are_gone_after_its_timeout() {
    let log = Log::start();
    let clock = ManualClock::new();
    let there = Node::new(&log, HubConfig::new().with_clock(clock.clone())).await;
    let here = Node::new(&log, HubConfig::new()).await;
    let mut watch = there.watch().await;
    let _bob = there.enter("bob");
    let _ann = here.enter("ann");
    watch.until_members(&["ann", "bob"]).await;
    here.die();
    let beat = || {
        clock.advance(HEARTBEAT);
        there.hub.presence().maintain();
    };
    let beats = NODE_TIMEOUT.as_millis() / HEARTBEAT.as_millis();
    (0..beats / 2).for_each(|_| beat());
    assert_eq!(there.ids(), ["ann", "bob"]);
    // What it said last may have been on its way until now.
    (0..beats).for_each(|_| beat());
    assert_eq!(there.ids(), ["bob"]);
    assert_eq!(there.counts(), (1, 1));
    let left = r#""members":1,"connections":1,"leaves":[{"member":"ann"}]}"#;
    while watch.told().await != left {}
}

#[tokio::test]
async fn members_of_a_hub_that_closes_are_gone_without_a_timeout() {
    let log = Log::start();
    let there = Node::new(&log, HubConfig::new()).await;
    let here = Node::new(&log, HubConfig::new()).await;
    let mut watch = there.watch().await;
    let _ann = here.enter("ann");
    watch.until_members(&["ann"]).await;
    here.hub.close().await.unwrap();
    watch.until_members(&[]).await;
    assert_eq!(there.counts(), (0, 0));
    assert_eq!(there.hub.presence().stats().nodes, 0);
}

/// What changes while the server is away is known at both nodes once it is back.
async fn over_an_outage(log: &mut Log, begin: fn(&mut Log), end: fn(&mut Log)) {
    let there = Node::new(log, HubConfig::new()).await;
    let here = Node::new(log, HubConfig::new()).await;
    let (mut at_there, mut at_here) = (there.watch().await, here.watch().await);
    let (ann, _bob) = (here.enter("ann"), here.enter("bob"));
    at_there.until_members(&["ann", "bob"]).await;
    begin(log);
    at_there.until_stalled().await;
    at_here.until_stalled().await;
    ann.leave();
    let (_cat, _dan) = (here.enter("cat"), there.enter("dan"));
    at_here.until_members(&["bob", "cat"]).await;
    at_there.until_members(&["ann", "bob", "dan"]).await;
    end(log);
    at_there.until_recovered().await;
    at_here.until_recovered().await;
    for watch in [&mut at_there, &mut at_here] {
        watch.until_members(&["bob", "cat", "dan"]).await;
        assert_eq!(watch.node.counts(), (3, 3));
    }
}

#[tokio::test]
async fn a_server_that_is_killed_and_restarted() {
    over_an_outage(&mut Log::start(), Log::kill, Log::restart).await;
}

#[tokio::test]
async fn a_server_that_stands_still_for_a_while() {
    over_an_outage(&mut Log::start(), Log::stop, Log::go_on).await;
}
