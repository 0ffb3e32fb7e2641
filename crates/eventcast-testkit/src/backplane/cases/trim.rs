//! What retention removes is told.

use std::time::Duration;

use eventcast_core::{Body, Event, Retention};

use super::super::ledger::Ledger;
use super::super::node::{Node, body, wide};
use super::super::pages::read;
use super::super::stage::Stage;
use crate::verdict::ensure;

/// More than the count: the newest are kept, and what is gone is told.
pub async fn retention_by_count_is_told(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    let retention = wide().with_count(20);
    let (ledger, _) = filled(&node, 300, 10, retention).await?;
    trimmed(&stage, &node, &ledger, 1).await?;
    let kept = read(&*node.plane, "a", 0, u64::MAX).await?.records.len();
    ensure!(kept >= 20, "of the 20 to be kept {kept} are there");
    Ok(())
}

/// More than the bytes, however they are counted.
pub async fn retention_by_bytes_is_told(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    let retention = wide().with_bytes(256 << 10);
    let (ledger, _) = filled(&node, 300, 10_000, retention).await?;
    trimmed(&stage, &node, &ledger, 1).await?;
    let kept = read(&*node.plane, "a", 0, u64::MAX).await?.records.len();
    ensure!(kept >= 1, "not even the newest is kept");
    Ok(())
}

/// Older than the age: all of it goes, and that is told.
pub async fn retention_by_age_is_told(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    let retention = wide().with_age(Duration::from_secs(1));
    let (ledger, last) = filled(&node, 20, 10, retention).await?;
    trimmed(&stage, &node, &ledger, last).await?;
    let facts = node.facts("a").await?;
    ensure!(
        facts.last == last,
        "with all records the last sequence {last} is gone: {facts:?}"
    );
    Ok(())
}

/// What one channel's retention removes is of that channel.
pub async fn trimming_one_channel_leaves_the_others(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    let mut others = Ledger::default();
    node.publish(&mut others, "b", vec![body("x"), body("y")])
        .await?;
    let (ledger, _) = filled(&node, 300, 10, wide().with_count(5)).await?;
    node.publish(&mut others, "b", vec![body("z")]).await?;
    trimmed(&stage, &node, &ledger, 1).await?;
    let all = read(&*node.plane, "b", 0, u64::MAX).await?;
    ensure!(all.trim_mark == 0, "b has the trim mark {}", all.trim_mark);
    others.compare(&all.records, &others.of("b"), "b")
}

async fn filled(
    node: &Node,
    count: usize,
    size: usize,
    retention: Retention,
) -> Result<(Ledger, u64), String> {
    let mut ledger = Ledger::default();
    for number in 0..count {
        let payload = vec![number as u8; size];
        let bodies = vec![Body::Event(Event::binary(payload))];
        ledger.publish(&*node.plane, "a", bodies, retention).await?;
    }
    let last = ledger.last();
    Ok((ledger, last))
}

/// Has the log maintained until channel `a` is trimmed up to a sequence, and checks each time that
/// nothing is gone of which that is not told.
async fn trimmed(stage: &Stage, node: &Node, ledger: &Ledger, up_to: u64) -> Result<(), String> {
    let trimming = async {
        loop {
            node.maintain().await?;
            let all = read(&*node.plane, "a", 0, u64::MAX).await?;
            let expected: Vec<_> = ledger
                .after(0)
                .into_iter()
                .filter(|s| *s > all.trim_mark)
                .collect();
            let first = all.sequences().first().copied();
            // Between two pages more may go; the mark is then higher, never lower.
            ensure!(
                all.sequences().iter().rev().eq(expected.iter().rev()),
                "the trim mark is {}, and the channel has {:?} of {:?}",
                all.trim_mark,
                all.sequences(),
                ledger.after(0)
            );
            let facts = node.facts("a").await?;
            ensure!(
                facts.trim_mark >= all.trim_mark,
                "the page's trim mark is {}, the fact's {}",
                all.trim_mark,
                facts.trim_mark
            );
            ensure!(
                first.is_none_or(|first| first > all.trim_mark),
                "{first:?} is there and called trimmed"
            );
            if all.trim_mark >= up_to.max(ledger.after(0)[0]) {
                let told = facts.trimmed_until.as_millis() > 0;
                ensure!(told, "when the trimmed records are from is not told");
                return Ok::<(), String>(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    stage.soon("retention removes something", trimming).await?
}
