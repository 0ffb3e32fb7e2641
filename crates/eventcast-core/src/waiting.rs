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
    /// Stands in the shard's queue.
    queued: bool,
    /// The newest pattern subscription that the channel was announced to.
    announced: u64,
    announcement: Option<Announcement>,
}

impl Armed {
    fn take_waiters(&mut self) -> Slab<Waiter> {
        self.generation = self.generation.wrapping_add(1);
        std::mem::take(&mut self.waiters)
    }
}

/// What pattern subscriptions are told of a channel that they do not know: where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// For subscriptions after this generation.
    pub(crate) since: u64,
    /// Begin after this sequence.
    pub(crate) after: u64,
    /// The running number of what follows it.
    pub(crate) number: u64,
    /// The running number of the first ephemeral event.
    pub(crate) ephemeral: u64,
}

/// What a shard has to tell about a channel.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) waiters: Slab<Waiter>,
    pub(crate) announcement: Option<Announcement>,
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

    /// Calls `queue` for each shard that has somebody to tell of an event and is not told already.
    pub(crate) fn queue(&mut self, mut queue: impl FnMut(usize)) {
        for (shard, armed) in self.0.iter_mut().enumerate() {
            let has_news = !armed.waiters.is_empty() || armed.announcement.is_some();
            if has_news && !armed.queued {
                armed.queued = true;
                queue(shard);
            }
        }
    }

    /// Notes that the channel is announced to all pattern subscriptions up to `newest`; returns the
    /// last one that it had been announced to, unless that is the same.
    pub(crate) fn unannounced(&mut self, shard: usize, newest: u64) -> Option<u64> {
        let since = std::mem::replace(&mut self.0[shard].announced, newest);
        (since < newest).then_some(since)
    }

    /// Has the shard announce the channel; of two announcements the earlier one counts.
    pub(crate) fn announce(&mut self, shard: usize, announcement: Announcement) {
        let earlier = self.0[shard].announcement.get_or_insert(announcement);
        earlier.since = earlier.since.min(announcement.since);
    }

    /// Has the next append announced to everybody, for a subscription that no longer waits here.
    pub(crate) fn forget_announced(&mut self, shard: usize) {
        self.0[shard].announced = 0;
    }

    /// Takes what a shard has to tell, to do so outside the lock.
    pub(crate) fn take(&mut self, shard: usize) -> Taken {
        let armed = &mut self.0[shard];
        armed.queued = false;
        Taken {
            waiters: armed.take_waiters(),
            announcement: armed.announcement.take(),
        }
    }

    /// Takes the armed sessions of all shards that will not be told anyhow.
    pub(crate) fn take_waiters(&mut self) -> impl Iterator<Item = Waiter> {
        let untold = self.0.iter_mut().filter(|armed| !armed.queued);
        let waiters = untold.flat_map(Armed::take_waiters);
        waiters.map(|(_, waiter)| waiter)
    }
}
