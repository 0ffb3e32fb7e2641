//! How connections end, from either side.

use std::time::Duration;

use eventcast_core::{End, Event, Start};

use super::delivery::prompt;
use crate::Faults;
use crate::transport::check::{is_content, same};
use crate::transport::harness::{Capability, Harness};
use crate::transport::link::{Link, ROOM};
use crate::transport::seen::Seen;
use crate::transport::stage::{Stage, twin};
use crate::transport::wire::Cut;
use crate::verdict::ensure;

const ENDS: [End; 7] = [
    End::Closed,
    End::Completed,
    End::Expired,
    End::Revoked,
    End::Slow,
    End::Draining { retry: None },
    End::Draining {
        retry: Some(Duration::from_secs(3)),
    },
];

/// Begins a connection, gives it an event, ends its session and reads the rest.
async fn end(harness: &dyn Harness, end: End) -> Result<(Stage, Link, Vec<Seen>), String> {
    let mut stage = Stage::new();
    let mut link = Link::open(harness, stage.watched_session("a")?);
    stage.publish_many(&["a"], 1)?;
    let mut seen = link.read().await?;
    ensure!(
        seen.iter().any(is_content) && !link.traffic().closed,
        "the connection ends before its session does"
    );
    link.end(end);
    seen.extend(link.read().await?);
    Ok((stage, link, seen))
}

/// Once the session has ended, the connection closes and the session is dropped.
pub async fn the_end_closes_the_connection(harness: &dyn Harness) -> Result<(), String> {
    for reason in ENDS {
        let (stage, mut link, _) = end(harness, reason).await?;
        link.ended(CLOSING).await?;
        stage.dropped()?;
    }
    Ok(())
}

/// The end is told once, with its reason, as the last thing that comes.
pub async fn the_end_is_told_with_its_reason(harness: &dyn Harness) -> Result<(), String> {
    for expected in ENDS {
        let (_, mut link, mut seen) = end(harness, expected).await?;
        link.ended(CLOSING).await?;
        seen.extend(link.read().await?);
        let ends = seen.iter().filter(|seen| matches!(seen, Seen::End { .. }));
        let (count, last) = (ends.count(), seen.last());
        let told = matches!(last, Some(Seen::End { reason }) if reason == expected.as_str());
        ensure!(
            count == 1 && told,
            "{} comes as {count} ends, the last thing being {last:?}",
            expected.as_str()
        );
    }
    Ok(())
}

/// A channel that is completed, or failed, says so after its last event, to who reads live and to
/// who comes later; when it was the last one, the connection ends, or stays open if its client can
/// subscribe to more.
pub async fn a_completed_channel_is_told_in_its_place(harness: &dyn Harness) -> Result<(), String> {
    for failure in [None, Some("out of \"memory\"")] {
        let mut stage = Stage::new();
        stage.publish_many(&["a", "b"], 4)?;
        let channels = ["a", "b"];
        let reference = stage.session(&channels, Start::Earliest)?;
        let mut link = Link::open(harness, stage.session(&channels, Start::Earliest)?);
        let mut seen = link.read().await?;
        for channel in channels {
            let completed = match failure {
                None => stage.hub.complete(channel),
                Some(reason) => stage.hub.fail(channel, reason),
            };
            completed.map_err(|error| error.to_string())?;
            seen.extend(link.read().await?);
        }
        over(harness, &mut link).await?;
        let deliveries = twin(reference);
        same(&seen, &deliveries, harness.capabilities())?;
        let mut late = Link::open(harness, stage.session(&channels, Start::Earliest)?);
        same(&late.read().await?, &deliveries, harness.capabilities())
            .map_err(|found| format!("to who comes later: {found}"))?;
        over(harness, &mut late).await?;
    }
    Ok(())
}

/// A connection whose channels are all completed ends, if it is of the kind that does.
async fn over(harness: &dyn Harness, link: &mut Link) -> Result<(), String> {
    if harness.capabilities().has(Capability::Finite) {
        return link.ended(CLOSING).await;
    }
    ensure!(
        !link.traffic().closed,
        "the connection ends although its client could subscribe to more"
    );
    Ok(())
}

/// A peer that closes or is reset while nothing happens is noticed within two heartbeats: the
/// connection is over and its session dropped.
pub async fn a_peer_that_is_gone_ends_the_session(harness: &dyn Harness) -> Result<(), String> {
    for how in [Cut::Closed, Cut::Reset] {
        let mut stage = Stage::new();
        let mut link = Link::open(harness, stage.watched_session("a")?);
        stage.publish_many(&["a"], 1)?;
        link.read().await?;
        link.cut(how);
        let ended = link.ended(prompt(harness)).await;
        ended.map_err(|found| format!("the peer is gone ({how:?}): {found}"))?;
        stage.dropped()?;
    }
    Ok(())
}

/// A peer that goes away while a write to it waits is noticed as well.
pub async fn a_peer_gone_during_a_write_ends_the_session(
    harness: &dyn Harness,
) -> Result<(), String> {
    for how in [Cut::Closed, Cut::Reset] {
        let mut stage = Stage::new();
        let session = stage.watched_session("a")?;
        let mut link = Link::open_with(harness, session, 2_000, Faults::new());
        link.read().await?;
        stage.publish("a", Event::text("x".repeat(10_000)))?;
        link.wait().await;
        link.cut(how);
        let ended = link.ended(prompt(harness)).await;
        ended.map_err(|found| format!("the peer is gone ({how:?}): {found}"))?;
        stage.dropped()?;
    }
    Ok(())
}

/// A write that fails, at whatever byte, ends the connection and drops the session.
pub async fn a_failed_write_ends_the_session(harness: &dyn Harness) -> Result<(), String> {
    for bytes in (0..200).step_by(7) {
        let mut stage = Stage::new();
        let faults = Faults::new().with_failure_after(bytes);
        let mut link = Link::open_with(harness, stage.watched_session("a")?, ROOM, faults);
        for _ in 0..10 {
            stage.publish_many(&["a"], 3)?;
            link.read().await?;
        }
        let ended = link.ended(prompt(harness)).await;
        ended.map_err(|found| format!("writes fail after {bytes} bytes: {found}"))?;
        stage.dropped()?;
    }
    Ok(())
}

/// Dropping the connection closes it and drops the session; what was read before stands.
pub async fn a_dropped_connection_drops_its_session(harness: &dyn Harness) -> Result<(), String> {
    let mut stage = Stage::new();
    let mut link = Link::open(harness, stage.watched_session("a")?);
    stage.publish_many(&["a"], 2)?;
    let before = link.read().await?;
    link.drop_server().await;
    stage.publish_many(&["a"], 2)?;
    let after = link.read().await?;
    ensure!(
        before.iter().filter(|seen| is_content(seen)).count() == 2,
        "of two events comes {before:?}"
    );
    same(&after, &[], harness.capabilities())?;
    ensure!(link.traffic().closed, "the stream outlives the connection");
    stage.dropped()
}

/// How long a connection whose session is over may take to close: a handshake has time to fail.
pub(super) const CLOSING: Duration = Duration::from_secs(10);
