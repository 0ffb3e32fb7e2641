//! The sessions that wait for a channel, by shard.

use std::sync::Arc;

use slab::Slab;

use crate::session::{Signal, Slot};

#[derive(Debug)]
pub(crate) struct Waiting(Box<[Armed]>);

/// The armed sessions of one shard.
#[derive(Debug, Default)]
struct Armed {
    waiters: Slab<Waiter>,
    /// Counts how often the armed ones were taken, which makes their keys stale.
    generation: u32,
    queued: Queued,
}

/// For what the channel stands in the shard's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Queued {
    #[default]
    No,
    /// For an ephemeral event only, which holds no position back.
    Ephemeral,
    /// For an event, whose sequence the shard was given.
    Event,
}

#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) signal: Arc<Signal>,
    pub(crate) slot: Slot,
}

/// A session's place among the armed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArmKey {
    key: usize,
    generation: u32,
}

impl Waiting {
    pub(crate) fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| Armed::default()).collect())
    }

    /// Has the session marked at the next append. Only right while the ring holds nothing above
    /// the session's cursor, in the critical section that saw so.
    pub(crate) fn arm(&mut self, shard: usize, signal: &Arc<Signal>, slot: Slot) -> ArmKey {
        let armed = &mut self.0[shard];
        let waiter = Waiter {
            signal: Arc::clone(signal),
            slot,
        };
        ArmKey {
            key: armed.waiters.insert(waiter),
            generation: armed.generation,
        }
    }

    pub(crate) fn disarm(&mut self, shard: usize, key: ArmKey) {
        let armed = &mut self.0[shard];
        if armed.generation == key.generation {
            armed.waiters.remove(key.key);
            if armed.waiters.is_empty() {
                armed.waiters.shrink_to_fit();
            }
        }
    }

    /// Calls `queue` for each shard that has to be told of an event.
    pub(crate) fn queue_event(&mut self, queue: impl FnMut(usize)) {
        self.queue(Queued::Event, queue);
    }

    /// Calls `queue` for each shard that has to be told of an ephemeral event.
    pub(crate) fn queue_ephemeral(&mut self, queue: impl FnMut(usize)) {
        self.queue(Queued::Ephemeral, queue);
    }

    /// Takes the armed sessions of a shard, to mark them outside the lock.
    pub(crate) fn take(&mut self, shard: usize) -> Slab<Waiter> {
        let armed = &mut self.0[shard];
        armed.queued = Queued::No;
        armed.generation = armed.generation.wrapping_add(1);
        std::mem::take(&mut armed.waiters)
    }

    fn queue(&mut self, reason: Queued, mut queue: impl FnMut(usize)) {
        for (shard, armed) in self.0.iter_mut().enumerate() {
            let is_told = armed.queued == Queued::Event || armed.queued == reason;
            if !is_told && !armed.waiters.is_empty() {
                armed.queued = reason;
                queue(shard);
            }
        }
    }
}
