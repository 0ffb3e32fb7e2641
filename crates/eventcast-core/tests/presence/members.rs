//! One node: entering, leaving, what is told, and the bounds.

use std::time::Duration;

use eventcast_core::{
    Delivery, Event, Hub, HubConfig, Member, MemberId, Payload, PresenceConfig, PresenceError,
    PresenceQuery, Session, SubscriptionOptions,
};
use eventcast_testkit::{ManualClock, drain};

pub(crate) struct Node {
    pub(crate) hub: Hub,
    clock: ManualClock,
}

impl Node {
    pub(crate) fn new(config: PresenceConfig) -> Self {
        Self::at(ManualClock::new(), config)
    }

    pub(crate) fn at(clock: ManualClock, config: PresenceConfig) -> Self {
        let hub = HubConfig::new()
            .with_clock(clock.clone())
            .with_presence(config);
        let hub = Hub::with_config(hub);
        hub.presence().maintain();
        Self { hub, clock }
    }

    fn pass(&self, time: Duration) {
        let step = Duration::from_secs(1);
        let mut left = time;
        while !left.is_zero() {
            let next = left.min(step);
            self.clock.advance(next);
            self.hub.presence().maintain();
            left -= next;
        }
    }

    fn watch(&self, channel: &str) -> Session {
        let options = SubscriptionOptions::new().with_presence(true);
        let session = self.hub.session().options(options).channel(channel);
        session.open().unwrap()
    }

    pub(crate) fn ids(&self, channel: &str) -> Vec<String> {
        let page = self.hub.presence().members(channel, PresenceQuery::new());
        page.unwrap()
            .members
            .iter()
            .map(|m| m.id.to_string())
            .collect()
    }

    fn counts(&self, channel: &str) -> (usize, usize) {
        let counts = self.hub.presence().occupancy(channel).unwrap();
        (counts.members, counts.connections)
    }
}

pub(crate) fn member(id: &str) -> Member {
    Member::new(id).unwrap()
}

fn state(text: &str) -> Payload {
    Payload::text(text)
}

/// What is told, from the counts on.
fn told(session: &mut Session) -> Vec<String> {
    let told = drain(session).into_iter().filter_map(|delivery| {
        let Delivery::Ephemeral(event) = delivery else {
            return None;
        };
        assert_eq!(event.name().unwrap().as_str(), "eventcast.presence");
        let text = event.payload().as_str().unwrap().to_owned();
        Some(text[text.find("\"members\"").unwrap()..].to_owned())
    });
    told.collect()
}

#[test]
fn joins_updates_and_leaves_are_told_together() {
    let node = Node::new(PresenceConfig::new());
    let mut session = node.watch("room");
    let presence = node.hub.presence();
    let ann = presence.enter("room", member("ann")).unwrap();
    let bob = presence
        .enter("room", member("bob").with_state(state("a \"b\"\n")))
        .unwrap();
    presence.maintain();
    ann.update(state("busy")).unwrap();
    bob.leave();
    presence.maintain();
    ann.update(None).unwrap();
    presence.maintain();
    presence.maintain();
    assert_eq!(
        told(&mut session),
        [
            r#""members":2,"connections":2,"joins":[{"member":"ann"},{"member":"bob","state":"a \"b\"\n"}]}"#,
            r#""members":1,"connections":1,"updates":[{"member":"ann","state":"busy"}],"leaves":[{"member":"bob"}]}"#,
            r#""members":1,"connections":1,"updates":[{"member":"ann"}]}"#,
        ]
    );
}

#[test]
fn who_comes_back_within_the_grace_never_left() {
    let node = Node::new(PresenceConfig::new().with_leave_grace(Duration::from_secs(5)));
    let mut session = node.watch("room");
    let presence = node.hub.presence();
    let ann = presence.enter("room", member("ann").with_state(state("here")));
    presence.maintain();
    told(&mut session);

    drop(ann);
    assert_eq!(node.counts("room"), (1, 0));
    node.pass(Duration::from_secs(4));
    let back = presence.enter("room", member("ann")).unwrap();
    node.pass(Duration::from_secs(60));
    assert_eq!(node.counts("room"), (1, 1));
    let page = presence.members("room", PresenceQuery::new()).unwrap();
    assert_eq!(page.members[0].state, Some(state("here")));
    assert_eq!(page.members[0].since.as_millis(), 1_000);
    for told in told(&mut session) {
        assert!(
            !told.contains("joins") && !told.contains("leaves"),
            "{told}"
        );
    }

    drop(back);
    node.pass(Duration::from_secs(5));
    assert_eq!(node.counts("room"), (0, 0));
    let last = told(&mut session).pop().unwrap();
    assert_eq!(
        last,
        r#""members":0,"connections":0,"leaves":[{"member":"ann"}]}"#
    );
    node.pass(Duration::from_secs(2));
    let stats = presence.stats();
    assert_eq!((stats.channels, stats.connections, stats.bytes), (0, 0, 0));
}

#[test]
fn several_connections_are_one_member() {
    let node = Node::new(PresenceConfig::new());
    let mut session = node.watch("room");
    let presence = node.hub.presence();
    let phone = presence.enter("room", member("ann")).unwrap();
    presence.maintain();
    let laptop = presence
        .enter("room", member("ann").with_state(state("typing")))
        .unwrap();
    presence.maintain();
    phone.leave();
    presence.maintain();
    laptop.leave();
    presence.maintain();
    assert_eq!(
        told(&mut session),
        [
            r#""members":1,"connections":1,"joins":[{"member":"ann"}]}"#,
            r#""members":1,"connections":2,"updates":[{"member":"ann","state":"typing"}]}"#,
            r#""members":0,"connections":0,"leaves":[{"member":"ann"}]}"#,
        ]
    );
}

#[test]
fn a_visit_between_two_events_is_not_told() {
    let node = Node::new(PresenceConfig::new());
    let mut session = node.watch("room");
    node.hub
        .presence()
        .enter("room", member("ann"))
        .unwrap()
        .leave();
    node.hub.presence().maintain();
    assert!(told(&mut session).is_empty());
    assert_eq!(node.hub.presence().stats().channels, 0);
}

#[test]
fn who_did_not_ask_is_told_nothing() {
    let node = Node::new(PresenceConfig::new());
    let mut session = node.hub.subscribe("room").unwrap();
    let _ann = node.hub.presence().enter("room", member("ann")).unwrap();
    node.hub.presence().maintain();
    node.hub
        .publish_ephemeral("room", Event::text("typing"))
        .unwrap();
    let deliveries = drain(&mut session);
    let events = deliveries
        .iter()
        .filter(|d| matches!(d, Delivery::Ephemeral(_)));
    assert_eq!(events.count(), 1);
}

#[test]
fn a_crowd_is_told_by_its_number() {
    let config = PresenceConfig::new()
        .with_max_changes(10)
        .with_max_announced(100);
    let node = Node::new(config);
    let mut session = node.watch("room");
    let presence = node.hub.presence();
    let enter = |k: usize| presence.enter("room", member(&format!("m{k:04}"))).unwrap();
    let mut crowd: Vec<_> = (0..50).map(enter).collect();
    presence.maintain();
    crowd.push(enter(50));
    presence.maintain();
    crowd.extend((51..101).map(enter));
    node.pass(Duration::from_secs(2));
    crowd.push(enter(101));
    presence.maintain();
    // Within the second that a large channel is told nothing more.
    crowd.push(enter(102));
    presence.maintain();
    node.pass(Duration::from_secs(1));
    assert_eq!(
        told(&mut session),
        [
            r#""members":50,"connections":50,"incomplete":true}"#,
            r#""members":51,"connections":51,"joins":[{"member":"m0050"}]}"#,
            r#""members":101,"connections":101,"incomplete":true}"#,
            r#""members":102,"connections":102,"incomplete":true}"#,
            r#""members":103,"connections":103,"incomplete":true}"#,
        ]
    );
    drop(crowd);
}

#[test]
fn what_does_not_fit_into_an_event_is_told_by_its_number() {
    let node = Node::new(PresenceConfig::new().with_max_state(8 << 10));
    let mut session = node.watch("room");
    let presence = node.hub.presence();
    let large = || state(&"\u{1}".repeat(4 << 10));
    let _ann = presence.enter("room", member("ann").with_state(large()));
    presence.maintain();
    let told = told(&mut session);
    assert_eq!(told, [r#""members":1,"connections":1,"incomplete":true}"#]);
}

#[test]
fn revisions_follow_each_other() {
    let node = Node::new(PresenceConfig::new());
    let mut session = node.watch("room");
    let presence = node.hub.presence();
    let _elsewhere = presence.enter("other", member("zoe")).unwrap();
    let mut guards = Vec::new();
    for id in ["ann", "bob", "cat"] {
        guards.push(presence.enter("room", member(id)).unwrap());
        presence.maintain();
    }
    let mut previous = 0;
    for delivery in drain(&mut session) {
        let Delivery::Ephemeral(event) = delivery else {
            continue;
        };
        let text = event.payload().as_str().unwrap();
        let number = |key: &str| -> u64 {
            let rest = text.split(&format!("\"{key}\":")).nth(1).unwrap();
            rest.split(',').next().unwrap().parse().unwrap()
        };
        assert_eq!(number("previous"), previous);
        assert!(number("revision") > previous);
        previous = number("revision");
    }
    let page = presence.members("room", PresenceQuery::new()).unwrap();
    assert_eq!(page.revision, previous);
    assert_eq!(page.node, presence.node());
}

#[test]
fn members_come_in_pages() {
    let node = Node::new(PresenceConfig::new());
    let presence = node.hub.presence();
    let enter = |k: usize| presence.enter("room", member(&format!("m{k:04}"))).unwrap();
    let _all: Vec<_> = (0..250).rev().map(enter).collect();
    let (mut query, mut seen) = (PresenceQuery::new(), Vec::new());
    loop {
        let page = presence.members("room", query).unwrap();
        assert!(page.members.len() <= 100);
        assert_eq!(page.occupancy.members, 250);
        seen.extend(page.members.iter().map(|m| m.id.to_string()));
        let Some(next) = page.next else {
            break;
        };
        query = PresenceQuery::new().after(next);
    }
    let expected: Vec<_> = (0..250).map(|k| format!("m{k:04}")).collect();
    assert_eq!(seen, expected);
    let none = presence.members(
        "room",
        PresenceQuery::new().after(MemberId::new("z").unwrap()),
    );
    assert!(none.unwrap().members.is_empty());
}

#[test]
fn everything_is_bounded() {
    let config = PresenceConfig::new()
        .with_max_channels(2)
        .with_max_connections_per_channel(3)
        .with_max_state(10)
        .with_max_bytes(3_000);
    let node = Node::new(config);
    let presence = node.hub.presence();
    let enter = |channel: &str, id: &str| presence.enter(channel, member(id));
    let _first: Vec<_> = ["a", "b", "c"].map(|id| enter("room", id).unwrap()).into();
    assert_eq!(
        enter("room", "a").unwrap_err(),
        PresenceError::ChannelFull { limit: 3 }
    );
    let other = enter("other", "a").unwrap();
    assert_eq!(
        enter("third", "a").unwrap_err(),
        PresenceError::TooManyChannels { limit: 2 }
    );
    assert_eq!(
        other.update(state("12345678901")).unwrap_err(),
        PresenceError::StateTooLarge {
            size: 11,
            limit: 10
        }
    );
    assert_eq!(
        other.update(Payload::binary(vec![1])).unwrap_err(),
        PresenceError::Binary
    );
    let _fifth = enter("other", "b").unwrap();
    let _sixth = enter("other", "c").unwrap();
    let bytes = presence.stats().bytes;
    assert!(bytes <= 3_000, "{bytes}");
    other.leave();
    presence.maintain();
    let _again = enter("other", "a").unwrap();
    assert_eq!(presence.stats().bytes, bytes);
    assert!(Member::new("").is_err());
    assert!(Member::new("x".repeat(129)).is_err());
    assert!(Member::new("a\nb").is_err());
}

#[test]
fn bytes_are_bounded() {
    let node = Node::new(PresenceConfig::new().with_max_bytes(900));
    let presence = node.hub.presence();
    let ann = presence.enter("room", member("ann")).unwrap();
    let _bob = presence.enter("room", member("bob")).unwrap();
    let full = PresenceError::Full { limit: 900 };
    assert_eq!(presence.enter("room", member("cat")).unwrap_err(), full);
    assert_eq!(ann.update(state(&"x".repeat(100))).unwrap_err(), full);
    ann.update(state("x")).unwrap();
}

#[test]
fn a_clock_that_jumps_lets_nobody_go() {
    let node = Node::new(PresenceConfig::new().with_leave_grace(Duration::from_secs(10)));
    let presence = node.hub.presence();
    drop(presence.enter("room", member("ann")).unwrap());
    node.clock.advance(Duration::from_secs(86_400));
    presence.maintain();
    assert_eq!(node.ids("room"), ["ann"]);
}

#[test]
fn a_driver_does_the_maintenance() {
    use std::task::{Context, Poll, Waker};

    struct Ready;

    impl eventcast_core::Timer for Ready {
        fn sleep(&self, _: Duration) -> eventcast_core::Sleep {
            let mut first = true;
            Box::pin(std::future::poll_fn(move |_| {
                if std::mem::replace(&mut first, false) {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            }))
        }
    }

    let node = Node::new(PresenceConfig::new());
    let mut session = node.watch("room");
    let _ann = node.hub.presence().enter("room", member("ann")).unwrap();
    let mut drivers = node.hub.drivers(Ready);
    for _ in 0..2 {
        for driver in &mut drivers {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(std::pin::Pin::new(driver).poll(&mut cx).is_pending());
        }
    }
    assert_eq!(told(&mut session).len(), 1);
}
