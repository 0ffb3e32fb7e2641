//! Events to fill buffers with, and comparing what comes back.

use std::sync::Arc;

use eventcast_core::{ChannelName, Epoch, Event, Position, ReplayBuffer, StoredEvent, Timestamp};

use crate::verdict::ensure;

/// An event whose every part depends on its sequence.
pub(super) fn event(sequence: u64) -> Arc<StoredEvent> {
    let event = match sequence % 3 {
        0 => Event::binary(sequence.to_be_bytes().to_vec()),
        1 => Event::text(format!("text {sequence}")),
        _ => Event::text("")
            .named(format!("name-{sequence}").as_str())
            .expect("a valid name"),
    };
    let channel = ChannelName::new("conformance").expect("a valid name");
    let position = Position::new(Epoch::from_bits(7), sequence);
    Arc::new(StoredEvent::new(
        position,
        Timestamp::from_millis(sequence / 2),
        channel,
        event,
    ))
}

pub(super) fn fill(buffer: &mut impl ReplayBuffer, sequences: impl IntoIterator<Item = u64>) {
    for sequence in sequences {
        buffer.push(event(sequence));
    }
}

/// Compares everything that the buffer shows with what it should hold.
pub(super) fn holds(buffer: &impl ReplayBuffer, expected: &[u64]) -> Result<(), String> {
    let length = buffer.len();
    ensure!(
        length == expected.len(),
        "len() is {length} where {} events should be",
        expected.len()
    );
    for (index, sequence) in expected.iter().enumerate() {
        is(buffer.get(index), Some(*sequence), &format!("get({index})"))?;
    }
    is(buffer.get(length), None, "get(len())")
}

/// Compares one event whole.
pub(super) fn is(
    found: Option<Arc<StoredEvent>>,
    expected: Option<u64>,
    what: &str,
) -> Result<(), String> {
    match (found, expected) {
        (None, None) => Ok(()),
        (Some(found), None) => Err(format!("{what} gives {} instead of none", found.sequence())),
        (None, Some(expected)) => Err(format!("{what} gives none instead of {expected}")),
        (Some(found), Some(expected)) => {
            let sequence = found.sequence();
            ensure!(
                sequence == expected,
                "{what} gives {sequence} instead of {expected}"
            );
            let whole = event(expected);
            ensure!(
                found.id() == whole.id()
                    && found.time() == whole.time()
                    && found.channel() == whole.channel()
                    && found.name() == whole.name()
                    && found.payload() == whole.payload(),
                "{what} gives an altered event: {found:?} instead of {whole:?}"
            );
            Ok(())
        }
    }
}
