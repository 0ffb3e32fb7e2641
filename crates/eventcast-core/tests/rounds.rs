//! What a hub does for the log outside it now and then, on simulated time and without traffic.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use eventcast_core::{
    BatchLimits, Clock, Delivery, Driver, Event, Health, Hub, HubConfig, Member, Position,
    PresenceConfig, PresenceQuery, Retention, Session, Sleep, Timer,
};
use eventcast_testkit::{ManualClock, MemoryLog, MemoryNode, poll_once};

/// Sleeps are over once the clock says so; whoever sleeps is asked in each step.
struct ByClock(ManualClock);

impl Timer for ByClock {
    fn sleep(&self, duration: Duration) -> Sleep {
        let clock = self.0.clone();
        let due = clock.elapsed() + duration;
        Box::pin(poll_fn(move |_| match clock.elapsed() >= due {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }))
    }
}

const STEP: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(20);
const AGE: Duration = Duration::from_secs(60);

struct Node {
    hub: Hub,
    node: Arc<MemoryNode>,
    clock: ManualClock,
    drivers: Vec<Driver>,
}

impl Node {
    fn new(log: &MemoryLog, clock: &ManualClock) -> Self {
        let presence = PresenceConfig::new()
            .with_leave_grace(Duration::from_secs(10))
            .with_node_timeout(Duration::from_secs(5), Duration::from_secs(20));
        let config = HubConfig::new()
            .with_clock(clock.clone())
            .with_presence(presence)
            .with_collect_after(IDLE)
            .with_retention(Retention::new().with_age(AGE));
        let node = log.node();
        let hub = poll_once(Hub::open(config, Arc::clone(&node)));
        let hub = hub.unwrap().unwrap();
        let drivers = hub.drivers(ByClock(clock.clone()));
        Self {
            hub,
            node,
            clock: clock.clone(),
            drivers,
        }
    }

    fn turn(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for driver in &mut self.drivers {
            let _ = Pin::new(driver).poll(&mut cx);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.clock.elapsed() + time;
        while self.clock.elapsed() < end {
            self.clock.advance(STEP);
            self.turn();
        }
    }

    /// What a session of the node is told.
    fn told(&mut self, reader: &mut Reader) -> Vec<String> {
        self.turn();
        reader.read()
    }

    fn publish(&self, text: &str) -> Position {
        let published = self.hub.publish("a", Event::text(text));
        poll_once(published).unwrap().unwrap()
    }

    fn open(&self, resume: Option<Position>) -> Reader {
        let mut session = self.hub.session().channel("a");
        if let Some(id) = resume {
            session = session.resume(&id.to_string());
        }
        Reader::new(poll_once(session.open_async()).unwrap().unwrap())
    }

    fn members(&self) -> usize {
        let page = self.hub.presence().members("room", PresenceQuery::new());
        page.unwrap().members.len()
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Reads a session only when it is woken, as a connection does.
struct Reader {
    session: Session,
    woken: Arc<Woken>,
}

impl Reader {
    fn new(session: Session) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        Self { session, woken }
    }

    fn read(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut cx = Context::from_waker(&waker);
        while self.woken.0.swap(false, Ordering::SeqCst) {
            while (self.session)
                .poll_batch(&mut cx, BatchLimits::default(), &mut out)
                .is_ready()
            {}
        }
        let tell = |delivery: Delivery| match delivery {
            Delivery::Event(event) => event.payload().as_str().unwrap().to_owned(),
            Delivery::Ephemeral(event) => format!("~{}", event.payload().as_str().unwrap()),
            Delivery::Stalled => "stalled".to_owned(),
            Delivery::Recovered => "recovered".to_owned(),
            other => format!("{other:?}"),
        };
        out.into_iter().map(tell).collect()
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_id_that_the_node_was_not_given_yet_is_waited_for_and_told_after_five_seconds() {
    for comes_in_time in [true, false] {
        let (log, clock) = (MemoryLog::new(), ManualClock::new());
        let (here, mut there) = (Node::new(&log, &clock), Node::new(&log, &clock));
        log.hold_records();
        let id = here.publish("1");
        let mut session = there.open(Some(id));
        assert_eq!(session.session.opening().position, Some(id));
        assert_eq!(there.told(&mut session), NOTHING);
        there.pass(Duration::from_millis(4_900));
        assert_eq!(there.told(&mut session), NOTHING);
        if comes_in_time {
            log.release_records();
            there.pass(Duration::from_secs(10));
            assert_eq!(there.told(&mut session), NOTHING);
        } else {
            there.pass(Duration::from_millis(500));
            assert_eq!(there.told(&mut session), ["stalled"]);
            // The log answers: only this reader is ahead of what it gave.
            assert_eq!(there.hub.health(), Health::Connected);
            there.pass(Duration::from_secs(10));
            assert_eq!(there.told(&mut session), NOTHING);
            log.release_records();
            there.pass(Duration::from_millis(500));
            assert_eq!(there.told(&mut session), ["recovered"]);
        }
        here.publish("2");
        assert_eq!(there.told(&mut session), ["2"]);
    }
}

#[test]
fn a_page_that_failed_is_read_again_in_the_next_round() {
    let (log, clock) = (MemoryLog::new(), ManualClock::new());
    let (here, mut there) = (Node::new(&log, &clock), Node::new(&log, &clock));
    let id = here.publish("1");
    here.publish("2");
    let mut session = there.open(Some(id));
    log.fail_reads(1);
    assert_eq!(there.told(&mut session), ["stalled"]);
    there.pass(Duration::from_secs(1));
    assert_eq!(there.told(&mut session), ["recovered", "2"]);
}

#[test]
fn a_log_is_maintained_though_nothing_is_published() {
    let (log, clock) = (MemoryLog::new(), ManualClock::new());
    let mut here = Node::new(&log, &clock);
    here.publish("1");
    here.pass(AGE - Duration::from_secs(1));
    assert_eq!(log.len(), 1);
    // A whole round is at most five seconds.
    here.pass(Duration::from_secs(7));
    assert!(log.is_empty());
}

#[test]
fn an_ephemeral_event_is_there_for_a_round_at_least_and_not_for_long() {
    let (log, clock) = (MemoryLog::new(), ManualClock::new());
    let mut node = Node::new(&log, &clock);
    let mut reader = node.open(None);
    assert_eq!(node.told(&mut reader), NOTHING);
    let type_something = |node: &Node| {
        let typed = node.hub.publish_ephemeral("a", Event::text("typing"));
        assert_eq!(typed, Ok(true));
    };
    // Wherever in a round of five seconds it comes.
    for _ in 0..10 {
        node.pass(Duration::from_millis(500));
        type_something(&node);
        node.pass(Duration::from_millis(4_500));
        assert_eq!(node.told(&mut reader), ["~typing"]);
    }
    type_something(&node);
    node.pass(Duration::from_secs(15));
    assert_eq!(node.told(&mut reader), NOTHING);
}

#[test]
fn a_message_to_other_nodes_goes_out_at_once() {
    let (log, clock) = (MemoryLog::new(), ManualClock::new());
    let (mut here, mut there) = (Node::new(&log, &clock), Node::new(&log, &clock));
    let mut session = there.open(None);
    assert_eq!(there.told(&mut session), NOTHING);
    here.turn();
    let typing = here.hub.publish_ephemeral("a", Event::text("typing"));
    typing.unwrap();
    assert_eq!(there.told(&mut session), NOTHING);
    here.turn();
    assert_eq!(there.told(&mut session), ["~typing"]);
}

#[test]
fn a_channel_that_nobody_reads_any_more_is_asked_for_no_longer() {
    let (log, clock) = (MemoryLog::new(), ManualClock::new());
    let log = log.leaving_out_unwanted();
    let (here, mut there) = (Node::new(&log, &clock), Node::new(&log, &clock));
    let mut first = there.open(None);
    let mut second = there.open(None);
    let last = here.publish("1");
    assert_eq!(
        (there.told(&mut first), there.told(&mut second)),
        (vec!["1".into()], vec!["1".into()])
    );
    drop(first);
    there.pass(AGE + IDLE + Duration::from_secs(10));
    assert!(there.node.wants("a"), "one is left");
    drop(second);
    there.pass(AGE + IDLE + Duration::from_secs(10));
    assert!(!there.node.wants("a"));
    assert_eq!(there.hub.stats().channels, 0);
    here.publish("2");
    here.publish("3");
    assert_eq!(there.hub.stats().retained_events, 0);
    let mut resumed = there.open(Some(last));
    let mut live = there.open(None);
    assert_eq!(there.told(&mut resumed), ["2", "3"]);
    assert_eq!(there.told(&mut live), NOTHING);
    assert!(there.node.wants("a"));
    here.publish("4");
    assert_eq!(
        (there.told(&mut resumed), there.told(&mut live)),
        (vec!["4".into()], vec!["4".into()])
    );
}

#[test]
fn what_memory_holds_of_the_log_is_counted() {
    let (log, clock) = (MemoryLog::new(), ManualClock::new());
    let mut here = Node::new(&log, &clock);
    let held = |node: &Node| {
        let stats = node.hub.stats();
        (stats.retained_events, stats.retained_bytes > 0)
    };
    let _session = here.open(None);
    for n in 1..=3 {
        here.publish("x");
        assert_eq!(held(&here), (n, true));
    }
    here.pass(AGE + Duration::from_secs(10));
    assert_eq!(held(&here), (0, false));
    here.publish("x");
    log.lose_records();
    here.publish("x");
    // From here on memory begins anew.
    log.tell_skipped();
    assert_eq!(held(&here), (0, false));
}

#[test]
fn a_channel_that_had_nothing_is_let_go_of_at_once() {
    let (log, clock) = (MemoryLog::new(), ManualClock::new());
    let mut here = Node::new(&log.leaving_out_unwanted(), &clock);
    let session = here.open(None);
    assert!(here.node.wants("a"));
    drop(session);
    here.turn();
    assert!(!here.node.wants("a"));
}

/// Has seconds pass until a hub is closed.
fn close(node: &mut Node) -> usize {
    let hub = node.hub.clone();
    let mut cx = Context::from_waker(Waker::noop());
    let mut closing = pin!(hub.close());
    let mut passed = 0;
    while closing.as_mut().poll(&mut cx).is_pending() {
        node.pass(Duration::from_secs(1));
        passed += 1;
        assert!(passed < 60, "it does not close");
    }
    passed
}

/// A node with a member whom the other one knows, and with more messages than it may keep.
fn busy(log: &MemoryLog, clock: &ManualClock) -> (Node, Node, impl Sized + use<>) {
    let (mut here, mut there) = (Node::new(log, clock), Node::new(log, clock));
    let ann = Member::new("ann").unwrap();
    let ann = here.hub.presence().enter("room", ann).unwrap();
    for _ in 0..3 {
        here.pass(Duration::from_secs(1));
        there.turn();
    }
    assert_eq!(there.members(), 1);
    for n in 0..2_000 {
        let typing = Event::text(format!("typing {n}"));
        let typing = here.hub.publish_ephemeral("a", typing);
        typing.unwrap();
    }
    (here, there, ann)
}

#[test]
fn a_hub_that_closes_sends_all_that_it_has_and_says_goodbye() {
    let (log, clock) = (MemoryLog::new(), ManualClock::new());
    let (mut here, mut there, _ann) = busy(&log, &clock);
    let mut session = there.open(None);
    assert_eq!(close(&mut here), 0);
    // The newest that a channel keeps: the last message but one is there.
    assert!(there.told(&mut session).ends_with(&["~typing 1999".into()]));
    // The grace, not the timeout.
    there.pass(Duration::from_secs(11));
    assert_eq!(there.members(), 0);
}

#[test]
fn one_close_waits_for_another_and_goes_on_where_that_is_given_up() {
    let (log, clock) = (MemoryLog::new(), ManualClock::new());
    let (here, mut there, _ann) = busy(&log, &clock);
    log.hold_messages();
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut first = pin!(here.hub.close());
        let mut second = pin!(here.hub.close());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());
    }
    log.release_messages();
    poll_once(here.hub.close()).unwrap().unwrap();
    there.pass(Duration::from_secs(11));
    assert_eq!(there.members(), 0);
}

#[test]
fn a_hub_closes_though_the_log_takes_no_messages() {
    for (fault, recover, expected) in [
        (
            MemoryLog::hold_messages as fn(&MemoryLog),
            MemoryLog::release_messages as fn(&_),
            5..7,
        ),
        (MemoryLog::stall, MemoryLog::recover, 0..1),
    ] {
        let (log, clock) = (MemoryLog::new(), ManualClock::new());
        let (mut here, mut there, _ann) = busy(&log, &clock);
        fault(&log);
        let seconds = close(&mut here);
        assert!(expected.contains(&seconds), "{seconds} s");
        assert_eq!(here.hub.health(), Health::Closed);
        // Its members are gone once it has been silent for its timeout.
        recover(&log);
        there.pass(Duration::from_secs(12));
        assert_eq!(there.members(), 1);
        there.pass(Duration::from_secs(10));
        assert_eq!(there.members(), 0);
    }
}
