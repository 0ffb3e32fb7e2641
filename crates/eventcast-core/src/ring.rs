//! A channel inside the hub: its retained events, its trim mark, its end, and who waits for more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::delivery::Outcome;
use crate::ephemeral::Ephemerals;
use crate::name::{ChannelName, Key};
use crate::replay::{ReplayBuffer, Retention};
use crate::stored::{StoredEvent, Timestamp};
use crate::sync::Mutex;
use crate::waiting::Waiting;

/// Events to be dropped once the locks are released.
pub(crate) type Dead = SmallVec<[Arc<StoredEvent>; 4]>;

#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) name: ChannelName,
    pub(crate) retention: Retention,
    pub(crate) state: Mutex<RingState>,
}

#[derive(Debug)]
pub(crate) struct RingState {
    buffer: Box<dyn ReplayBuffer>,
    /// The last sequence that is no longer retained.
    trim_mark: u64,
    /// The last sequence that is no longer retained, nor is a newer event of the same key: what a
    /// subscriber who conflates has lost.
    lost_mark: u64,
    /// When the last trimmed event was published.
    trimmed_until: Timestamp,
    /// How many events were ever trimmed.
    trimmed: u64,
    charged: u64,
    /// The newest retained event of each key.
    newest: HashMap<Key, u64>,
    completion: Option<Completion>,
    pub(crate) ephemerals: Ephemerals,
    /// Sessions that named the channel, which keeps it from being forgotten.
    subscribers: usize,
    /// Sessions that have the channel by a pattern.
    matched: usize,
    /// Since when the channel is empty and without subscribers.
    idle_since: Option<Timestamp>,
    /// No longer in the hub's map: whoever holds it has to look its name up again.
    pub(crate) collected: bool,
    /// Has an entry in the hub's index of oldest events.
    pub(crate) indexed: bool,
    pub(crate) waiting: Waiting,
    /// What else there is than the ring.
    backing: Backing,
}

/// What a ring has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Nothing: what is not in the ring is lost.
    None,
    /// A log from which older events are read in pages.
    Log {
        /// The log gives this node all of the channel, from the trim mark on.
        whole: bool,
        /// The log was asked for that.
        wanted: bool,
        /// Whether the channel is completed is known.
        knows_end: bool,
    },
}

/// The record that ends a channel. It is kept beside the buffer: retention never trims it.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    pub(crate) outcome: Outcome,
}

/// What a channel that is created starts with: what the hub knows of all that it forgot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Floor {
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
}

impl Ring {
    pub(crate) fn new(
        name: ChannelName,
        retention: Retention,
        buffer: Box<dyn ReplayBuffer>,
        floor: Floor,
        shards: usize,
        backing: Backing,
    ) -> Self {
        let state = RingState {
            buffer,
            trim_mark: floor.sequence,
            lost_mark: floor.sequence,
            trimmed_until: floor.time,
            trimmed: 0,
            charged: 0,
            newest: HashMap::new(),
            completion: None,
            ephemerals: Ephemerals::default(),
            subscribers: 0,
            matched: 0,
            idle_since: None,
            collected: false,
            indexed: false,
            waiting: Waiting::new(shards),
            backing,
        };
        Self {
            name,
            retention,
            state: Mutex::new(state),
        }
    }
}

impl RingState {
    /// Whether older events than those of the ring are read in pages.
    pub(crate) fn is_backed(&self) -> bool {
        self.backing != Backing::None
    }

    /// Whether the log may still leave out some of the channel.
    pub(crate) fn is_partial(&self) -> bool {
        matches!(self.backing, Backing::Log { whole: false, .. })
    }

    pub(crate) fn knows_end(&self) -> bool {
        matches!(
            self.backing,
            Backing::Log {
                knows_end: true,
                ..
            }
        )
    }

    /// Whether the log is to be told that nobody wants the channel any more.
    pub(crate) fn is_wanted(&self) -> bool {
        matches!(self.backing, Backing::Log { wanted: true, .. })
    }

    /// The log is being asked for all of the channel.
    pub(crate) fn want(&mut self) {
        if let Backing::Log { wanted, .. } = &mut self.backing {
            *wanted = true;
        }
    }

    /// The log gives all of the channel after `from`; what came before may be a part.
    pub(crate) fn make_whole(&mut self, from: u64, dead: &mut Dead) -> u64 {
        self.backing = Backing::Log {
            whole: true,
            wanted: true,
            knows_end: true,
        };
        self.trim_to(from, dead)
    }

    /// Removes what is at or below a sequence, which becomes the trim mark.
    pub(crate) fn trim_to(&mut self, sequence: u64, dead: &mut Dead) -> u64 {
        let mut freed = 0;
        while self
            .oldest()
            .is_some_and(|oldest| oldest.sequence() <= sequence)
        {
            match self.pop(dead) {
                0 => break,
                charge => freed += charge,
            }
        }
        self.trim_mark = self.trim_mark.max(sequence);
        freed
    }

    /// Takes back an end that was lost between two sequences.
    pub(crate) fn forget_completion(&mut self, last: u64, first: u64) {
        let is_lost = |end: &Completion| last < end.sequence && end.sequence < first;
        if self.completion.as_ref().is_some_and(is_lost) {
            self.completion = None;
        }
    }

    pub(crate) fn append(&mut self, event: Arc<StoredEvent>) {
        self.charged += event.charge();
        self.idle_since = None;
        if let Some(key) = event.key() {
            self.newest.insert(key.clone(), event.sequence());
        }
        self.buffer.push(event);
    }

    pub(crate) fn complete(&mut self, completion: Completion) {
        self.idle_since = None;
        self.completion = Some(completion);
    }

    /// Removes the oldest event and returns what it was charged for.
    pub(crate) fn pop(&mut self, dead: &mut Dead) -> u64 {
        let Some(event) = self.buffer.pop() else {
            return 0;
        };
        let charge = event.charge();
        self.trim_mark = event.sequence();
        self.trimmed_until = event.time();
        self.trimmed += 1;
        self.charged -= charge;
        if !self.is_superseded(&event) {
            self.lost_mark = event.sequence();
            if let Some(key) = event.key() {
                self.newest.remove(key);
            }
        }
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
                .is_some_and(|oldest| oldest.time().is_older_than(retention.age(), now))
        {
            match self.pop(dead) {
                // A buffer that holds events and pops none is broken, which must not stop the hub.
                0 => break,
                charge => freed += charge,
            }
        }
        freed
    }

    pub(crate) fn oldest(&self) -> Option<Arc<StoredEvent>> {
        self.buffer.get(0)
    }

    pub(crate) fn newest(&self) -> Option<Arc<StoredEvent>> {
        let last = self.len().checked_sub(1)?;
        self.buffer.get(last)
    }

    /// What its retained events are charged for.
    pub(crate) fn charged(&self) -> u64 {
        self.charged
    }

    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn trim_mark(&self) -> u64 {
        self.trim_mark
    }

    pub(crate) fn lost_mark(&self) -> u64 {
        self.lost_mark
    }

    pub(crate) fn trimmed_until(&self) -> Timestamp {
        self.trimmed_until
    }

    pub(crate) fn trimmed(&self) -> u64 {
        self.trimmed
    }

    pub(crate) fn completion(&self) -> Option<&Completion> {
        self.completion.as_ref()
    }

    /// Whether a newer event with the same key is retained.
    pub(crate) fn is_superseded(&self, event: &StoredEvent) -> bool {
        event
            .key()
            .and_then(|key| self.newest.get(key))
            .is_some_and(|newest| *newest > event.sequence())
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

    /// How many retained events were published before `time`.
    pub(crate) fn count_before(&self, time: Timestamp) -> usize {
        let (mut low, mut high) = (0, self.buffer.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.buffer.get(middle) {
                Some(event) if event.time() < time => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    pub(crate) fn subscribe(&mut self) {
        self.subscribers += 1;
        self.idle_since = None;
    }

    pub(crate) fn unsubscribe(&mut self) {
        self.subscribers -= 1;
    }

    pub(crate) fn attach_match(&mut self) {
        self.matched += 1;
    }

    pub(crate) fn detach_match(&mut self) {
        self.matched -= 1;
    }

    /// How many sessions have the channel, by its name or by a pattern.
    pub(crate) fn readers(&self) -> usize {
        self.subscribers + self.matched
    }

    pub(crate) fn has_readers(&self) -> bool {
        self.readers() > 0
    }

    /// The last sequence that the channel was given.
    pub(crate) fn last(&self) -> u64 {
        self.newest()
            .map_or(0, |event| event.sequence())
            .max(self.last_mark())
    }

    /// The running number of the next event.
    pub(crate) fn end(&self) -> u64 {
        self.trimmed + self.len() as u64
    }

    /// Nobody named it, and it holds no event. Sessions that have it by a pattern are told of it
    /// again should it come back.
    pub(crate) fn is_idle(&self) -> bool {
        self.subscribers == 0 && self.buffer.len() == 0 && self.ephemerals.is_empty()
    }

    /// Idle, and never held anything: forgetting it loses nothing.
    pub(crate) fn is_untouched(&self) -> bool {
        self.is_idle() && self.trimmed == 0 && self.completion.is_none()
    }

    /// The last sequence that is lost with the channel when it is forgotten.
    pub(crate) fn last_mark(&self) -> u64 {
        let completion = self.completion.as_ref().map_or(0, |end| end.sequence);
        self.trim_mark.max(completion)
    }

    /// Whether it has been idle for `duration`; starts counting when it is newly idle. A completed
    /// channel stays for its age as well, so that who comes late is told.
    pub(crate) fn idle_for(
        &mut self,
        duration: Duration,
        retention: &Retention,
        now: Timestamp,
    ) -> bool {
        let ended_lately = self
            .completion
            .as_ref()
            .is_some_and(|end| !end.time.is_older_than(retention.age(), now));
        if !self.is_idle() || ended_lately {
            self.idle_since = None;
            return false;
        }
        let since = *self.idle_since.get_or_insert(now);
        since.is_older_than(duration, now)
    }
}
