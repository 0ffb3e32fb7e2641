//! A channel inside the hub: its retained events, its trim mark, and who waits for more.

use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use smallvec::SmallVec;

use crate::name::ChannelName;
use crate::replay::{ReplayBuffer, Retention};
use crate::session::{Signal, Slot};
use crate::stored::{StoredEvent, Timestamp};
use crate::sync::Mutex;

/// Events to be dropped once the locks are released.
pub(crate) type Dead = SmallVec<[Arc<StoredEvent>; 4]>;

#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) name: ChannelName,
    pub(crate) state: Mutex<RingState>,
}

#[derive(Debug)]
pub(crate) struct RingState {
    buffer: Box<dyn ReplayBuffer>,
    /// The last sequence that is no longer retained.
    trim_mark: u64,
    /// How many events were ever trimmed.
    trimmed: u64,
    charged: u64,
    subscribers: usize,
    /// Since when the channel is empty and without subscribers.
    idle_since: Option<Timestamp>,
    /// No longer in the hub's map: whoever holds it has to look its name up again.
    pub(crate) collected: bool,
    /// Has an entry in the hub's index of oldest events.
    pub(crate) indexed: bool,
    waiting: Box<[Waiting]>,
}

/// The armed sessions of one shard.
#[derive(Debug, Default)]
struct Waiting {
    armed: Slab<Waiter>,
    /// Counts how often the armed ones were taken, which makes their keys stale.
    generation: u32,
    /// Whether the channel stands in the shard's queue.
    queued: bool,
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

impl Ring {
    pub(crate) fn new(
        name: ChannelName,
        buffer: Box<dyn ReplayBuffer>,
        floor: u64,
        shards: usize,
    ) -> Self {
        let state = RingState {
            buffer,
            trim_mark: floor,
            trimmed: 0,
            charged: 0,
            subscribers: 0,
            idle_since: None,
            collected: false,
            indexed: false,
            waiting: (0..shards).map(|_| Waiting::default()).collect(),
        };
        Self {
            name,
            state: Mutex::new(state),
        }
    }
}

impl RingState {
    pub(crate) fn append(&mut self, event: Arc<StoredEvent>) {
        self.charged += event.charge();
        self.idle_since = None;
        self.buffer.push(event);
    }

    /// Removes the oldest event and returns what it was charged for.
    pub(crate) fn pop(&mut self, dead: &mut Dead) -> u64 {
        let Some(event) = self.buffer.pop() else {
            return 0;
        };
        let charge = event.charge();
        self.trim_mark = event.sequence();
        self.trimmed += 1;
        self.charged -= charge;
        dead.push(event);
        charge
    }

    /// Removes what retention no longer covers and returns what it was charged for.
    pub(crate) fn trim(&mut self, retention: &Retention, now: Timestamp, dead: &mut Dead) -> u64 {
        let mut freed = 0;
        while self.buffer.len() > retention.count()
            || (self.charged > retention.bytes() && self.buffer.len() > 1)
            || self
                .oldest()
                .is_some_and(|oldest| older_than(oldest.time(), now, retention.age()))
        {
            freed += self.pop(dead);
        }
        freed
    }

    pub(crate) fn oldest(&self) -> Option<Arc<StoredEvent>> {
        self.buffer.get(0)
    }

    pub(crate) fn trim_mark(&self) -> u64 {
        self.trim_mark
    }

    pub(crate) fn trimmed(&self) -> u64 {
        self.trimmed
    }

    /// The event with this running number, of all ever appended.
    pub(crate) fn at(&self, number: u64) -> Option<Arc<StoredEvent>> {
        let index = number.checked_sub(self.trimmed)?;
        self.buffer.get(index as usize)
    }

    /// The running number of the first event after `sequence`; `None` when it was trimmed.
    pub(crate) fn number_after(&self, sequence: u64) -> Option<u64> {
        (sequence >= self.trim_mark).then(|| self.trimmed + self.buffer.rank(sequence) as u64)
    }

    pub(crate) fn subscribe(&mut self) {
        self.subscribers += 1;
        self.idle_since = None;
    }

    pub(crate) fn unsubscribe(&mut self, shard: usize, armed: Option<ArmKey>) {
        self.subscribers -= 1;
        if let Some(armed) = armed {
            let waiting = &mut self.waiting[shard];
            if waiting.generation == armed.generation {
                waiting.armed.remove(armed.key);
                if waiting.armed.is_empty() {
                    waiting.armed.shrink_to_fit();
                }
            }
        }
    }

    /// Has the session marked at the next append. Only right while the ring holds nothing above
    /// the session's cursor, in the critical section that saw so.
    pub(crate) fn arm(&mut self, shard: usize, signal: &Arc<Signal>, slot: Slot) -> ArmKey {
        let waiting = &mut self.waiting[shard];
        ArmKey {
            key: waiting.armed.insert(Waiter {
                signal: Arc::clone(signal),
                slot,
            }),
            generation: waiting.generation,
        }
    }

    /// The shards that have to be told of an append, each of which gets this channel queued.
    pub(crate) fn queue_waiting(&mut self, mut queue: impl FnMut(usize)) {
        for (shard, waiting) in self.waiting.iter_mut().enumerate() {
            if !waiting.queued && !waiting.armed.is_empty() {
                waiting.queued = true;
                queue(shard);
            }
        }
    }

    /// Takes the armed sessions of a shard, to mark them outside the lock.
    pub(crate) fn take_armed(&mut self, shard: usize) -> Slab<Waiter> {
        let waiting = &mut self.waiting[shard];
        waiting.queued = false;
        waiting.generation = waiting.generation.wrapping_add(1);
        std::mem::take(&mut waiting.armed)
    }

    /// Nobody subscribes to it, and it holds no event.
    pub(crate) fn is_idle(&self) -> bool {
        self.subscribers == 0 && self.buffer.len() == 0
    }

    /// Idle, and never held an event: forgetting it loses nothing.
    pub(crate) fn is_untouched(&self) -> bool {
        self.is_idle() && self.trimmed == 0
    }

    /// Whether it has been idle for `duration`; starts counting when it is newly idle.
    pub(crate) fn idle_for(&mut self, duration: Duration, now: Timestamp) -> bool {
        if !self.is_idle() {
            self.idle_since = None;
            return false;
        }
        let since = *self.idle_since.get_or_insert(now);
        older_than(since, now, duration)
    }
}

fn older_than(time: Timestamp, now: Timestamp, age: Duration) -> bool {
    u128::from(now.as_millis().saturating_sub(time.as_millis())) >= age.as_millis()
}
