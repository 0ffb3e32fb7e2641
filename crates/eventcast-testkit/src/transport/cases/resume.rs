//! Resuming, after a cut at every byte.

use eventcast_core::{Epoch, Position, Start};

use crate::transport::check::same;
use crate::transport::harness::Harness;
use crate::transport::link::Link;
use crate::transport::sessions::Seat;
use crate::transport::stage::{Stage, Watcher, twin};
use crate::transport::wire::Cut;
use crate::verdict::ensure;

const CHANNELS: [&str; 2] = ["a", "b"];

/// A client that resumes with the last id it saw gets exactly the rest, wherever it stopped.
pub async fn a_resume_brings_exactly_the_rest(harness: &dyn Harness) -> Result<(), String> {
    let mut stage = Stage::new();
    stage.publish_many(&["a", "other", "b"], 30)?;
    let first = stage.session(&CHANNELS, Start::Earliest)?;
    let ids = twin(stage.session(&CHANNELS, Start::Earliest)?);
    let seen = Link::open(harness, first).read().await?;
    let ids_seen = seen.iter().filter_map(|seen| seen.id());
    let mut resumed = 0;
    for id in ids_seen {
        let reference = twin(stage.resume(&CHANNELS, id)?);
        let mut link = Link::open(harness, stage.resume(&CHANNELS, id)?);
        let rest = link.read().await?;
        same(&rest, &reference, harness.capabilities())
            .map_err(|found| format!("resumed at {id}: {found}"))?;
        resumed += 1;
    }
    ensure!(
        resumed >= ids.len(),
        "only {resumed} ids to resume from come with {} events",
        ids.len()
    );
    Ok(())
}

/// Cut after any number of bytes, a client that comes back with the last id it read loses nothing
/// and sees nothing twice; one that read none begins anew.
pub async fn a_cut_at_any_byte_loses_and_doubles_nothing(
    harness: &dyn Harness,
) -> Result<(), String> {
    let mut stage = Stage::new();
    stage.publish_many(&CHANNELS, 5)?;
    cut_everywhere(harness, &stage, None, 0).await
}

/// The same where the connection begins with gaps: a cut may repeat them, but leaves none of the
/// lost events untold, and none of another channel's events that stand between them undelivered.
pub async fn a_cut_at_any_byte_of_a_gap_leaves_nothing_untold(
    harness: &dyn Harness,
) -> Result<(), String> {
    let mut stage = Stage::keeping(3);
    stage.publish_many(&["b", "a", "a", "a"], 14)?;
    let epoch = stage.hub.position().epoch();
    let elsewhere = Epoch::from_bits(epoch.bits() ^ 1);
    for (epoch, sequence, start) in [(epoch, 1, 1), (elsewhere, 5, 0)] {
        let id = Position::new(epoch, sequence).to_string();
        cut_everywhere(harness, &stage, Some(&id), start).await?;
    }
    Ok(())
}

async fn cut_everywhere(
    harness: &dyn Harness,
    stage: &Stage,
    resumed: Option<&str>,
    start: u64,
) -> Result<(), String> {
    for bytes in (0..).step_by(harness.cut_step()) {
        let mut watcher = Watcher::new(&CHANNELS, start, harness.capabilities());
        watcher.last_id = resumed.map(str::to_owned);
        let whole = cut_after(harness, stage, &mut watcher, bytes)
            .await
            .map_err(|found| format!("cut after {bytes} bytes: {found}"))?;
        if whole {
            return Ok(());
        }
    }
    Ok(())
}

/// One client, cut once; `true` when the connection was read to its last byte before.
async fn cut_after(
    harness: &dyn Harness,
    stage: &Stage,
    watcher: &mut Watcher,
    bytes: usize,
) -> Result<bool, String> {
    let mut link = Link::open(harness, session(stage, watcher)?);
    let (seen, read) = link.read_bytes(bytes).await?;
    link.cut(Cut::Closed);
    watcher.see(&seen, stage)?;
    let mut link = Link::open(harness, session(stage, watcher)?);
    watcher.see(&link.read().await?, stage)?;
    stage.check(watcher)?;
    Ok(read < bytes)
}

fn session(stage: &Stage, watcher: &Watcher) -> Result<Seat, String> {
    match &watcher.last_id {
        Some(id) => stage.resume(&CHANNELS, id),
        None => stage.session(&CHANNELS, Start::Earliest),
    }
}
