//! Idempotency keys.

use std::sync::Arc;

use super::super::ledger::Ledger;
use super::super::node::{Node, append, body, keyed, refused, wide};
use super::super::pages::read;
use super::super::stage::{Stage, now};
use crate::verdict::ensure;

async fn publish(
    node: &Node,
    channel: &str,
    bodies: Vec<eventcast_core::Body>,
) -> Result<Vec<u64>, String> {
    let given = append(&*node.plane, channel, bodies, wide(), now()).await;
    let given = given.map_err(|error| refused(channel, &error))?;
    Ok(given
        .into_iter()
        .map(|position| position.sequence())
        .collect())
}

/// A second append with a key stores nothing and is answered the first one's position.
pub async fn a_key_is_stored_once(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    node.want(&["a"]).await?;
    let mut ledger = Ledger::default();
    let first = node
        .publish(&mut ledger, "a", vec![keyed("one", "k")])
        .await?;
    node.publish(&mut ledger, "a", vec![body("two")]).await?;
    for text in ["one", "another"] {
        let again = publish(&node, "a", vec![keyed(text, "k")]).await?;
        ensure!(again == first, "a key of {first:?} is answered {again:?}");
    }
    node.publish(&mut ledger, "a", vec![keyed("three", "k2")])
        .await?;
    node.given(&ledger).await?;
    let all = read(&*node.plane, "a", 0, u64::MAX).await?;
    ledger.compare(&all.records, &ledger.of("a"), "the channel")
}

/// The same key in another channel is another one.
pub async fn a_key_counts_in_its_channel_only(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    node.want(&["a", "ab", "b"]).await?;
    let mut ledger = Ledger::default();
    node.publish(&mut ledger, "a", vec![keyed("one", "bk")])
        .await?;
    node.publish(&mut ledger, "b", vec![keyed("two", "bk")])
        .await?;
    node.publish(&mut ledger, "ab", vec![keyed("three", "k")])
        .await?;
    node.given(&ledger).await
}

/// In a batch each key counts by itself: those that are known have their first positions, the
/// others are stored; a key that comes twice in it is stored once.
pub async fn keys_count_within_and_over_batches(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    node.want(&["a"]).await?;
    let first = publish(&node, "a", vec![keyed("1", "k1"), keyed("2", "k2")]).await?;
    let again = publish(&node, "a", vec![keyed("1", "k1"), keyed("2", "k2")]).await?;
    ensure!(again == first, "a batch of {first:?} is answered {again:?}");
    let mixed = publish(
        &node,
        "a",
        vec![keyed("3", "k3"), keyed("2", "k2"), keyed("4", "k4")],
    )
    .await?;
    ensure!(
        mixed.len() == 3 && mixed[1] == first[1] && first[1] < mixed[0] && mixed[0] < mixed[2],
        "after {first:?} a batch with the second key is answered {mixed:?}"
    );
    let twice = publish(&node, "a", vec![keyed("5", "k5"), keyed("5", "k5")]).await?;
    ensure!(
        twice.len() == 2 && twice[0] == twice[1],
        "a key twice in a batch is answered {twice:?}"
    );
    let stored = read(&*node.plane, "a", 0, u64::MAX).await?.sequences();
    let expected = [first[0], first[1], mixed[0], mixed[2], twice[0]];
    ensure!(
        stored == expected,
        "{stored:?} are stored instead of {expected:?}"
    );
    stage
        .soon("the sink is given all", node.sink.until_reached(twice[0]))
        .await?;
    let given = node.sink.sequences();
    ensure!(
        given == expected,
        "the sink has {given:?} instead of {expected:?}"
    );
    Ok(())
}

/// Many appends with one key at once: one record, and all are answered its position.
pub async fn a_key_published_at_once_is_stored_once(stage: Stage) -> Result<(), String> {
    let (node, other) = stage.two_nodes().await?;
    for round in 0..10 {
        let mut tasks = Vec::new();
        for number in 0..8 {
            let node = Arc::clone(if number % 2 == 0 { &node } else { &other });
            let body = keyed(&number.to_string(), &format!("k{round}"));
            tasks.push(tokio::spawn(async move {
                publish(&node, "a", vec![body]).await
            }));
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.extend(task.await.map_err(|error| error.to_string())??);
        }
        answers.dedup();
        ensure!(answers.len() == 1, "one key is answered {answers:?}");
        let stored = read(&*node.plane, "a", 0, u64::MAX).await?.records.len();
        ensure!(
            stored == round + 1,
            "{stored} records are stored of {} keys",
            round + 1
        );
    }
    Ok(())
}

/// A key that one node published is known to the other.
pub async fn a_key_is_known_to_other_nodes(stage: Stage) -> Result<(), String> {
    let (node, other) = stage.two_nodes().await?;
    let first = publish(&node, "a", vec![keyed("one", "k")]).await?;
    let again = publish(&other, "a", vec![keyed("one", "k")]).await?;
    ensure!(
        again == first,
        "a key of {first:?} is answered {again:?} on the other node"
    );
    Ok(())
}

/// An append whose future was dropped is tried again with its key: one record, whatever became of
/// the first.
pub async fn a_retry_after_a_dropped_append_is_stored_once(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    for number in 0..20_u64 {
        let body = keyed("x", &format!("k{number}"));
        let first = publish(&node, "a", vec![body.clone()]);
        let pause = std::time::Duration::from_micros(number * 20);
        let _ = tokio::time::timeout(pause, first).await;
        let again = publish(&node, "a", vec![body.clone()]).await?;
        let third = publish(&node, "a", vec![body]).await?;
        ensure!(
            again == third,
            "a retry is answered {again:?} and then {third:?}"
        );
    }
    let stored = read(&*node.plane, "a", 0, u64::MAX).await?.records.len();
    ensure!(stored == 20, "{stored} records are stored of 20 keys");
    Ok(())
}
