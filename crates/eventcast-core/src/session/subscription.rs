//! One channel of a session: a cursor into its ring.

use std::sync::Arc;

use super::signal::Slot;
use crate::delivery::GapReason;
use crate::log::Log;
use crate::name::ChannelName;
use crate::ring::{ArmKey, Ring, RingState};

/// Where a subscription's cursor starts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// After this sequence.
    Sequence(u64),
    /// Before everything that is retained.
    TrimMark,
}

#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) ring: Arc<Ring>,
    pub(crate) slot: Slot,
    pub(crate) armed: Option<ArmKey>,
    pub(crate) cursor: Cursor,
}

impl Subscription {
    /// Attaches to a channel; `None` when the hub has no room for it.
    pub(crate) fn attach(
        log: &Log,
        name: &ChannelName,
        slot: Slot,
        origin: Origin,
    ) -> Option<Self> {
        loop {
            let ring = log.find_or_create(name)?;
            let mut state = ring.state.lock();
            if state.collected {
                continue;
            }
            state.subscribe();
            let cursor = Cursor::new(&state, origin);
            drop(state);
            return Some(Self {
                ring,
                slot,
                armed: None,
                cursor,
            });
        }
    }

    pub(crate) fn detach(&self, log: &Log, shard: usize) {
        let mut state = self.ring.state.lock();
        state.unsubscribe(shard, self.armed);
        let untouched = state.is_untouched();
        drop(state);
        if untouched {
            log.forget_untouched(&self.ring.name);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Cursor {
    /// The last sequence of the channel that the session has dealt with.
    pub(crate) sequence: u64,
    /// The running number of the next event to read. Unknown while the cursor is below the trim
    /// mark that it met as the subscription began, which makes the size of that gap unknown too.
    number: Option<u64>,
}

impl Cursor {
    fn new(state: &RingState, origin: Origin) -> Self {
        let sequence = match origin {
            Origin::Sequence(sequence) => sequence,
            Origin::TrimMark => state.trim_mark(),
        };
        Self {
            sequence,
            number: state.number_after(sequence),
        }
    }

    /// The lowest sequence that the channel may bring next: its next event, or the first one that
    /// it may have lost; `None` when the ring holds nothing above the cursor.
    pub(crate) fn lower_bound(&self, state: &RingState) -> Option<u64> {
        if self.sequence < state.trim_mark() {
            return Some(self.sequence + 1);
        }
        state.at(self.number?).map(|event| event.sequence())
    }

    /// Steps over what was trimmed, if anything was: why it is lost, and how much of it.
    pub(crate) fn step_over_trimmed(
        &mut self,
        state: &RingState,
    ) -> Option<(GapReason, Option<u64>)> {
        if self.sequence >= state.trim_mark() {
            return None;
        }
        let missed = self.number.map(|number| state.trimmed() - number);
        self.sequence = state.trim_mark();
        self.number = Some(state.trimmed());
        let reason = match missed {
            Some(_) => GapReason::Slow,
            None => GapReason::Trimmed,
        };
        Some((reason, missed))
    }

    /// Reads the next event with a sequence of at most `limit`.
    pub(crate) fn read(
        &mut self,
        state: &RingState,
        limit: u64,
    ) -> Option<Arc<crate::stored::StoredEvent>> {
        let number = self.number.as_mut()?;
        let event = state.at(*number)?;
        if event.sequence() > limit {
            return None;
        }
        *number += 1;
        self.sequence = event.sequence();
        Some(event)
    }
}
