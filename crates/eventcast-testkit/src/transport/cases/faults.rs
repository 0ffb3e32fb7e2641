//! Streams that take little at a time.

use eventcast_core::{Event, Start};

use crate::Faults;
use crate::transport::check::same;
use crate::transport::harness::Harness;
use crate::transport::link::{Link, ROOM};
use crate::transport::stage::{Stage, twin};

async fn nothing_changes(harness: &dyn Harness, room: usize, faults: Faults) -> Result<(), String> {
    let mut stage = Stage::new();
    stage.publish_many(&["a"], 70)?;
    let reference = stage.session(&["a"], Start::Earliest)?;
    let session = stage.session(&["a"], Start::Earliest)?;
    let mut link = Link::open_with(harness, session, room, faults);
    let mut seen = link.read().await?;
    for length in [0, 1, 300] {
        stage.publish("a", Event::text("y".repeat(length)))?;
        seen.extend(link.read().await?);
    }
    same(&seen, &twin(reference), harness.capabilities())
}

/// A stream that takes one byte a write, or a few, gets the same bytes in the same order.
pub async fn short_writes_change_nothing(harness: &dyn Harness) -> Result<(), String> {
    for bytes in [1, 2, 7, 100] {
        let faults = Faults::new()
            .with_short_writes(bytes)
            .with_short_reads(bytes);
        nothing_changes(harness, ROOM, faults).await?;
    }
    nothing_changes(harness, 3, Faults::new()).await
}

/// A stream that makes its writer wait at every other byte or flush, or now and then, gets the same
/// bytes in the same order.
pub async fn pauses_at_every_byte_change_nothing(harness: &dyn Harness) -> Result<(), String> {
    // Half of all polls, without a period: who polls twice a turn would always meet the same half.
    let half = |poll: u64| poll.count_ones().is_multiple_of(2);
    let faults = Faults::new().with_short_writes(1).with_short_reads(1);
    nothing_changes(harness, ROOM, faults.with_pending(half)).await?;
    let now_and_then = |poll: u64| poll % 7 < 3;
    nothing_changes(harness, ROOM, Faults::new().with_pending(now_and_then)).await
}
