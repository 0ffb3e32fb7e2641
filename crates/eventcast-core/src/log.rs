//! The log that all handles of a hub share: sequences, channels and their bounds.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::HubConfig;
use crate::delivery::{EphemeralEvent, Outcome};
use crate::error::PublishError;
use crate::event::Event;
use crate::hub::HubStats;
use crate::id::{Epoch, Position};
use crate::name::ChannelName;
use crate::ring::{Completion, Dead, Floor, Ring, RingState};
use crate::sequencer::Sequencer;
use crate::shard::{Nudge, Shard};
use crate::stored::{StoredEvent, Timestamp, charge};
use crate::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::tombstones::Tombstones;

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
    /// Until when events were published that were forgotten with their channels.
    floor_time: AtomicU64,
    /// What the floor becomes once the channels that are idle now are forgotten.
    next_floor: AtomicU64,
    tombstones: Mutex<Tombstones>,
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
            floor_time: AtomicU64::new(0),
            tombstones: Mutex::default(),
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

    /// Appends events to a channel, which is looked up unless `known` is still the one.
    pub(crate) fn publish(
        &self,
        name: &ChannelName,
        known: Option<Arc<Ring>>,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<(Positions, Arc<Ring>), PublishError> {
        let events: Result<Unplaced, _> = events
            .into_iter()
            .map(|event| self.unplaced(name, event))
            .collect();
        self.write(name, known, &mut Write::Events(events?))
    }

    /// Ends a channel.
    pub(crate) fn complete(
        &self,
        name: &ChannelName,
        outcome: Outcome,
    ) -> Result<Position, PublishError> {
        let (positions, _) = self.write(name, None, &mut Write::End(outcome))?;
        Ok(positions[0])
    }

    /// Hands an event to whoever is connected; `false` when nobody is.
    pub(crate) fn publish_ephemeral(
        &self,
        name: &ChannelName,
        event: Event,
    ) -> Result<bool, PublishError> {
        let size = event.payload().len();
        let limit = crate::ephemeral::MAX_BYTES.min(self.config.max_payload);
        if size > limit {
            return Err(PublishError::TooLarge { size, limit });
        }
        let Some(ring) = self.find(name) else {
            return Ok(false);
        };
        let mut nudges = Nudges::new();
        let mut state = ring.state.lock();
        if state.completion().is_some() {
            return Err(PublishError::Completed);
        }
        let subscribed = state.has_subscribers();
        if subscribed {
            let channel = name.clone();
            state.ephemerals.push(EphemeralEvent { channel, event });
            state
                .waiting
                .queue_ephemeral(|shard| nudges.extend(self.shards[shard].queue_ephemeral(&ring)));
        }
        drop(state);
        self.nudge(nudges);
        Ok(subscribed)
    }

    fn unplaced(&self, name: &ChannelName, event: Event) -> Result<Arc<StoredEvent>, PublishError> {
        let (size, limit) = (event.payload().len(), self.config.max_payload);
        if size > limit || charge(name, &event) > self.config.max_bytes {
            return Err(PublishError::TooLarge { size, limit });
        }
        Ok(StoredEvent::unplaced(name.clone(), event))
    }

    fn write(
        &self,
        name: &ChannelName,
        mut known: Option<Arc<Ring>>,
        what: &mut Write,
    ) -> Result<(Positions, Arc<Ring>), PublishError> {
        let now = self.config.clock.now();
        let mut dead = Dead::new();
        loop {
            let ring = match known.take() {
                Some(ring) => ring,
                None => self.find_or_create(name).map_err(|refused| match refused {
                    Refused::Completed(_) => PublishError::Completed,
                    Refused::Full => PublishError::TooManyChannels {
                        limit: self.config.max_channels,
                    },
                })?,
            };
            let mut nudges = Nudges::new();
            if let Some(positions) = self.append(&ring, what, now, &mut nudges, &mut dead)? {
                self.nudge(nudges);
                return Ok((positions, ring));
            }
        }
    }

    /// The critical section of a publish; `None` when the ring was collected meanwhile.
    fn append(
        &self,
        ring: &Arc<Ring>,
        what: &mut Write,
        now: Timestamp,
        nudges: &mut Nudges,
        dead: &mut Dead,
    ) -> Result<Option<Positions>, PublishError> {
        let mut sequencer = self.sequencer.lock();
        let mut state = ring.state.lock();
        if state.collected {
            return Ok(None);
        }
        if state.completion().is_some() {
            return Err(PublishError::Completed);
        }
        let first = sequencer.last() + 1;
        let mut positions = Positions::new();
        let mut charged = 0;
        match what {
            Write::Events(events) => {
                for mut event in events.drain(..) {
                    if let Some(key) = event.idempotency_key()
                        && let Some(earlier) = sequencer.published.find(&ring.name, key)
                    {
                        positions.push(self.position(earlier));
                        continue;
                    }
                    let (sequence, time) = sequencer.next(now);
                    if let Some(key) = event.idempotency_key() {
                        let window = &mut sequencer.published;
                        window.insert(&ring.name, key, sequence, time);
                        window.trim(self.config.dedup_count, self.config.dedup_age, time);
                    }
                    StoredEvent::place(&mut event, self.position(sequence), time);
                    positions.push(event.id());
                    charged += event.charge();
                    state.append(event);
                }
            }
            Write::End(outcome) => {
                let (sequence, time) = sequencer.next(now);
                positions.push(self.position(sequence));
                state.complete(Completion {
                    sequence,
                    time,
                    outcome: outcome.clone(),
                });
            }
        }
        let last = sequencer.last();
        if last < first {
            return Ok(Some(positions));
        }
        let freed = state.trim(&ring.retention, sequencer.last_time(), dead);
        self.charged.fetch_add(charged, Ordering::Relaxed);
        self.charged.fetch_sub(freed, Ordering::Relaxed);
        sequencer.index(ring, &mut state);
        // Before the sequences count as committed: see `Shard::dispatched`.
        state
            .waiting
            .queue_event(|shard| nudges.extend(self.shards[shard].queue_event(ring, first)));
        self.committed.store(last, Ordering::Release);
        drop(state);
        self.evict(&mut sequencer, dead);
        Ok(Some(positions))
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

    /// Finds a channel, and makes none.
    pub(crate) fn find(&self, name: &ChannelName) -> Option<Arc<Ring>> {
        self.map(name).get(name).cloned()
    }

    /// Finds a channel for a subscriber or a publisher, or makes it.
    pub(crate) fn find_or_create(&self, name: &ChannelName) -> Result<Arc<Ring>, Refused> {
        let mut map = self.map(name);
        if let Some(ring) = map.get(name) {
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
        let floor = Floor {
            sequence: self.floor.load(Ordering::Acquire),
            time: Timestamp::from_millis(self.floor_time.load(Ordering::Acquire)),
        };
        let ring = Arc::new(Ring::new(
            name.clone(),
            self.config.retention_of(name),
            (self.config.buffers)(name),
            floor,
            self.shards.len(),
        ));
        map.insert(name.clone(), Arc::clone(&ring));
        Ok(ring)
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
            state.ephemerals.clear();
            let freed = state.trim(&ring.retention, now, &mut dead);
            self.charged.fetch_sub(freed, Ordering::Relaxed);
            if state.is_idle() {
                self.next_floor
                    .fetch_max(state.last_mark(), Ordering::AcqRel);
            }
            if state.idle_for(self.config.collect_after, &ring.retention, now) {
                self.forget(ring, &mut state);
            }
            !state.collected
        });
        if map.capacity() > 4 * map.len() + 64 {
            map.shrink_to_fit();
        }
        drop(map);
        if part == 0 {
            self.sequencer
                .lock()
                .drop_stale(self.channels.load(Ordering::Relaxed));
        }
    }

    fn forget(&self, ring: &Ring, state: &mut RingState) {
        state.collected = true;
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

/// What is to be appended.
enum Write {
    Events(Unplaced),
    End(Outcome),
}

/// Why there is no channel of a name.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It was completed, and forgotten.
    Completed(Completion),
    /// The hub has as many channels as it may.
    Full,
}

pub(crate) type Positions = SmallVec<[Position; 1]>;
type Unplaced = SmallVec<[Arc<StoredEvent>; 1]>;
type Nudges = SmallVec<[Nudge; 4]>;

const MAPS: usize = 32;
