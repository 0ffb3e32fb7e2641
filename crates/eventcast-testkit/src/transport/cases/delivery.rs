//! Openings, order, batches.

use std::time::Duration;

use eventcast_core::{Event, Start};

use crate::Faults;
use crate::transport::check::same;
use crate::transport::harness::{Capability, Harness};
use crate::transport::link::{Link, ROOM};
use crate::transport::seen::Seen;
use crate::transport::stage::{Stage, twin};
use crate::verdict::ensure;

/// The first block comes before anything is published, and tells the position that a client cut
/// before its first event resumes from.
pub async fn the_opening_comes_first_and_at_once(harness: &dyn Harness) -> Result<(), String> {
    let mut stage = Stage::new();
    stage.publish_many(&["a", "b"], 5)?;
    let mut link = Link::open(harness, stage.session(&["a", "b"], Start::Live)?);
    let position = stage.hub.position().to_string();
    let seen = link.read().await?;
    let [Seen::Open { id, channels }] = seen.as_slice() else {
        return Err(format!("the connection begins with {seen:?}"));
    };
    ensure!(
        !harness.capabilities().has(Capability::Ids) || *id == Some(position.clone()),
        "the opening tells the position {id:?} instead of {position}"
    );
    let named = channels
        .as_ref()
        .is_none_or(|channels| *channels == ["a", "b"]);
    ensure!(named, "the opening tells the channels {channels:?}");
    stage.publish_many(&["a"], 1)?;
    let opened = |seen: &Seen| matches!(seen, Seen::Open { .. });
    let again = link.read().await?.iter().any(opened);
    ensure!(!again, "the opening comes again");
    Ok(())
}

/// Events come in the order of their ids, each once, as the session delivers them: backlog and
/// live, in batches of all sizes, over several channels.
pub async fn events_come_in_order_each_once(harness: &dyn Harness) -> Result<(), String> {
    let mut stage = Stage::new();
    stage.publish_many(&["a", "b", "other"], 300)?;
    let channels = ["a", "b"];
    let reference = stage.session(&channels, Start::Earliest)?;
    let mut link = Link::open(harness, stage.session(&channels, Start::Earliest)?);
    let mut seen = link.read().await?;
    for count in [1, 2, 3, 64, 65, 130] {
        stage.publish_many(&["b", "other", "a"], count)?;
        seen.extend(link.read().await?);
    }
    same(&seen, &twin(reference), harness.capabilities())
}

/// A batch is flushed before the transport waits for more.
pub async fn a_batch_is_flushed_at_once(harness: &dyn Harness) -> Result<(), String> {
    let mut stage = Stage::new();
    let reference = stage.session(&["a"], Start::Live)?;
    let mut link = Link::open(harness, stage.session(&["a"], Start::Live)?);
    let mut seen = link.read().await?;
    for _ in 0..3 {
        stage.publish_many(&["a"], 2)?;
        seen.extend(link.read().await?);
        let unflushed = link.traffic().unflushed;
        ensure!(
            unflushed == 0,
            "{unflushed} bytes are written but not flushed"
        );
    }
    same(&seen, &twin(reference), harness.capabilities())
}

/// What is ready together is written together: one write for a batch of sixteen.
pub async fn a_batch_is_one_write(harness: &dyn Harness) -> Result<(), String> {
    let mut stage = Stage::new();
    let mut link = Link::open(harness, stage.session(&["a"], Start::Live)?);
    link.read().await?;
    for _ in 0..3 {
        let before = link.traffic().writes;
        stage.publish_many(&["a"], 16)?;
        link.read().await?;
        let writes = link.traffic().writes - before;
        ensure!(writes == 1, "16 events take {writes} writes");
    }
    Ok(())
}

/// An event that is larger than any buffer on its way arrives whole, and what follows it too.
pub async fn a_large_event_arrives_whole(harness: &dyn Harness) -> Result<(), String> {
    for room in [ROOM, 1_000] {
        let mut stage = Stage::new();
        let reference = stage.session(&["a"], Start::Live)?;
        let session = stage.session(&["a"], Start::Live)?;
        let mut link = Link::open_with(harness, session, room, Faults::new());
        for size in [125, 126, 65_535, 65_536, 300_000, 1] {
            stage.publish("a", Event::text("x".repeat(size)))?;
        }
        let seen = link.read().await?;
        same(&seen, &twin(reference), harness.capabilities())?;
    }
    Ok(())
}

/// How long a connection may take to notice that it is over.
pub(super) fn prompt(harness: &dyn Harness) -> Duration {
    harness.heartbeat() * 2 + Duration::from_secs(1)
}
