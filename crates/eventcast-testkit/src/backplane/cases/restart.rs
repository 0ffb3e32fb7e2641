//! What outlives the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventcast_core::{AppendError, Body, Outcome};
use tokio::task::JoinHandle;

use super::super::harness::Restart;
use super::super::ledger::Ledger;
use super::super::node::{Node, append, body, keyed, wide};
use super::super::pages::read;
use super::super::stage::{Stage, now};
use crate::verdict::ensure;

const BOTH: [Restart; 2] = [Restart::Clean, Restart::Kill];

/// Closed and opened again, a log has the same epoch and the same records, and goes on above them.
pub async fn a_clean_restart_keeps_all(stage: Stage) -> Result<(), String> {
    let mut ledger = Ledger::default();
    let mut node = stage.node().await?;
    let lineage = node.attached.lineage.clone();
    for round in 0..3 {
        node.want(&["a", "b"]).await?;
        node.publish(&mut ledger, "a", vec![body("x"), body(&round.to_string())])
            .await?;
        node.publish(&mut ledger, "b", vec![body("y")]).await?;
        node.given(&ledger).await?;
        node = stage.restart(vec![node], Restart::Clean).await?;
        let found = &node.attached.lineage;
        ensure!(
            *found == lineage,
            "a clean restart makes {lineage:?} to {found:?}"
        );
        holds(&node, &ledger).await?;
    }
    Ok(())
}

/// Killed while it is appending, a log has everything that it acknowledged, at the same positions.
pub async fn a_kill_loses_nothing_acknowledged(stage: Stage) -> Result<(), String> {
    let mut ledger = Ledger::default();
    let flat_out = Arc::default();
    let mut node = stage.node().await?;
    for _ in 0..3 {
        node.want(&["a", "b", "c"]).await?;
        let mut noted = node
            .publish(&mut ledger, "a", vec![body("x"), body("y")])
            .await?;
        for number in 0..50 {
            noted = node
                .publish(&mut ledger, "b", vec![body(&number.to_string())])
                .await?;
        }
        let busy = ["one", "two"].map(|tag| appending(&node, tag, &flat_out));
        let some = noted[0] + 20;
        let reached = node.sink.until_reached(some);
        stage.soon("appends go on", reached).await?;
        // What is answered from here on may or may not outlive the kill.
        let answered = lock(&flat_out).clone();
        let killed = stage.restart(vec![node], Restart::Kill).await;
        busy.iter().for_each(JoinHandle::abort);
        node = killed?;
        let mut all = read(&*node.plane, "c", 0, u64::MAX).await?.records;
        let expected = answered.of("c");
        all.retain(|record| expected.contains(&record.position.sequence()));
        answered.compare(&all, &expected, "c")?;
        holds(&node, &ledger).await?;
    }
    Ok(())
}

/// Appends one after the other to channel `c`, and notes each that is answered.
fn appending(node: &Node, tag: &'static str, answered: &Arc<Mutex<Ledger>>) -> JoinHandle<()> {
    let (plane, answered) = (Arc::clone(&node.plane), Arc::clone(answered));
    tokio::spawn(async move {
        for number in 0..1_000 {
            let bodies = vec![body(&format!("{tag} {number}"))];
            let given = append(&*plane, "c", bodies.clone(), wide(), now()).await;
            let Ok(given) = given else {
                return;
            };
            let noted = lock(&answered).note("c", bodies, &given);
            if noted.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is given after a restart is above all that was ever seen, also what nobody acknowledged.
pub async fn no_sequence_is_given_twice_over_restarts(stage: Stage) -> Result<(), String> {
    let mut node = stage.node().await?;
    for how in [Restart::Kill, Restart::Clean, Restart::Kill, Restart::Kill] {
        node.want(&["a"]).await?;
        let sent = node.text("a", "x").await?;
        stage
            .soon("the sink is given it", node.sink.until_reached(sent))
            .await?;
        let seen = node.sink.reached().max(sent);
        node = stage.restart(vec![node], how).await?;
        ensure!(
            node.attached.committed >= sent,
            "{sent} was acknowledged, and {} is committed after a restart",
            node.attached.committed
        );
        let next = node.text("a", "y").await?;
        ensure!(
            next > seen,
            "after a restart {next} is given; {seen} was seen before it"
        );
    }
    Ok(())
}

/// What was trimmed before a restart is told after it.
pub async fn trim_marks_survive_restarts(stage: Stage) -> Result<(), String> {
    let mut node = stage.node().await?;
    let mut ledger = Ledger::default();
    for how in BOTH {
        for _ in 0..300 {
            let retention = wide().with_count(5);
            ledger
                .publish(&*node.plane, "a", vec![body("x")], retention)
                .await?;
        }
        let before = trim_mark(&stage, &node).await?;
        node = stage.restart(vec![node], how).await?;
        let all = read(&*node.plane, "a", 0, u64::MAX).await?;
        let after = all.trim_mark;
        ensure!(
            after >= before,
            "the trim mark {before} is {after} after a restart"
        );
        let expected: Vec<_> = ledger.after(after);
        ledger.compare(&all.records, &expected, "the channel")?;
        let facts = node.facts("a").await?;
        ensure!(
            facts.last == ledger.last(),
            "the last sequence is {}",
            facts.last
        );
    }
    Ok(())
}

async fn trim_mark(stage: &Stage, node: &Node) -> Result<u64, String> {
    let trimming = async {
        loop {
            node.maintain().await?;
            let mark = read(&*node.plane, "a", 0, u64::MAX).await?.trim_mark;
            if mark > 0 {
                return Ok(mark);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    stage.soon("retention removes something", trimming).await?
}

/// A channel that was completed is so after a restart.
pub async fn completions_survive_restarts(stage: Stage) -> Result<(), String> {
    let mut node = stage.node().await?;
    let mut ledger = Ledger::default();
    let end = Body::Completion(Outcome::Failed("why".into()));
    node.publish(&mut ledger, "a", vec![body("x"), end]).await?;
    for how in BOTH {
        node = stage.restart(vec![node], how).await?;
        let late = append(&*node.plane, "a", vec![body("y")], wide(), now()).await;
        let refused = matches!(late, Err(AppendError::Completed));
        ensure!(
            refused,
            "after a restart an append to a completed channel is answered {late:?}"
        );
        let completion = node.facts("a").await?.completion;
        let completion = completion.ok_or("the completion is forgotten")?;
        ledger.is(&completion, "the fact")?;
    }
    Ok(())
}

/// A key that was published before a restart is known after it.
pub async fn keys_survive_restarts(stage: Stage) -> Result<(), String> {
    let mut node = stage.node().await?;
    let first = append(&*node.plane, "a", vec![keyed("x", "k")], wide(), now()).await;
    let first = first.map_err(|error| format!("{error:?}"))?;
    for how in BOTH {
        node = stage.restart(vec![node], how).await?;
        let again = append(&*node.plane, "a", vec![keyed("x", "k")], wide(), now()).await;
        let again = again.map_err(|error| format!("{error:?}"))?;
        ensure!(
            again == first,
            "a key of {first:?} is answered {again:?} after a restart"
        );
    }
    Ok(())
}

/// Every acknowledged record is there, and its position can be resumed at.
async fn holds(node: &Node, ledger: &Ledger) -> Result<(), String> {
    ensure!(
        node.attached.committed >= ledger.last(),
        "{} was acknowledged, and {} is committed",
        ledger.last(),
        node.attached.committed
    );
    for entry in ledger.entries() {
        let held = node.attached.lineage.holds(entry.position);
        ensure!(held, "{} is lost to a fork", entry.position);
    }
    for channel in ledger.channels() {
        let all = read(&*node.plane, &channel, 0, u64::MAX).await?;
        ledger.compare(&all.records, &ledger.of(&channel), &channel)?;
    }
    Ok(())
}
