//! The log in memory does what a test tells it to.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use eventcast_core::{
    Append, AppendError, Attached, Backplane, Body, ChannelName, Event, OutcomeKnown, PageQuery,
    Position, ReplayStore, Retention, Sink, Timestamp,
};
use eventcast_testkit::{AppendFault, MemoryLog, MemoryNode, RecordedSink, SinkCall, poll_once};

fn name(channel: &str) -> ChannelName {
    ChannelName::new(channel).unwrap()
}

fn text(channel: &str, count: usize) -> Append {
    Append {
        channel: name(channel),
        bodies: (0..count)
            .map(|n| Body::Event(Event::text(n.to_string())))
            .collect(),
        retention: Retention::new(),
        time: Timestamp::from_millis(1_000),
    }
}

fn publish(node: &MemoryNode, channel: &str, count: usize) -> Vec<u64> {
    let positions = poll_once(node.append(text(channel, count)))
        .unwrap()
        .unwrap();
    positions.into_iter().map(Position::sequence).collect()
}

fn attach(node: &MemoryNode) -> (Arc<RecordedSink>, Attached) {
    let sink = Arc::new(RecordedSink::new());
    let attached = poll_once(node.attach(Arc::clone(&sink) as Arc<dyn Sink>));
    (sink, attached.unwrap().unwrap())
}

fn everything() -> PageQuery {
    PageQuery {
        after: 0,
        until: u64::MAX,
        limit: 100,
        bytes: PageQuery::MAX_BYTES,
        backwards: false,
    }
}

fn page(node: &MemoryNode, channel: &str) -> (Vec<u64>, u64) {
    let page = poll_once(node.page(&name(channel), everything()))
        .unwrap()
        .unwrap();
    let records = page.records.iter();
    let sequences = records.map(|record| record.position.sequence());
    (sequences.collect(), page.trim_mark)
}

#[test]
fn a_stalled_node_waits_and_is_then_given_what_it_missed() {
    let log = MemoryLog::new();
    let (here, there) = (log.node(), log.node());
    let (sink, _) = attach(&here);
    here.stall();
    let mut cx = Context::from_waker(Waker::noop());
    let mut append = pin!(here.append(text("a", 1)));
    assert!(append.as_mut().poll(&mut cx).is_pending());
    assert_eq!(publish(&there, "a", 2), [1, 2]);
    assert!(sink.sequences().is_empty() && sink.is_stalled());
    here.recover();
    assert_eq!(
        sink.calls()[..2],
        [SinkCall::Stalled, SinkCall::Recovered],
        "told before it goes on"
    );
    assert!(matches!(append.poll(&mut cx), Poll::Ready(Ok(_))));
    assert_eq!(sink.sequences(), [1, 2, 3]);
    assert_eq!(sink.check(), Ok(()));
}

#[test]
fn appends_fail_as_told() {
    let log = MemoryLog::new();
    let node = log.node();
    let cases = [
        (AppendFault::NotStored, OutcomeKnown::NotStored, 0),
        (AppendFault::UnknownLost, OutcomeKnown::Unknown, 0),
        (AppendFault::UnknownStored, OutcomeKnown::Unknown, 1),
    ];
    for (fault, expected, stored) in cases {
        let before = log.len();
        log.fail_next(fault);
        let failed = poll_once(node.append(text("a", 1))).unwrap();
        let Err(AppendError::Unavailable { outcome, .. }) = failed else {
            panic!("{fault:?}: {failed:?}");
        };
        assert_eq!((outcome, log.len() - before), (expected, stored));
    }
    log.fail_next(AppendFault::Full);
    let failed = poll_once(node.append(text("a", 1))).unwrap();
    assert!(matches!(failed, Err(AppendError::Full(_))), "{failed:?}");
    publish(&node, "a", 1);
}

#[test]
fn what_is_held_waits_until_it_is_released() {
    let log = MemoryLog::new();
    let node = log.node();
    let (sink, _) = attach(&node);
    let mut cx = Context::from_waker(Waker::noop());

    log.hold_pages();
    let channel = name("a");
    let mut read = pin!(node.page(&channel, everything()));
    assert!(read.as_mut().poll(&mut cx).is_pending());
    assert_eq!(log.waiting_pages(), 1);
    publish(&node, "a", 1);
    log.release_pages();
    let Poll::Ready(Ok(page)) = read.poll(&mut cx) else {
        panic!("the page still waits");
    };
    assert_eq!((page.records.len(), log.waiting_pages()), (1, 0));

    log.hold_answers();
    let mut append = pin!(node.append(text("a", 1)));
    assert!(append.as_mut().poll(&mut cx).is_pending());
    assert_eq!(sink.sequences(), [1, 2], "stored and seen");
    log.release_answers();
    assert!(append.poll(&mut cx).is_ready());

    log.hold_records();
    publish(&node, "a", 2);
    assert_eq!(sink.sequences(), [1, 2]);
    log.release_records();
    assert_eq!(sink.sequences(), [1, 2, 3, 4]);
}

#[test]
fn lost_records_are_told_and_read_in_pages() {
    let log = MemoryLog::new();
    let node = log.node();
    let (sink, _) = attach(&node);
    publish(&node, "a", 1);
    log.lose_records();
    publish(&node, "a", 2);
    log.tell_skipped();
    publish(&node, "a", 1);
    assert_eq!((sink.sequences(), sink.skips()), (vec![1, 4], vec![3]));
    assert_eq!(page(&node, "a").0, [1, 2, 3, 4]);
}

#[test]
fn a_fork_loses_the_tail_and_goes_on_above_it() {
    let log = MemoryLog::new();
    let node = log.node();
    let (sink, attached) = attach(&node);
    publish(&node, "a", 3);
    let lineage = log.fork(2);
    let old = attached.lineage.epoch();
    assert!(lineage.holds(Position::new(old, 1)) && !lineage.holds(Position::new(old, 2)));
    assert_eq!(sink.forks(), std::slice::from_ref(&lineage));
    let next = publish(&node, "a", 1)[0];
    assert!(next >= lineage.first() && next > 3);
    assert_eq!(page(&node, "a").0, [1, next]);
    assert_eq!(sink.check(), Ok(()));
}

#[test]
fn what_is_trimmed_is_told() {
    let log = MemoryLog::new();
    let node = log.node();
    publish(&node, "a", 2);
    publish(&node, "b", 2);
    log.trim_to(3);
    assert_eq!(page(&node, "a"), (vec![], 2));
    assert_eq!(page(&node, "b"), (vec![4], 3));
    assert_eq!(attach(&node).1.floor, 3);

    let mut append = text("c", 5);
    append.retention = Retention::new()
        .with_count(2)
        .with_age(Duration::from_secs(1));
    poll_once(node.append(append)).unwrap().unwrap();
    assert_eq!(page(&node, "c"), (vec![8, 9], 7));
    let later = Timestamp::from_millis(2_000);
    poll_once(node.maintain(later)).unwrap().unwrap();
    assert_eq!(page(&node, "c"), (vec![], 9));
}

#[test]
fn what_nobody_wants_moves_the_watermark() {
    let log = MemoryLog::new().leaving_out_unwanted();
    let node = log.node();
    let (sink, _) = attach(&node);
    publish(&node, "a", 1);
    assert_eq!(poll_once(node.want(&name("a"), true)).unwrap().unwrap(), 1);
    publish(&node, "a", 1);
    publish(&node, "b", 1);
    assert_eq!((sink.sequences(), sink.reached()), (vec![2], 3));
}

#[test]
fn a_closed_node_fails_and_lets_go_of_its_sink() {
    let log = MemoryLog::new();
    let node = log.node();
    let (sink, _) = attach(&node);
    poll_once(node.close()).unwrap().unwrap();
    assert_eq!(Arc::strong_count(&sink), 1);
    assert!(poll_once(node.append(text("a", 1))).unwrap().is_err());
    assert!(
        poll_once(node.page(&name("a"), everything()))
            .unwrap()
            .is_err()
    );
}
