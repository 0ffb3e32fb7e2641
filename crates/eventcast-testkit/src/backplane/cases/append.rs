//! Appending.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use eventcast_core::{AppendError, Body, Event, Outcome, Timestamp};

use super::super::ledger::Ledger;
use super::super::node::{append, body, is_sound, keyed, refused, wide};
use super::super::pages::read;
use super::super::stage::{Stage, now};
use super::{joined, publish};
use crate::verdict::ensure;

/// A new log has an epoch and no records.
pub async fn a_new_log_is_empty(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    is_sound(&node.attached)?;
    let names = node.plane.channels("", 0, 10).await;
    let names = names.map_err(|error| format!("{error:?}"))?;
    ensure!(names.is_empty(), "a new log has channels: {names:?}");
    let committed = node.attached.committed;
    let first = node.text("a", "first").await?;
    ensure!(
        first > committed,
        "the first record of a new log is {first}, after {committed}"
    );
    Ok(())
}

/// Ids strictly increase over all channels, and no number is given twice.
pub async fn ids_increase_over_channels(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    node.want(&["a", "b", "c"]).await?;
    let mut ledger = Ledger::default();
    let mut last = node.attached.committed;
    for number in 0..30 {
        let channel = ["a", "b", "c"][number % 3];
        let given = node.publish(&mut ledger, channel, vec![body("x")]).await?[0];
        ensure!(given > last, "{given} is given after {last}");
        last = given;
    }
    let tasks = ["one", "two", "three"].map(|tag| publish(&node.plane, tag, &["a", "b"], 50, 1));
    ledger.merge(joined(tasks.into()).await?)?;
    node.given(&ledger).await
}

/// The same over nodes: what is appended after an answer is above it, wherever.
pub async fn ids_increase_over_nodes(stage: Stage) -> Result<(), String> {
    let (one, other) = stage.two_nodes().await?;
    ensure!(
        one.attached.lineage == other.attached.lineage,
        "two nodes are told different epochs"
    );
    one.want(&["a"]).await?;
    other.want(&["a"]).await?;
    let mut ledger = Ledger::default();
    let mut last = 0;
    for number in 0..40 {
        let node = if number % 2 == 0 { &one } else { &other };
        let given = node.publish(&mut ledger, "a", vec![body("x")]).await?[0];
        ensure!(given > last, "{given} is given after {last}");
        last = given;
    }
    let tasks = [(&one, "one"), (&other, "other")];
    let tasks = tasks.map(|(node, tag)| publish(&node.plane, tag, &["a"], 50, 1));
    ledger.merge(joined(tasks.into()).await?)?;
    one.given(&ledger).await?;
    other.given(&ledger).await
}

/// A batch lies together in the log, in its order, whoever publishes at the same time.
pub async fn a_batch_lies_together(stage: Stage) -> Result<(), String> {
    let (node, other) = stage.two_nodes().await?;
    node.want(&["a", "b"]).await?;
    let tasks = vec![
        publish(&node.plane, "one", &["a"], 40, 5),
        publish(&node.plane, "two", &["a", "b"], 40, 5),
        publish(&other.plane, "three", &["b"], 40, 5),
    ];
    let ledger = joined(tasks).await?;
    node.given(&ledger).await?;
    let texts: Vec<_> = ledger.entries().filter_map(text).collect();
    for batch in texts.chunks(5) {
        let first = batch[0].rsplit_once(' ').map(|(batch, _)| batch);
        for (n, text) in batch.iter().enumerate() {
            let (of, number) = text.rsplit_once(' ').unwrap_or_default();
            let together = Some(of) == first && number == n.to_string();
            ensure!(together, "a batch does not lie together: {batch:?}");
        }
    }
    Ok(())
}

fn text(entry: &super::super::ledger::Entry) -> Option<String> {
    match &entry.body {
        Body::Event(event) => event.payload().as_str().map(str::to_owned),
        Body::Completion(_) => None,
    }
}

/// A batch of which one is too large is refused as a whole, and the log goes on.
pub async fn a_refused_batch_stores_nothing(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    node.want(&["a"]).await?;
    let mut ledger = Ledger::default();
    node.publish(&mut ledger, "a", vec![body("before")]).await?;
    let size = stage.harness.refused_payload().unwrap_or(usize::MAX);
    let large = Body::Event(Event::binary(vec![7; size]));
    let bodies = vec![body("small"), large, body("small")];
    match append(&*node.plane, "a", bodies, wide(), now()).await {
        Err(AppendError::TooLarge { .. }) => {}
        other => return Err(format!("{size} bytes are answered {other:.200?}")),
    }
    node.publish(&mut ledger, "a", vec![body("after")]).await?;
    node.given(&ledger).await?;
    let all = read(&*node.plane, "a", 0, u64::MAX).await?;
    ledger.compare(&all.records, &ledger.of("a"), "the channel")
}

/// A record's time is never before that of one with a lower sequence, nor before the time of its
/// publishing.
pub async fn times_never_go_back(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    node.want(&["a", "b"]).await?;
    let start = now().as_millis();
    let mut last = 0;
    for back in [0, 5_000, 100, 60_000] {
        for channel in ["a", "b"] {
            let time = Timestamp::from_millis(start - back);
            let given = append(&*node.plane, channel, vec![body("x")], wide(), time).await;
            last = given.map_err(|error| refused(channel, &error))?[0].sequence();
        }
    }
    let reached = node.sink.until_reached(last);
    stage.soon("the sink is given all", reached).await?;
    let records = node.sink.records();
    let times: Vec<_> = records.iter().map(|r| r.time.as_millis()).collect();
    ensure!(
        times.is_sorted() && times[0] >= start,
        "published at {start} and before, the times are {times:?}"
    );
    for channel in ["a", "b"] {
        for record in read(&*node.plane, channel, 0, u64::MAX).await?.records {
            let same = records.contains(&record);
            ensure!(same, "the page has {record:?}, the sink has another");
        }
    }
    Ok(())
}

/// Texts, JSON and bytes, empty and as large as the log has to take, with and without names and
/// keys: sink and page give them back equal.
pub async fn what_is_published_comes_back_equal(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    node.want(&["a", "ü/\u{1f600} %2F\"'\\"]).await?;
    let json = Bytes::from_static(b"\x01\x01\x00\x00\x00{\"a\": [1.0, \"\\u0000\"]}");
    let json = Body::decode(json).map_err(|error| error.to_string())?;
    let long = "k".repeat(eventcast_core::Key::MAX_LEN);
    let full = Event::text("a\r\nb\0\u{2028}\u{1f600}")
        .named("n".repeat(eventcast_core::EventName::MAX_LEN).as_str())
        .and_then(|event| event.keyed(long.as_str()))
        .and_then(|event| event.with_idempotency_key("ä b:{}*"))
        .map_err(|error| error.to_string())?;
    let largest: Vec<u8> = (0..stage.harness.largest_payload())
        .map(|n| ((n * 31) >> 3) as u8)
        .collect();
    let bodies = vec![
        body(""),
        Body::Event(Event::binary(Vec::new())),
        Body::Event(Event::binary((0..=255).collect::<Vec<u8>>())),
        json,
        Body::Event(full),
        keyed("", &long),
        Body::Event(Event::binary(largest)),
    ];
    let mut ledger = Ledger::default();
    for channel in ["a", "ü/\u{1f600} %2F\"'\\"] {
        for body in &bodies {
            node.publish(&mut ledger, channel, vec![body.clone()])
                .await?;
        }
        node.publish(&mut ledger, channel, bodies[..4].to_vec())
            .await?;
        let end = Body::Completion(Outcome::Failed("why\n\"ü\"".into()));
        node.publish(&mut ledger, channel, vec![end]).await?;
        let all = read(&*node.plane, channel, 0, u64::MAX).await?;
        ledger.compare(&all.records, &ledger.of(channel), "the page")?;
    }
    node.given(&ledger).await
}

/// An append whose future is dropped, however early, is stored whole and once, or not at all, and
/// the log goes on.
pub async fn a_dropped_append_is_stored_whole_or_not(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    node.want(&["a"]).await?;
    for polls in 0..12_usize {
        let bodies = (0..3)
            .map(|n| body(&format!("dropped {polls} {n}")))
            .collect();
        let mut appending = pin!(append(&*node.plane, "a", bodies, wide(), now()));
        for _ in 0..polls {
            let done = poll_fn(|cx| Poll::Ready(appending.as_mut().poll(cx).is_ready())).await;
            if done {
                break;
            }
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }
    let last = node.text("a", "last").await?;
    stage
        .soon("the sink is given all", node.sink.until_reached(last))
        .await?;
    // One that was sent may still come: what is there now must be whole.
    let all = read(&*node.plane, "a", 0, last).await?;
    let texts: Vec<_> = all.records.iter().filter_map(payload).collect();
    for polls in 0..12 {
        let of = format!("dropped {polls} ");
        let found: Vec<_> = texts.iter().filter(|t| t.starts_with(&of)).collect();
        let expected: Vec<_> = (0..3).map(|n| format!("{of}{n}")).collect();
        let whole = found.is_empty() || found.into_iter().eq(&expected);
        ensure!(whole, "of a dropped append there is {texts:?}");
    }
    node.sink.check()?;
    let records = Arc::clone(&node.sink).records();
    let given: Vec<_> = records.iter().filter_map(payload).collect();
    ensure!(
        given[..texts.len()] == texts[..],
        "the sink has {given:?}, pages {texts:?}"
    );
    Ok(())
}

fn payload(record: &eventcast_core::Record) -> Option<String> {
    match &record.body {
        Body::Event(event) => event.payload().as_str().map(str::to_owned),
        Body::Completion(_) => None,
    }
}
