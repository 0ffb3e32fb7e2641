//! The hub: one log, its channels, and the sessions that read it.

use std::cmp::{Ordering as Order, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::channel::ChannelHandle;
use crate::config::HubConfig;
use crate::error::{PublishError, SubscribeError};
use crate::event::Event;
use crate::id::{Epoch, Position};
use crate::name::{ChannelName, NameError};
use crate::ring::{Dead, Ring, RingState};
use crate::session::{Session, SessionBuilder};
use crate::shard::{Nudge, Shard};
use crate::stored::{StoredEvent, Timestamp, charge};
use crate::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};

/// Publishes events and hands them to sessions: exactly one totally ordered log over all its
/// channels.
///
/// A hub is a handle: clones share the log, which lives until the last handle, channel handle and
/// session are dropped.
///
/// # Drivers
/// Publishing wakes subscribers, and old events have to be removed. With [`Hub::drivers`] spawned,
/// a publish costs the same however many subscribe. Without them everything still works, but a
/// publish wakes its subscribers itself and age is enforced at publishes only.
///
/// # Examples
/// ```
/// use eventcast_core::{Delivery, Event, Hub};
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new();
/// let mut session = hub.subscribe("news")?;
/// let id = hub.publish("news", Event::text("hello")).await?;
///
/// let Some(Delivery::Event(event)) = session.next().await else { panic!() };
/// assert_eq!(event.id(), id);
/// assert_eq!(event.payload().as_str(), Some("hello"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hub {
    pub(crate) log: Arc<Log>,
}

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

struct Sequencer {
    next: u64,
    last_time: Timestamp,
    /// The channels by the sequence of their oldest event, as far as known: a hint may be too low.
    oldest: BinaryHeap<Reverse<Oldest>>,
}

impl Hub {
    /// A hub in memory with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::with_config(HubConfig::new())
    }

    /// A hub in memory.
    #[must_use]
    pub fn with_config(config: HubConfig) -> Self {
        let log = Log {
            epoch: config.epoch.unwrap_or_else(Epoch::random),
            sequencer: Mutex::new(Sequencer {
                next: 1,
                last_time: Timestamp::default(),
                oldest: BinaryHeap::new(),
            }),
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
        };
        Self { log: Arc::new(log) }
    }

    /// A handle for publishing to one channel. It creates nothing.
    ///
    /// # Errors
    /// [`NameError`] when the name breaks the rules of [`ChannelName`].
    pub fn channel(
        &self,
        name: impl TryInto<ChannelName, Error: Into<NameError>>,
    ) -> Result<ChannelHandle, NameError> {
        let name = name.try_into().map_err(Into::into)?;
        Ok(ChannelHandle::new(self.clone(), name))
    }

    /// Publishes an event and returns its id once it is in the log.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was stored then.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is polled publishes nothing. With a memory log it is
    /// done at its first poll.
    #[allow(
        clippy::unused_async,
        reason = "logs outside this process have to be waited for"
    )]
    pub async fn publish(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>> + Send,
        event: Event,
    ) -> Result<Position, PublishError> {
        self.try_publish(channel, event)
    }

    /// [`publish`](Self::publish) for code that is not async.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was stored then.
    pub fn try_publish(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
        event: Event,
    ) -> Result<Position, PublishError> {
        let name = channel.try_into().map_err(Into::into)?;
        self.log.publish(&name, None, event).map(|(id, _)| id)
    }

    /// Subscribes to one channel from now on; see [`session`](Self::session) for more.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
    ) -> Result<Session, SubscribeError> {
        self.session().channel(channel).open()
    }

    /// A session in the making: channels, where to start, or where to resume.
    pub fn session(&self) -> SessionBuilder {
        SessionBuilder::new(self.clone())
    }

    /// The position of the last event in the log.
    ///
    /// Read it first, then your database, and hand both to the client: a session resumed at this
    /// position continues the snapshot exactly. (What was published between the two reads is in
    /// the snapshot and comes as an event too; nothing is missing.)
    #[must_use]
    pub fn position(&self) -> Position {
        self.log.position(self.log.committed())
    }

    /// The hub's counters.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        HubStats {
            channels: self.log.channels.load(Ordering::Relaxed),
            retained_bytes: self.log.charged.load(Ordering::Relaxed),
            published: self.log.committed(),
        }
    }

    pub(crate) fn take_drivers(&self) -> bool {
        self.log.drivers_taken.fetch_add(1, Ordering::Relaxed) == 0
    }
}

/// What a hub holds; see [`Hub::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Channels that have a subscriber or retain an event, or did so lately.
    pub channels: usize,
    /// What the retained events are charged for, in bytes.
    pub retained_bytes: u64,
    /// Events published since the hub was made.
    pub published: u64,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("position", &self.position())
            .field("config", &self.log.config)
            .finish_non_exhaustive()
    }
}

impl Log {
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
        let (size, limit) = (event.payload().len(), self.max_payload());
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
        let sequence = sequencer.next;
        sequencer.next += 1;
        sequencer.last_time = sequencer.last_time.max(now);
        StoredEvent::place(&mut stored, self.position(sequence), sequencer.last_time);
        state.append(stored);
        let freed = state.trim(&self.config.retention, sequencer.last_time, dead);
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
            let Some(Reverse(Oldest { sequence, ring })) = sequencer.oldest.pop() else {
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

    fn max_payload(&self) -> usize {
        self.config.max_payload
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

impl Sequencer {
    /// Enters a channel that has an event and no entry yet.
    fn index(&mut self, ring: &Arc<Ring>, state: &mut RingState) {
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
    fn drop_stale(&mut self, channels: usize) {
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
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Oldest {
    fn cmp(&self, other: &Self) -> Order {
        self.sequence.cmp(&other.sequence)
    }
}

type Nudges = SmallVec<[Nudge; 4]>;

const MAPS: usize = 32;
