//! Compares what came over the wire with what a session delivered.

use eventcast_core::{Delivery, Gap, Outcome, PayloadKind, StoredEvent};

use super::harness::{Capabilities, Capability};
use super::seen::{Seen, SeenEvent};
use crate::verdict::ensure;

/// The wire has to have exactly these deliveries in this order; heartbeats, positions, the opening
/// and the end aside.
pub(super) fn same(
    seen: &[Seen],
    deliveries: &[Delivery],
    capabilities: Capabilities,
) -> Result<(), String> {
    let seen: Vec<_> = seen.iter().filter(|seen| is_content(seen)).collect();
    let deliveries = match deliveries {
        [content @ .., Delivery::End(_)] => content,
        content => content,
    };
    for (number, (seen, delivery)) in seen.iter().zip(deliveries).enumerate() {
        one(seen, delivery, capabilities)
            .map_err(|found| format!("delivery {number} of the connection: {found}"))?;
    }
    ensure!(
        seen.len() >= deliveries.len(),
        "only {} of {} deliveries come: {:?} is missing",
        seen.len(),
        deliveries.len(),
        deliveries.get(seen.len())
    );
    ensure!(
        seen.len() == deliveries.len(),
        "{} deliveries come instead of {}: {:?} is too much",
        seen.len(),
        deliveries.len(),
        seen.get(deliveries.len())
    );
    Ok(())
}

/// How much of the deliveries comes before a gap that cannot be told.
pub(super) fn before_gap(deliveries: &[Delivery]) -> &[Delivery] {
    let gap = deliveries
        .iter()
        .position(|delivery| matches!(delivery, Delivery::Gap(_)));
    &deliveries[..gap.unwrap_or(deliveries.len())]
}

pub(super) fn is_content(seen: &Seen) -> bool {
    matches!(
        seen,
        Seen::Completed { .. } | Seen::Event(_) | Seen::Gap { .. }
    )
}

fn one(seen: &Seen, delivery: &Delivery, capabilities: Capabilities) -> Result<(), String> {
    match (seen, delivery) {
        (Seen::Event(seen), Delivery::Event(event)) => event_is(seen, event, capabilities),
        (
            Seen::Gap {
                channel,
                reason,
                missed,
                id,
            },
            Delivery::Gap(gap),
        ) => {
            gap_is(gap, reason, *missed, channel.as_deref())?;
            let expected = gap.position.map(|position| position.to_string());
            ensure!(
                !capabilities.has(Capability::Ids) || *id == expected,
                "{gap} comes with the id {id:?} instead of {expected:?}"
            );
            Ok(())
        }
        (
            Seen::Completed {
                channel,
                failure,
                id,
            },
            Delivery::Completed(end),
        ) => {
            let expected = end.position.map(|position| position.to_string());
            let reason = match &end.outcome {
                Outcome::Complete => None,
                Outcome::Failed(reason) => Some(&**reason),
            };
            ensure!(
                channel.as_deref() == Some(end.channel.as_str())
                    && failure.as_deref() == reason
                    && (!capabilities.has(Capability::Ids) || *id == expected),
                "{end:?} comes as {seen:?}"
            );
            Ok(())
        }
        _ => Err(format!("{seen:?} comes instead of {delivery:?}")),
    }
}

fn gap_is(
    gap: &Gap,
    reason: &str,
    missed: Option<u64>,
    channel: Option<&str>,
) -> Result<(), String> {
    ensure!(
        reason == gap.reason.as_str() && missed == gap.missed,
        "{gap} comes as {reason}, {missed:?} missed"
    );
    ensure!(
        channel == Some(gap.channel.as_str()),
        "{gap} comes as one of the channel {channel:?}"
    );
    Ok(())
}

fn event_is(
    seen: &SeenEvent,
    event: &StoredEvent,
    capabilities: Capabilities,
) -> Result<(), String> {
    let id = event.id().to_string();
    let payload = expected_payload(event, capabilities);
    ensure!(
        seen.payload == payload,
        "event {id} comes with the payload {:?} instead of {:?}",
        shown(&seen.payload),
        shown(&payload)
    );
    ensure!(
        !capabilities.has(Capability::Ids) || seen.id.as_deref() == Some(&id),
        "event {id} comes with the id {:?}",
        seen.id
    );
    ensure!(
        !capabilities.has(Capability::Channels)
            || seen.channel.as_deref() == Some(event.channel().as_str()),
        "event {id} of {} comes with the channel {:?}",
        event.channel(),
        seen.channel
    );
    let name = event.name().map(|name| name.as_str());
    ensure!(
        !capabilities.has(Capability::Names) || seen.name.as_deref() == name,
        "event {id} comes with the name {:?} instead of {name:?}",
        seen.name
    );
    let kind = event.payload().kind();
    ensure!(
        !capabilities.has(Capability::Kinds) || seen.kind == Some(kind),
        "event {id} comes as {:?} instead of {kind:?}",
        seen.kind
    );
    Ok(())
}

/// A payload's beginning, for messages.
pub(super) fn shown(payload: &[u8]) -> String {
    let beginning = &payload[..payload.len().min(80)];
    let text = String::from_utf8_lossy(beginning);
    match payload.len() {
        length if length > beginning.len() => format!("{text}… ({length} bytes)"),
        _ => text.into_owned(),
    }
}

fn expected_payload(event: &StoredEvent, capabilities: Capabilities) -> Vec<u8> {
    let payload = event.payload();
    match payload.as_str() {
        Some(text)
            if payload.kind() == PayloadKind::Text && !capabilities.has(Capability::LineEnds) =>
        {
            text.replace("\r\n", "\n").replace('\r', "\n").into_bytes()
        }
        _ => payload.as_bytes().to_vec(),
    }
}
