//! The log that all handles of a hub share: sequences, channels and their bounds.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::HubConfig;
use crate::error::PublishError;
use crate::event::Event;
use crate::hub::HubStats;
use crate::id::{Epoch, Position};
use crate::name::ChannelName;
use crate::ring::{Dead, Ring};
use crate::sequencer::Sequencer;
use crate::shard::{Nudge, Shard};
use crate::stored::{StoredEvent, Timestamp, charge};
use crate::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};

/// What all handles share. Locks are taken in this order: map, sequencer, ring, shard, signal.
pub(crate) struct Log {
    pub(crate) config: HubConfig,
    pub(crate) epoch: Epoch,
    sequencer: Mutex<Sequencer>,
    /// The last sequence that is in its ring.
    committed: AtomicU64,
    pub(crate) shards: Box<[Arc<Shard>]>,
    maps: Box<[Mutex<Map>]>,
    hasher: RandomState,
    channels: AtomicUsize,
    charged: AtomicU64,
    /// The highest trim mark of all channels that were forgotten.
    floor: AtomicU64,
    /// What the floor becomes once the channels that are idle now are forgotten.
    next_floor: AtomicU64,
    next_shard: AtomicUsize,
    next_map: AtomicUsize,
    drivers_taken: AtomicUsize,
}

type Map = HashMap<ChannelName, Arc<Ring>>;

impl Log {
    pub(crate) fn new(config: HubConfig) -> Self {
        Self {
            epoch: config.epoch.unwrap_or_else(Epoch::random),
            sequencer: Mutex::default(),
            committed: AtomicU64::new(0),
            shards: (0..config.shards)
                .map(|k| Arc::new(Shard::new(k)))
                .collect(),
            maps: (0..MAPS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            channels: AtomicUsize::new(0),
            charged: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            next_floor: AtomicU64::new(0),
            next_shard: AtomicUsize::new(0),
            next_map: AtomicUsize::new(0),
            drivers_taken: AtomicUsize::new(0),
            config,
        }
    }

    pub(crate) fn position(&self, sequence: u64) -> Position {
        Position::new(self.epoch, sequence)
    }

    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// The highest sequence up to which every waiting session of the shard is marked.
    pub(crate) fn dispatched(&self, shard: usize) -> u64 {
        let committed = self.committed();
        self.shards[shard].dispatched(committed)
    }

    pub(crate) fn next_floor(&self) -> u64 {
        self.next_floor.load(Ordering::Acquire)
    }

    pub(crate) fn stats(&self) -> HubStats {
        HubStats {
            channels: self.channels.load(Ordering::Relaxed),
            retained_bytes: self.charged.load(Ordering::Relaxed),
            published: self.committed(),
        }
    }

    /// `true` for the first to ask.
    pub(crate) fn take_drivers(&self) -> bool {
        self.drivers_taken.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Spreads sessions over the shards.
    pub(crate) fn assign_shard(&self) -> usize {
        self.next_shard.fetch_add(1, Ordering::Relaxed) % self.shards.len()
    }

    /// Appends an event to a channel, which is looked up unless `known` is still the one.
    pub(crate) fn publish(
        &self,
        name: &ChannelName,
        known: Option<Arc<Ring>>,
        event: Event,
    ) -> Result<(Position, Arc<Ring>), PublishError> {
        let (size, limit) = (event.payload().len(), self.config.max_payload);
        let charge = charge(name, &event);
        if size > limit || charge > self.config.max_bytes {
            return Err(PublishError::TooLarge { size, limit });
        }
        let now = self.config.clock.now();
        let mut stored = StoredEvent::unplaced(name.clone(), event);
        let mut dead = Dead::new();
        let mut known = known;
        loop {
            let ring = match known.take() {
                Some(ring) => ring,
                None => self
                    .find_or_create(name)
                    .ok_or(PublishError::TooManyChannels {
                        limit: self.config.max_channels,
                    })?,
            };
            match self.append(&ring, stored, charge, now, &mut dead) {
                Ok((sequence, nudges)) => {
                    self.nudge(nudges);
                    return Ok((self.position(sequence), ring));
                }
                Err(rejected) => stored = rejected,
            }
        }
    }

    /// The critical section of a publish; hands the event back when the ring was collected.
    fn append(
        &self,
        ring: &Arc<Ring>,
        mut stored: Arc<StoredEvent>,
        charge: u64,
        now: Timestamp,
        dead: &mut Dead,
    ) -> Result<(u64, Nudges), Arc<StoredEvent>> {
        let mut nudges = Nudges::new();
        let mut sequencer = self.sequencer.lock();
        let mut state = ring.state.lock();
        if state.collected {
            return Err(stored);
        }
        let (sequence, time) = sequencer.next(now);
        StoredEvent::place(&mut stored, self.position(sequence), time);
        state.append(stored);
        let freed = state.trim(&self.config.retention, time, dead);
        sequencer.index(ring, &mut state);
        // Before the sequence counts as committed: see `Shard::dispatched`.
        state.queue_waiting(|shard| nudges.extend(self.shards[shard].queue(ring, sequence)));
        self.committed.store(sequence, Ordering::Release);
        drop(state);
        self.charged.fetch_add(charge, Ordering::Relaxed);
        self.charged.fetch_sub(freed, Ordering::Relaxed);
        self.evict(&mut sequencer, dead);
        Ok((sequence, nudges))
    }

    /// Removes the hub's oldest events while all channels together hold too much.
    fn evict(&self, sequencer: &mut Sequencer, dead: &mut Dead) {
        while self.charged.load(Ordering::Relaxed) > self.config.max_bytes {
            let Some((sequence, ring)) = sequencer.pop_oldest() else {
                return;
            };
            let mut state = ring.state.lock();
            state.indexed = false;
            if state
                .oldest()
                .is_some_and(|event| event.sequence() == sequence)
            {
                let freed = state.pop(dead);
                self.charged.fetch_sub(freed, Ordering::Relaxed);
            }
            sequencer.index(&ring, &mut state);
        }
    }

    /// Does for the shards what a publish owes them, once its locks are released.
    fn nudge(&self, nudges: Nudges) {
        for nudge in nudges {
            match nudge {
                Nudge::Wake(waker) => waker.wake(),
                Nudge::Dispatch(shard) => self.shards[shard].run(),
            }
        }
    }

    /// Finds a channel for a subscriber or a publisher, or makes it; `None` at the limit.
    pub(crate) fn find_or_create(&self, name: &ChannelName) -> Option<Arc<Ring>> {
        let mut map = self.map(name);
        if let Some(ring) = map.get(name) {
            return Some(Arc::clone(ring));
        }
        if self.channels.fetch_add(1, Ordering::Relaxed) >= self.config.max_channels {
            self.channels.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        // Read under the map's lock: forgetting this very name raises the floor under it too.
        let floor = self.floor.load(Ordering::Acquire);
        let buffer = (self.config.buffers)(name);
        let ring = Arc::new(Ring::new(name.clone(), buffer, floor, self.shards.len()));
        map.insert(name.clone(), Arc::clone(&ring));
        Some(ring)
    }

    /// Forgets a channel that exists only because somebody subscribed to it.
    pub(crate) fn forget_untouched(&self, name: &ChannelName) {
        let mut map = self.map(name);
        let Some(ring) = map.get(name) else { return };
        let mut state = ring.state.lock();
        if state.is_untouched() {
            state.collected = true;
            drop(state);
            map.remove(name);
            self.channels.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// One round of maintenance over a part of the channels: removes events past their age and
    /// forgets channels that have been idle for long.
    pub(crate) fn maintain(&self) {
        let part = self.next_map.fetch_add(1, Ordering::Relaxed) % self.maps.len();
        let now = self.config.clock.now();
        let mut dead = Dead::new();
        let mut map = self.maps[part].lock();
        map.retain(|_, ring| {
            let mut state = ring.state.lock();
            let freed = state.trim(&self.config.retention, now, &mut dead);
            self.charged.fetch_sub(freed, Ordering::Relaxed);
            if state.is_idle() {
                self.next_floor
                    .fetch_max(state.trim_mark(), Ordering::AcqRel);
            }
            if state.idle_for(self.config.collect_after, now) {
                state.collected = true;
                self.floor.fetch_max(state.trim_mark(), Ordering::AcqRel);
                self.channels.fetch_sub(1, Ordering::Relaxed);
            }
            !state.collected
        });
        map.shrink_to_fit();
        drop(map);
        if part == 0 {
            self.sequencer
                .lock()
                .drop_stale(self.channels.load(Ordering::Relaxed));
        }
    }

    /// How many calls of [`maintain`](Self::maintain) see every channel once.
    pub(crate) fn maintenance_parts(&self) -> u32 {
        self.maps.len() as u32
    }

    fn map(&self, name: &ChannelName) -> MutexGuard<'_, Map> {
        let hash = self.hasher.hash_one(name);
        self.maps[hash as usize % self.maps.len()].lock()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shards.iter().for_each(|shard| shard.end());
    }
}

type Nudges = SmallVec<[Nudge; 4]>;

const MAPS: usize = 32;
