//! Idle connections, in simulated time.

use std::time::Duration;

use eventcast_core::Start;
use tokio::time::{Instant, sleep};

use super::delivery::prompt;
use crate::transport::check::is_content;
use crate::transport::harness::Harness;
use crate::transport::link::Link;
use crate::transport::seen::Seen;
use crate::transport::stage::{Stage, Watcher};
use crate::transport::wire::Cut;
use crate::verdict::ensure;

/// An idle connection is never silent for longer than its heartbeat, before and after an event,
/// and does not chatter either.
pub async fn idle_connections_give_signs_of_life(harness: &dyn Harness) -> Result<(), String> {
    let heartbeat = harness.heartbeat();
    let step = heartbeat / 20;
    let mut stage = Stage::new();
    let mut link = Link::open(harness, stage.session(&["a"], Start::Live)?);
    let mut silent_since = Instant::now();
    let mut signs = 0;
    for round in 0..200 {
        if round == 70 {
            stage.publish_many(&["a"], 1)?;
        }
        let seen = link.read().await?;
        signs += seen.iter().filter(|seen| is_sign(seen)).count();
        if !seen.is_empty() {
            silent_since = Instant::now();
        }
        let silent = silent_since.elapsed();
        ensure!(
            silent <= heartbeat + step + SLACK,
            "an idle connection is silent for {silent:?}, its heartbeat being {heartbeat:?}"
        );
        sleep(step).await;
    }
    ensure!(
        signs >= 5,
        "{signs} signs of life in ten heartbeats: nothing else keeps it from silence"
    );
    ensure!(signs <= 25, "{signs} signs of life in ten heartbeats");
    Ok(())
}

/// A reader whose channel is quiet is told the position that moved on meanwhile, before the one it
/// had could give a false gap: when it comes back after a cut, nothing is told as lost.
pub async fn a_quiet_reader_is_told_newer_positions(harness: &dyn Harness) -> Result<(), String> {
    let heartbeat = harness.heartbeat();
    let mut stage = Stage::aging(heartbeat, heartbeat * 6);
    let mut watcher = Watcher::new(&["quiet"], 0, harness.capabilities());
    let mut link = Link::open(harness, stage.session(&["quiet"], Start::Live)?);
    watcher.see(&link.read().await?, &stage)?;
    stage.publish_many(&["busy"], 10)?;
    // The busy channel's events become too old, then it is forgotten.
    for _ in 0..20 {
        sleep(heartbeat).await;
        watcher.see(&link.read().await?, &stage)?;
    }
    ensure!(
        stage.hub.stats().channels == 1,
        "the connection ends although it is only quiet"
    );
    link.cut(Cut::Closed);
    link.ended(prompt(harness)).await?;
    let id = watcher.last_id.clone().ok_or("no id comes at all")?;
    let mut link = Link::open(harness, stage.resume(&["quiet"], &id)?);
    let seen = link.read().await?;
    let content = seen.iter().find(|seen| is_content(seen));
    ensure!(
        content.is_none(),
        "resumed at {id}, the last position told, a quiet reader finds {content:?}"
    );
    Ok(())
}

fn is_sign(seen: &Seen) -> bool {
    matches!(seen, Seen::Heartbeat | Seen::Position { .. })
}

/// What looking takes.
const SLACK: Duration = Duration::from_millis(5);
