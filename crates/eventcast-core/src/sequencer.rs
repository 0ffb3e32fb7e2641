//! What a publish holds while it appends: the next sequence, and where the oldest events are.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::dedup::Window;
use crate::ring::{Ring, RingState};
use crate::stored::Timestamp;

#[derive(Default)]
pub(crate) struct Sequencer {
    last: u64,
    last_time: Timestamp,
    pub(crate) published: Window,
    /// The channels by the sequence of their oldest event, as far as known: a hint may be too low.
    oldest: BinaryHeap<Reverse<Oldest>>,
}

impl Sequencer {
    /// The next sequence and its time, which never goes back.
    pub(crate) fn next(&mut self, now: Timestamp) -> (u64, Timestamp) {
        self.last += 1;
        self.last_time = self.last_time.max(now);
        (self.last, self.last_time)
    }

    /// Takes a sequence and a time that another has assigned; the time never goes back.
    pub(crate) fn take(&mut self, sequence: u64, time: Timestamp) -> Timestamp {
        self.last = sequence;
        self.last_time = self.last_time.max(time);
        self.last_time
    }

    /// Moves on to a sequence; `false` when it is not ahead.
    pub(crate) fn move_to(&mut self, sequence: u64) -> bool {
        let is_ahead = sequence > self.last;
        self.last = self.last.max(sequence);
        is_ahead
    }

    /// The last sequence that was given.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The time of the last sequence.
    pub(crate) fn last_time(&self) -> Timestamp {
        self.last_time
    }

    /// Takes the channel that may have the oldest event, with that event's sequence if it is
    /// still there.
    pub(crate) fn pop_oldest(&mut self) -> Option<(u64, Arc<Ring>)> {
        let Reverse(Oldest { sequence, ring }) = self.oldest.pop()?;
        Some((sequence, ring))
    }

    /// Enters a channel that has an event and no entry yet.
    pub(crate) fn index(&mut self, ring: &Arc<Ring>, state: &mut RingState) {
        if state.indexed {
            return;
        }
        if let Some(event) = state.oldest() {
            state.indexed = true;
            self.oldest.push(Reverse(Oldest {
                sequence: event.sequence(),
                ring: Arc::clone(ring),
            }));
        }
    }

    /// Drops the entries of forgotten channels once they are the greater part.
    pub(crate) fn drop_stale(&mut self, channels: usize) {
        if self.oldest.len() > 2 * channels + 64 {
            self.oldest
                .retain(|Reverse(oldest)| !oldest.ring.state.lock().collected);
            self.oldest.shrink_to_fit();
        }
    }
}

struct Oldest {
    sequence: u64,
    ring: Arc<Ring>,
}

impl PartialEq for Oldest {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Oldest {}

impl PartialOrd for Oldest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Oldest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sequence.cmp(&other.sequence)
    }
}
