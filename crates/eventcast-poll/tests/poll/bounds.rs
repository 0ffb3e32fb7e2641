//! How much an answer holds.

use std::sync::Arc;

use eventcast_core::{Event, Hub};
use eventcast_poll::{PollConfig, poll};
use futures_util::FutureExt;
use serde_json::Value;

use crate::support::{NoTimer, at_once, at_once_with, keeping, parse, publish, resume};

/// Polls until nothing more comes; how many objects and bytes each answer had.
fn poll_all(hub: &Hub, config: PollConfig) -> (Vec<(usize, usize)>, Vec<Value>) {
    let config = config.with_wait(std::time::Duration::ZERO);
    let (mut answers, mut all) = (Vec::new(), Vec::new());
    let mut position = "00000007-a0".to_owned();
    loop {
        let text = at_once_with(resume(hub, &["a"], &position), config);
        let mut document = parse(&text);
        let Value::Array(events) = document["events"].take() else {
            panic!("{text}");
        };
        if events.is_empty() {
            return (answers, all);
        }
        position = document["position"].as_str().unwrap().to_owned();
        answers.push((events.len(), text.len()));
        all.extend(events);
    }
}

#[test]
fn the_number_of_events_is_bounded() {
    let hub = keeping(10_000);
    for n in 0..600 {
        publish(&hub, "a", &n.to_string());
    }
    for (config, expected) in [
        (PollConfig::new(), vec![256, 256, 88]),
        (PollConfig::new().with_max_events(500), vec![500, 100]),
        (PollConfig::new().with_max_events(1_000), vec![600]),
        (PollConfig::new().with_max_events(0), vec![1; 600]),
    ] {
        let (answers, all) = poll_all(&hub, config);
        let counts: Vec<_> = answers.into_iter().map(|(count, _)| count).collect();
        assert_eq!(counts, expected);
        let numbers = all.iter().map(|event| event["data"].as_str().unwrap());
        assert!(numbers.eq((0..600).map(|n| n.to_string())));
    }
}

#[test]
fn the_number_of_bytes_is_bounded_and_no_event_is_cut() {
    let hub = keeping(10_000);
    // Escaped, a control character takes six bytes.
    for size in [300_000, 10, 10_000, 100_000, 100_000, 1, 100_000] {
        let text = "\u{1}".repeat(size / 6 + 1);
        hub.try_publish("a", Event::text(text)).unwrap();
    }
    for n in 0..100 {
        publish(&hub, "a", &format!("{n:>10000}"));
    }
    let bound = 256 << 10;
    let (answers, all) = poll_all(&hub, PollConfig::new());
    assert_eq!(all.len(), 107);
    for (count, bytes) in &answers {
        let excess = bytes.saturating_sub(bound);
        assert!(*count == 1 || excess <= 6 * (64 << 10), "{count}: {bytes}");
    }
    let least = all
        .iter()
        .map(|event| event.to_string().len())
        .sum::<usize>()
        / bound;
    assert!(answers.len() <= 2 * least + 2, "{answers:?}");
}

#[test]
fn others_of_the_thread_get_their_turn() {
    let hub = keeping(10_000);
    for n in 0..150 {
        publish(&hub, "a", &n.to_string());
    }
    let session = resume(&hub, &["a"], "00000007-a0");
    let mut answer = poll(session, PollConfig::new(), Arc::new(NoTimer));
    assert!((&mut answer).now_or_never().is_none());
    assert!((&mut answer).now_or_never().is_none());
    assert!((&mut answer).now_or_never().is_some());
}

/// The id of a gap that another channel's events hold back is the position before it. (Gaps that
/// counted would bring this client the same answer for ever.)
#[test]
fn an_answer_goes_on_behind_a_gap() {
    let hub = keeping(2);
    publish(&hub, "b", "1");
    for channel in ["a", "a", "a", "b"] {
        publish(&hub, channel, "x");
    }
    let config = PollConfig::new().with_max_events(1);
    let session = resume(&hub, &["a", "b"], "00000007-a0");
    let expected = concat!(
        r#"{"position":"00000007-a1","events":["#,
        r#"{"type":"gap","id":"00000007-a0","channel":"a","reason":"trimmed"},"#,
        r#"{"id":"00000007-a1","channel":"b","data":"1"}]}"#
    );
    assert_eq!(at_once_with(session, config), expected);
    let rest = parse(&at_once(resume(&hub, &["a", "b"], "00000007-a1")));
    assert_eq!(rest["position"], "00000007-a5");
}
