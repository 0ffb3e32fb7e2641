//! Writing to the log: the critical section of a publish, and what follows from it.

use std::sync::Arc;
use std::task::Waker;

use smallvec::SmallVec;

use crate::backplane::{Body, Record};
use crate::delivery::{EphemeralEvent, Outcome};
use crate::ephemeral::MAX_BYTES;
use crate::error::PublishError;
use crate::event::Event;
use crate::id::Position;
use crate::log::{Log, Refused};
use crate::name::ChannelName;
use crate::ring::{Completion, Dead, Ring, RingState};
use crate::sequencer::Sequencer;
use crate::session::Signal;
use crate::shard::{Nudge, Shard};
use crate::stored::{StoredEvent, Timestamp, charge};
use crate::sync::Ordering;
use crate::waiting::Announcement;

/// What is to be appended.
enum Write {
    Events(Unplaced),
    End(Outcome),
}

impl Log {
    /// Appends events to a channel, which is looked up unless `known` is still the one.
    pub(crate) fn publish(
        &self,
        name: &ChannelName,
        known: Option<Arc<Ring>>,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<(Positions, Arc<Ring>), PublishError> {
        if self.remote.is_some() {
            return Err(PublishError::NeedsAsync);
        }
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
        if self.remote.is_some() {
            return Err(PublishError::NeedsAsync);
        }
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
        let limit = MAX_BYTES.min(self.config.max_payload);
        if size > limit {
            return Err(PublishError::TooLarge { size, limit });
        }
        self.post_ephemeral(name, &event);
        self.hand_out_ephemeral(name, event)
    }

    /// The part of this node.
    pub(crate) fn hand_out_ephemeral(
        &self,
        name: &ChannelName,
        event: Event,
    ) -> Result<bool, PublishError> {
        let Some(ring) = self.find(name).or_else(|| self.matched(name)) else {
            return Ok(false);
        };
        let mut nudges = Nudges::new();
        let mut state = ring.state.lock();
        if state.completion().is_some() {
            return Err(PublishError::Completed);
        }
        let subscribed = state.has_readers() || self.is_awaited(name);
        if subscribed {
            let announcement = Announcement {
                since: 0,
                after: state.last(),
                number: state.end(),
                ephemeral: state.ephemerals.end(),
            };
            let channel = name.clone();
            state.ephemerals.push(EphemeralEvent { channel, event });
            self.announce(&mut state, announcement);
            // Whoever is being told of this is not told of the next event: it must not count as
            // dispatched before.
            let next = self.committed() + 1;
            state
                .waiting
                .queue(|shard| nudges.extend(self.shards[shard].queue(&ring, next)));
        }
        drop(state);
        self.nudge(nudges);
        Ok(subscribed)
    }

    /// Makes a channel that only pattern subscriptions wait for, if there are any.
    fn matched(&self, name: &ChannelName) -> Option<Arc<Ring>> {
        self.is_awaited(name)
            .then(|| self.find_or_create(name).ok())
            .flatten()
    }

    fn is_awaited(&self, name: &ChannelName) -> bool {
        let is_awaited = |shard: &Arc<Shard>| shard.patterns.has_any(name);
        self.shards.iter().any(is_awaited)
    }

    /// Has the shards tell pattern subscriptions of a channel that they may not know, under the
    /// ring's lock. Which of them it fits is for the dispatchers to find out.
    fn announce(&self, state: &mut RingState, announcement: Announcement) {
        for (index, shard) in self.shards.iter().enumerate() {
            if let Some(since) = state.waiting.unannounced(index, shard.patterns.newest())
                && !shard.patterns.is_empty()
            {
                let announcement = Announcement {
                    since,
                    ..announcement
                };
                state.waiting.announce(index, announcement);
            }
        }
    }

    /// Whether the hub takes an event.
    pub(crate) fn check(&self, name: &ChannelName, event: &Event) -> Result<(), PublishError> {
        let (size, limit) = (event.payload().len(), self.config.max_payload);
        if size > limit || charge(name, event) > self.config.max_bytes {
            return Err(PublishError::TooLarge { size, limit });
        }
        Ok(())
    }

    fn unplaced(&self, name: &ChannelName, event: Event) -> Result<Arc<StoredEvent>, PublishError> {
        self.check(name, &event)?;
        Ok(StoredEvent::unplaced(name.clone(), event))
    }

    fn write(
        &self,
        name: &ChannelName,
        mut known: Option<Arc<Ring>>,
        what: &mut Write,
    ) -> Result<(Positions, Arc<Ring>), PublishError> {
        let began = self.begin_publish();
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
                self.end_publish(&began, name, positions.len());
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
        let announcement = Announcement {
            since: 0,
            after: sequencer.last(),
            number: state.end(),
            ephemeral: state.ephemerals.end(),
        };
        let mut positions = Positions::new();
        let (mut charged, mut appended) = (0, 0);
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
                    appended += 1;
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
        let dropped = dead.len();
        let freed = state.trim(&ring.retention, sequencer.last_time(), dead);
        self.charged.fetch_add(charged, Ordering::Relaxed);
        self.charged.fetch_sub(freed, Ordering::Relaxed);
        self.retained.change(appended, dead.len() - dropped);
        sequencer.index(ring, &mut state);
        // Before the sequences count as committed: see `Shard::dispatched`.
        self.announce(&mut state, announcement);
        state
            .waiting
            .queue(|shard| nudges.extend(self.shards[shard].queue(ring, first)));
        self.committed.store(last, Ordering::Release);
        drop(state);
        self.evict(&mut sequencer, dead);
        Ok(Some(positions))
    }

    /// Takes a record that the log outside has assigned a place: the same critical section.
    /// `false` when it was given before.
    pub(crate) fn take_record(&self, record: Record) -> bool {
        let mut dead = Dead::new();
        let mut nudges = Nudges::new();
        let mut wakers = Vec::new();
        let name = record.channel.clone();
        let sequence = record.position.sequence();
        // A ring that is made begins at the committed number, under the same lock.
        let mut map = self.map(&name);
        let mut sequencer = self.sequencer.lock();
        if sequence <= sequencer.last() {
            return false;
        }
        let mut ring = map.find(&name);
        if ring.is_none() && self.is_awaited(&name) {
            ring = self.create_in(&mut map, &name, true).ok();
            if ring.is_none() {
                // There is no room for it: who has it by a pattern has to find that out.
                for shard in &self.shards {
                    let look = |signal: &Arc<Signal>| wakers.extend(signal.announce_many());
                    shard.patterns.for_each_since(&name, 0, look);
                }
            }
        }
        let before = sequencer.last();
        let time = sequencer.take(sequence, record.time);
        if let Some(ring) = &ring {
            let mut state = ring.state.lock();
            let announcement = Announcement {
                since: 0,
                after: before,
                number: state.end(),
                ephemeral: state.ephemerals.end(),
            };
            if sequence > state.trim_mark() && state.completion().is_none() {
                match record.body {
                    Body::Completion(outcome) => state.complete(Completion {
                        sequence,
                        time,
                        outcome,
                    }),
                    Body::Event(event) => {
                        let event = StoredEvent::new(record.position, time, name.clone(), event);
                        let charge = event.charge();
                        state.append(Arc::new(event));
                        self.charged.fetch_add(charge, Ordering::Relaxed);
                        self.retained.change(1, 0);
                    }
                }
            }
            self.take_out(&mut dead, |dead| state.trim(&ring.retention, time, dead));
            sequencer.index(ring, &mut state);
            self.announce(&mut state, announcement);
            let waiting = &mut state.waiting;
            waiting.queue(|shard| nudges.extend(self.shards[shard].queue(ring, sequence)));
            self.committed.store(sequence, Ordering::Release);
            drop(state);
            self.evict(&mut sequencer, &mut dead);
        } else {
            self.committed.store(sequence, Ordering::Release);
        }
        drop((sequencer, map));
        wakers.into_iter().for_each(Waker::wake);
        self.nudge(nudges);
        true
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
                self.take_out(dead, |dead| state.pop(dead));
            }
            sequencer.index(&ring, &mut state);
        }
    }

    /// Does for the shards what a publish owes them, once its locks are released.
    pub(crate) fn nudge(&self, nudges: Nudges) {
        for nudge in nudges {
            match nudge {
                Nudge::Wake(waker) => waker.wake(),
                Nudge::Dispatch(shard) => self.shards[shard].run(),
            }
        }
    }
}

pub(crate) type Positions = SmallVec<[Position; 1]>;
type Unplaced = SmallVec<[Arc<StoredEvent>; 1]>;
pub(crate) type Nudges = SmallVec<[Nudge; 4]>;
