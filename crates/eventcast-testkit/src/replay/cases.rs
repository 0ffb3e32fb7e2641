//! What every [`ReplayBuffer`] has to do, sentence by sentence of its contract.
#![allow(
    clippy::missing_errors_doc,
    reason = "the error of each case is what it found"
)]

use std::sync::Arc;

use eventcast_core::ReplayBuffer;

use super::events::{event, fill, holds, is};
use super::{Factory, hub, model};
use crate::verdict::ensure;

/// `push` appends: events come back in the order in which they were pushed, whatever lies between
/// their sequences.
pub fn events_come_back_in_the_order_of_their_pushes(factory: &impl Factory) -> Result<(), String> {
    let mut buffer = factory.make();
    let mut expected = Vec::new();
    for sequence in [1, 2, 3, 10, 11, 1_000, 1 << 40, u64::MAX] {
        buffer.push(event(sequence));
        expected.push(sequence);
        holds(&buffer, &expected)?;
    }
    Ok(())
}

/// `get(0)` is the oldest event, `get(len() - 1)` the newest, `get(len())` and beyond is none; an
/// empty buffer has none at all.
pub fn get_0_is_the_oldest_and_get_len_is_none(factory: &impl Factory) -> Result<(), String> {
    let mut buffer = factory.make();
    for count in 0..5 {
        let length = buffer.len();
        ensure!(length == count, "len() is {length} after {count} pushes");
        is(buffer.get(0), (count > 0).then_some(1), "get(0)")?;
        if let Some(last) = length.checked_sub(1) {
            is(buffer.get(last), Some(count as u64), "get(len() - 1)")?;
        }
        for beyond in [length, length + 1, length + 1_000, usize::MAX] {
            is(buffer.get(beyond), None, &format!("get({beyond})"))?;
        }
        fill(&mut buffer, [count as u64 + 1]);
    }
    Ok(())
}

/// `pop` removes and returns the oldest, and the others move down by one; from an empty buffer it
/// takes nothing.
pub fn pop_removes_the_oldest_and_the_others_move_down(
    factory: &impl Factory,
) -> Result<(), String> {
    let sequences = [2, 3, 50, 51, 52, 7_000];
    let mut buffer = factory.make();
    is(buffer.pop(), None, "pop() of an empty buffer")?;
    fill(&mut buffer, sequences);
    for (popped, sequence) in sequences.iter().enumerate() {
        is(buffer.pop(), Some(*sequence), "pop()")?;
        holds(&buffer, &sequences[popped + 1..])?;
    }
    is(buffer.pop(), None, "pop() of a drained buffer")
}

/// `rank` is how many events have a sequence of at most that: as a look at each of them says, on
/// sparse sequences, between them, at both extremes, and after pops.
pub fn rank_agrees_with_a_linear_scan(factory: &impl Factory) -> Result<(), String> {
    let sequences = [1, 2, 5, 6, 40, 41, 1 << 32, u64::MAX - 1, u64::MAX];
    let mut probes = vec![0, u64::MAX];
    for sequence in sequences {
        probes.extend([sequence - 1, sequence, sequence.saturating_add(1)]);
    }
    let mut buffer = factory.make();
    for pushed in 0..=sequences.len() {
        ranks(&buffer, &sequences[..pushed], &probes)?;
        fill(&mut buffer, sequences.get(pushed).copied());
    }
    for popped in 0..sequences.len() {
        ranks(&buffer, &sequences[popped..], &probes)?;
        drop(buffer.pop());
    }
    ranks(&buffer, &[], &probes)
}

fn ranks(buffer: &impl ReplayBuffer, held: &[u64], probes: &[u64]) -> Result<(), String> {
    for probe in probes {
        let scanned = held.iter().filter(|sequence| *sequence <= probe).count();
        let rank = buffer.rank(*probe);
        ensure!(
            rank == scanned,
            "rank({probe}) is {rank} instead of {scanned}, of {held:?}"
        );
    }
    Ok(())
}

/// Nothing is lost but by `pop`: ten thousand events, as many as a channel keeps by default, are
/// all there, unaltered.
pub fn nothing_is_lost_but_by_pop(factory: &impl Factory) -> Result<(), String> {
    let sequences: Vec<u64> = (1..=10_000).map(|n| n * 3).collect();
    let mut buffer = factory.make();
    fill(&mut buffer, sequences.iter().copied());
    holds(&buffer, &sequences)
}

/// Many sessions read one buffer: `get`, `rank` and `len` change nothing.
pub fn reading_changes_nothing(factory: &impl Factory) -> Result<(), String> {
    let mut buffer = factory.make();
    fill(&mut buffer, 1..=20);
    let expected: Vec<u64> = (1..=20).collect();
    for round in 0..5 {
        for index in (0..20).rev() {
            drop(buffer.get((index * 7 + round) % 20));
            ranks(&buffer, &expected, &[index as u64])?;
        }
        holds(&buffer, &expected)?;
    }
    Ok(())
}

/// `pop` gives the event away: the buffer keeps no hold of it, or its bytes would stay in memory
/// past the hub's bounds.
pub fn a_popped_event_is_let_go(factory: &impl Factory) -> Result<(), String> {
    let mut buffer = factory.make();
    let mut watched = Vec::new();
    for sequence in 1..=200 {
        let event = event(sequence);
        watched.push(Arc::downgrade(&event));
        buffer.push(event);
    }
    while buffer.pop().is_some() {}
    let kept = watched.iter().filter(|event| event.strong_count() > 0);
    let kept = kept.count();
    ensure!(kept == 0, "{kept} of 200 popped events are still held");
    Ok(())
}

/// A drained buffer is an empty one: it takes events again, in the same order.
pub fn a_drained_buffer_takes_events_again(factory: &impl Factory) -> Result<(), String> {
    let mut buffer = factory.make();
    for round in 0..3u64 {
        let sequences: Vec<u64> = (round * 1_000 + 1..=round * 1_000 + 300).collect();
        fill(&mut buffer, sequences.iter().copied());
        holds(&buffer, &sequences)?;
        for sequence in sequences {
            is(buffer.pop(), Some(sequence), "pop()")?;
        }
        holds(&buffer, &[])?;
    }
    Ok(())
}

/// A buffer keeps the events of one channel: two that one factory made share nothing.
pub fn buffers_of_one_factory_share_nothing(factory: &impl Factory) -> Result<(), String> {
    let (mut one, mut other) = (factory.make(), factory.make());
    fill(&mut one, [1, 3]);
    holds(&other, &[])?;
    fill(&mut other, [2, 4]);
    holds(&one, &[1, 3])?;
    is(other.pop(), Some(2), "pop()")?;
    holds(&one, &[1, 3])?;
    holds(&other, &[4])
}

/// Thousands of pushes and pops in random order, from fixed seeds, against a plain `VecDeque`.
pub fn random_pushes_and_pops_agree_with_a_model(factory: &impl Factory) -> Result<(), String> {
    (1..=20).try_for_each(|seed| model::run(&mut factory.make(), seed))
}

/// In a real hub: a session resumes after the id of each event that the buffer holds.
pub fn a_hub_resumes_after_an_id(factory: &impl Factory) -> Result<(), String> {
    hub::resumes_after_an_id(factory)
}

/// In a real hub that keeps a few events: who was away too long and who reads too slowly are told
/// of a gap, and then get all that is left.
pub fn a_hub_tells_what_was_trimmed(factory: &impl Factory) -> Result<(), String> {
    hub::tells_what_was_trimmed(factory)
}
