//! The log that all handles of a hub share: sequences, channels and their bounds.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use crate::config::HubConfig;
use crate::hub::HubStats;
use crate::id::{Epoch, Position};
use crate::inspect::Retained;
use crate::name::ChannelName;
use crate::observer::Observer;
use crate::presence;
use crate::remote::{Interest, Remote};
use crate::ring::{Backing, Completion, Dead, Floor, Ring, RingState};
use crate::sequencer::Sequencer;
use crate::shard::Shard;
use crate::stored::Timestamp;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::tombstones::Tombstones;
use crate::waiting::Waiter;

/// What all handles share. Locks are taken in this order: map, sequencer, ring, shard, signal.
pub(crate) struct Log {
    pub(crate) config: HubConfig,
    pub(crate) epoch: Epoch,
    pub(crate) sequencer: Mutex<Sequencer>,
    /// The last sequence that is in its ring.
    pub(crate) committed: AtomicU64,
    pub(crate) shards: Box<[Arc<Shard>]>,
    maps: Box<[Mutex<Map>]>,
    hasher: RandomState,
    channels: AtomicUsize,
    pub(crate) charged: AtomicU64,
    pub(crate) retained: Retained,
    /// Told beside the one of the settings.
    pub(crate) observer: OnceLock<Arc<dyn Observer>>,
    /// The highest trim mark of all channels that were forgotten.
    floor: AtomicU64,
    /// Until when events were published that were forgotten with their channels.
    floor_time: AtomicU64,
    /// What the floor becomes once the channels that are idle now are forgotten.
    next_floor: AtomicU64,
    tombstones: Mutex<Tombstones>,
    next_shard: AtomicUsize,
    next_map: AtomicUsize,
    drivers_taken: AtomicUsize,
    pub(crate) presence: presence::Shared,
    /// The log, when it is not this one.
    pub(crate) remote: Option<Remote>,
}

/// A part of the channels.
#[derive(Default)]
pub(crate) struct Map {
    rings: HashMap<ChannelName, Arc<Ring>>,
    /// In the order of their names, for patterns.
    sorted: BTreeMap<ChannelName, Arc<Ring>>,
}

impl Map {
    pub(crate) fn rings(&self) -> impl Iterator<Item = &Arc<Ring>> {
        self.rings.values()
    }

    pub(crate) fn find(&self, name: &ChannelName) -> Option<Arc<Ring>> {
        self.rings.get(name).cloned()
    }
}

impl Log {
    pub(crate) fn new(config: HubConfig) -> Self {
        Self::of(config, None)
    }

    pub(crate) fn with_remote(config: HubConfig, remote: Remote) -> Self {
        Self::of(config, Some(remote))
    }

    fn of(config: HubConfig, remote: Option<Remote>) -> Self {
        Self {
            remote,
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
            retained: Retained::default(),
            observer: OnceLock::new(),
            floor: AtomicU64::new(0),
            floor_time: AtomicU64::new(0),
            tombstones: Mutex::default(),
            next_floor: AtomicU64::new(0),
            next_shard: AtomicUsize::new(0),
            next_map: AtomicUsize::new(0),
            drivers_taken: AtomicUsize::new(0),
            presence: presence::Shared::new(config.presence.clone(), Arc::clone(&config.clock)),
            config,
        }
    }

    pub(crate) fn position(&self, sequence: u64) -> Position {
        match &self.remote {
            None => Position::new(self.epoch, sequence),
            Some(remote) => remote.position(sequence),
        }
    }

    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// The highest sequence up to which every waiting session of the shard is marked.
    pub(crate) fn dispatched(&self, shard: usize) -> u64 {
        let committed = self.committed();
        self.shards[shard].dispatched(committed)
    }

    /// The floor, and until when events were published that are forgotten with their channels.
    pub(crate) fn floor(&self) -> Floor {
        Floor {
            sequence: self.floor.load(Ordering::Acquire),
            time: Timestamp::from_millis(self.floor_time.load(Ordering::Acquire)),
        }
    }

    pub(crate) fn next_floor(&self) -> u64 {
        self.next_floor.load(Ordering::Acquire)
    }

    /// The channels whose names come after `after`, in the order of their names, at most `limit`.
    /// They are asked for parts of the log one after the other, so that none is locked for long.
    pub(crate) fn page_of_channels(
        &self,
        after: Option<&ChannelName>,
        limit: usize,
    ) -> BTreeMap<ChannelName, Arc<Ring>> {
        let mut page = BTreeMap::new();
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
        for map in &self.maps {
            let map = map.lock();
            for (name, ring) in map.sorted.range::<str, _>((from, Bound::Unbounded)) {
                let is_full = page.len() >= limit;
                if is_full && page.last_key_value().is_none_or(|(last, _)| name > last) {
                    break;
                }
                page.insert(name.clone(), Arc::clone(ring));
                if is_full {
                    page.pop_last();
                }
            }
        }
        page
    }

    pub(crate) fn stats(&self) -> HubStats {
        HubStats {
            channels: self.channels.load(Ordering::Relaxed),
            retained_events: self.retained.count(),
            retained_bytes: self.charged.load(Ordering::Relaxed),
            max_channels: self.config.max_channels,
            max_bytes: self.config.max_bytes,
            floor: self.floor.load(Ordering::Relaxed),
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

    /// Finds a channel, and makes none.
    pub(crate) fn find(&self, name: &ChannelName) -> Option<Arc<Ring>> {
        self.map(name).rings.get(name).cloned()
    }

    /// Finds a channel for a subscriber or a publisher, or makes it.
    pub(crate) fn find_or_create(&self, name: &ChannelName) -> Result<Arc<Ring>, Refused> {
        self.create_in(&mut self.map(name), name, false)
    }

    /// Makes a channel unless it is there. `knows_end` says that of a log outside the channel's end
    /// would have come.
    pub(crate) fn create_in(
        &self,
        map: &mut Map,
        name: &ChannelName,
        knows_end: bool,
    ) -> Result<Arc<Ring>, Refused> {
        if let Some(ring) = map.rings.get(name) {
            return Ok(Arc::clone(ring));
        }
        if let Some(end) = self.tombstones.lock().find(name) {
            return Err(Refused::Completed(end));
        }
        if self.channels.fetch_add(1, Ordering::Relaxed) >= self.config.max_channels {
            self.channels.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Full);
        }
        // Read under the map's lock: forgetting this very name raises the floor under it too.
        let (floor, backing) = match &self.remote {
            None => (self.floor(), Backing::None),
            // What the log brings from now on, under the map's lock too, comes to the ring.
            Some(_) => {
                let sequence = self.committed();
                let time = Timestamp::default();
                let backing = Backing::Log {
                    whole: false,
                    wanted: false,
                    knows_end,
                };
                (Floor { sequence, time }, backing)
            }
        };
        let ring = Arc::new(Ring::new(
            name.clone(),
            self.config.retention_of(name),
            (self.config.buffers)(name),
            floor,
            self.shards.len(),
            backing,
        ));
        map.rings.insert(name.clone(), Arc::clone(&ring));
        map.sorted.insert(name.clone(), Arc::clone(&ring));
        Ok(ring)
    }

    /// The channels whose names start with `prefix` and that were given something after a
    /// sequence.
    pub(crate) fn matching(&self, prefix: &str, after: u64) -> Vec<Arc<Ring>> {
        let mut rings = Vec::new();
        for map in &self.maps {
            let map = map.lock();
            let from = (Bound::Included(prefix), Bound::Unbounded);
            let sorted = map.sorted.range::<str, _>(from);
            let fitting = sorted.take_while(|(name, _)| name.as_str().starts_with(prefix));
            let news = fitting.filter(|(_, ring)| ring.state.lock().last() > after);
            rings.extend(news.map(|(_, ring)| Arc::clone(ring)));
        }
        rings
    }

    /// Forgets a channel that exists only because somebody subscribed to it.
    pub(crate) fn forget_untouched(&self, name: &ChannelName) {
        let mut map = self.map(name);
        let Some(ring) = map.rings.get(name) else {
            return;
        };
        let mut state = ring.state.lock();
        // Who has it by a pattern is told when it goes, which is for maintenance to do.
        if state.is_untouched() && !state.has_readers() {
            state.collected = true;
            let is_wanted = state.is_wanted();
            drop(state);
            if let (Some(remote), true) = (&self.remote, is_wanted) {
                remote.release(Interest::Channel(name.clone()));
            }
            map.rings.remove(name);
            map.sorted.remove(name);
            self.channels.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// One round of maintenance over a part of the channels: removes events past their age and
    /// forgets channels that have been idle for long.
    pub(crate) fn maintain(&self) {
        let part = self.next_map.fetch_add(1, Ordering::Relaxed) % self.maps.len();
        let now = self.config.clock.now();
        let mut dead = Dead::new();
        let mut readers = Vec::new();
        let mut map = self.maps[part].lock();
        let Map { rings, sorted } = &mut *map;
        rings.retain(|name, ring| {
            let mut state = ring.state.lock();
            state.ephemerals.drop_stale();
            self.take_out(&mut dead, |dead| state.trim(&ring.retention, now, dead));
            if state.is_idle() && !state.is_backed() {
                self.next_floor
                    .fetch_max(state.last_mark(), Ordering::AcqRel);
            }
            if state.idle_for(self.config.collect_after, &ring.retention, now) {
                self.forget(ring, &mut state);
                sorted.remove(name);
                readers.extend(state.waiting.take_waiters());
            }
            !state.collected
        });
        if rings.capacity() > 4 * rings.len() + 64 {
            rings.shrink_to_fit();
        }
        drop(map);
        if let Some(remote) = &self.remote {
            remote.tick(part == 0);
        }
        // Sessions that have it by a pattern let go of it.
        for Waiter { signal, slot } in readers {
            if let Some(waker) = signal.mark(slot) {
                waker.wake();
            }
        }
        if part == 0 {
            self.sequencer
                .lock()
                .drop_stale(self.channels.load(Ordering::Relaxed));
        }
    }

    /// Counts what `remove` takes out of a ring, of which it returns the charge.
    pub(crate) fn take_out(&self, dead: &mut Dead, remove: impl FnOnce(&mut Dead) -> u64) {
        let before = dead.len();
        let freed = remove(dead);
        self.retained.change(0, dead.len() - before);
        self.charged.fetch_sub(freed, Ordering::Relaxed);
    }

    fn forget(&self, ring: &Ring, state: &mut RingState) {
        state.collected = true;
        if let Some(remote) = &self.remote {
            self.channels.fetch_sub(1, Ordering::Relaxed);
            if state.is_wanted() {
                remote.release(Interest::Channel(ring.name.clone()));
            }
            return;
        }
        let until = state.trimmed_until().as_millis();
        self.floor.fetch_max(state.last_mark(), Ordering::AcqRel);
        self.floor_time.fetch_max(until, Ordering::AcqRel);
        self.channels.fetch_sub(1, Ordering::Relaxed);
        if let Some(end) = state.completion() {
            let limit = self.config.max_tombstones;
            self.tombstones.lock().insert(&ring.name, end, limit);
        }
    }

    /// How many calls of [`maintain`](Self::maintain) see every channel once.
    pub(crate) fn maintenance_parts(&self) -> u32 {
        self.maps.len() as u32
    }

    /// Calls `then` if nobody here has an interest in this, before anybody can have one.
    pub(crate) fn if_unwanted(&self, interest: &Interest, then: impl FnOnce()) -> bool {
        match interest {
            Interest::Channel(name) => {
                let map = self.map(name);
                let is_free = !map.rings.contains_key(name);
                if is_free {
                    then();
                }
                is_free
            }
            Interest::Prefix(prefix) => {
                // Who registers later waits for what is under way.
                then();
                let has = |shard: &Arc<Shard>| shard.patterns.has_prefix(prefix);
                !self.shards.iter().any(has)
            }
        }
    }

    /// Takes a pattern subscription out of a shard.
    pub(crate) fn leave_pattern(&self, shard: usize, prefix: &str, generation: u64) {
        self.shards[shard].patterns.remove(prefix, generation);
        if let Some(remote) = &self.remote {
            remote.release(Interest::Prefix(prefix.into()));
        }
    }

    /// All channels at once.
    pub(crate) fn lock_maps(&self) -> Vec<MutexGuard<'_, Map>> {
        self.maps.iter().map(Mutex::lock).collect()
    }

    pub(crate) fn map(&self, name: &ChannelName) -> MutexGuard<'_, Map> {
        let hash = self.hasher.hash_one(name);
        self.maps[hash as usize % self.maps.len()].lock()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shards.iter().for_each(|shard| shard.end());
    }
}

/// Why there is no channel of a name.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It was completed, and forgotten.
    Completed(Completion),
    /// The hub has as many channels as it may.
    Full,
}

/// One in models: which of several a name falls into is random, and a model has to be repeatable.
const MAPS: usize = if cfg!(loom) { 1 } else { 32 };
