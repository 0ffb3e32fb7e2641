//! Gaps.

use eventcast_core::{Epoch, Event, Position, Start};

use super::ends::CLOSING;
use crate::Faults;
use crate::transport::check::{before_gap, same};
use crate::transport::harness::{Capability, Harness};
use crate::transport::link::Link;
use crate::transport::seen::Seen;
use crate::transport::stage::{Stage, Watcher, twin};
use crate::verdict::ensure;

/// A gap comes where the lost events would have been, with its reason, its count and the position
/// after it. A wire format without gaps ends the connection there.
pub async fn a_gap_stands_in_its_place(harness: &dyn Harness) -> Result<(), String> {
    let mut stage = Stage::keeping(4);
    let channels = ["a", "b"];
    let reference = stage.session(&channels, Start::Live)?;
    let session = stage.session(&channels, Start::Live)?;
    stage.publish_many(&["b"], 2)?;
    stage.publish_many(&["a", "a", "a", "b"], 20)?;
    stage.publish_many(&["b"], 1)?;
    let reference = match session.sessions.resumes_at() {
        Some(id) if harness.opens_sessions() => stage.resume(&channels, id)?,
        _ => reference,
    };
    let mut link = Link::open(harness, session);
    let seen = link.read().await?;
    let deliveries = twin(reference);
    let capabilities = harness.capabilities();
    if capabilities.has(Capability::Gaps) {
        return same(&seen, &deliveries, capabilities);
    }
    same(&seen, before_gap(&deliveries), capabilities)?;
    link.ended(CLOSING).await
}

/// A resume that cannot be honoured begins with gaps that tell why, and no position of the old
/// log: an id of another epoch, one that was never given, one whose events were trimmed.
pub async fn every_reason_of_a_gap_is_told(harness: &dyn Harness) -> Result<(), String> {
    let mut stage = Stage::keeping(4);
    stage.publish_many(&["a", "b"], 20)?;
    let epoch = stage.hub.position().epoch();
    let elsewhere = Epoch::from_bits(epoch.bits() ^ 1);
    let ids = [
        ("epoch", Position::new(elsewhere, 3).to_string()),
        ("unknown", "no id of ours".to_owned()),
        ("unknown", Position::new(epoch, 1_000).to_string()),
        ("trimmed", Position::new(epoch, 3).to_string()),
    ];
    for (reason, id) in ids {
        let reference = stage.resume(&["a", "b"], &id)?;
        let honoured = reference.session.opening().position;
        let mut link = Link::open(harness, stage.resume(&["a", "b"], &id)?);
        let seen = link.read().await?;
        for seen in &seen {
            if let Seen::Open { id: told, .. } = seen {
                let expected = honoured.map(|position| position.to_string());
                ensure!(
                    *told == expected,
                    "resumed at {id}, the opening tells {told:?} instead of {expected:?}"
                );
            }
        }
        same(&seen, &twin(reference), harness.capabilities())
            .map_err(|found| format!("resumed at {id} ({reason}): {found}"))?;
        let told = |seen: &Seen| matches!(seen, Seen::Gap { reason: told, .. } if told == reason);
        ensure!(
            seen.iter().any(told),
            "resumed at {id}: no gap tells {reason}"
        );
    }
    Ok(())
}

/// A reader that stops costs a bounded number of bytes, whatever is published meanwhile; when it
/// reads on it finds a gap with the exact number, then what is retained. A wire format without
/// gaps ends the connection there.
pub async fn a_stalled_reader_is_bounded_and_finds_a_gap(
    harness: &dyn Harness,
) -> Result<(), String> {
    let mut stage = Stage::keeping(16);
    let session = stage.session(&["a"], Start::Live)?;
    let mut link = Link::open_with(harness, session, 4 << 10, Faults::new());
    let opening = link.read().await?;
    for number in 0..MOST_HELD / EVENT * 4 {
        stage.publish("a", Event::text(format!("{number:>EVENT$}")))?;
        if number % 16 == 0 {
            link.wait().await;
        }
    }
    let capabilities = harness.capabilities();
    let mut watcher = Watcher::new(&["a"], 0, capabilities);
    watcher.see(&opening, &stage)?;
    let seen = link.read().await?;
    watcher.see(&seen, &stage)?;
    let gap = seen
        .iter()
        .position(|seen| matches!(seen, Seen::Gap { .. }));
    let held = payloads(&seen[..gap.unwrap_or(seen.len())]).count() * EVENT;
    ensure!(
        held <= MOST_HELD,
        "{held} bytes were held for a reader that does not read"
    );
    if capabilities.has(Capability::Gaps) {
        ensure!(gap.is_some(), "the stalled reader finds no gap");
        return stage.check(&watcher);
    }
    let contiguous = format!("{:>EVENT$}", payloads(&seen).count().saturating_sub(1));
    ensure!(
        payloads(&seen)
            .last()
            .is_none_or(|last| last == contiguous.as_bytes()),
        "events come after a gap that was not told"
    );
    link.ended(CLOSING).await
}

fn payloads(seen: &[Seen]) -> impl Iterator<Item = &[u8]> {
    seen.iter().filter_map(|seen| match seen {
        Seen::Event(event) => Some(event.payload.as_slice()),
        _ => None,
    })
}

/// More than any batch and buffer of a connection should come to.
const MOST_HELD: usize = 512 << 10;
const EVENT: usize = 1 << 10;
