//! A place in one channel, and the steps from it.

use std::sync::Arc;

use super::options::{Filter, SlowPolicy, SubscriptionOptions};
use crate::delivery::{EphemeralEvent, GapReason, Outcome};
use crate::name::EventName;
use crate::ring::RingState;
use crate::stored::{StoredEvent, Timestamp};
use crate::waiting::Announcement;

/// Where a cursor begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// With the last so many events.
    Last(usize),
    /// After this sequence, which is the present end of the log.
    Live(u64),
    /// After this sequence.
    Sequence(u64),
    /// With the first event of this time or later.
    Since(Timestamp),
    /// Before everything that is retained.
    TrimMark,
}

pub(crate) struct Cursor {
    /// The last sequence of the channel that the session has dealt with.
    pub(crate) sequence: u64,
    /// The running number of the next event to read. Unknown while the cursor is below the trim
    /// mark that it met as the subscription began, which makes the size of that gap unknown too.
    number: Option<u64>,
    /// The running number of the next ephemeral event.
    pub(crate) ephemeral: u64,
    pub(crate) slow: SlowPolicy,
    filter: Option<Arc<Filter>>,
    presence: bool,
    /// Nothing comes any more.
    pub(crate) done: bool,
}

/// What the next step of a cursor comes to.
#[derive(Debug)]
pub(crate) enum Step {
    Completed(u64, Outcome),
    /// An event in whose place a newer one of its key comes.
    Conflated(u64),
    Event(Arc<StoredEvent>),
    /// An event that the filter leaves out.
    Filtered(u64),
    /// Nothing up to the limit.
    Nothing,
}

impl Cursor {
    pub(crate) fn new(state: &RingState, origin: Origin, options: &SubscriptionOptions) -> Self {
        let before = |count: usize| {
            let number = (state.trimmed() + count as u64).checked_sub(1);
            let event = number.and_then(|number| state.at(number));
            event.map_or_else(|| state.trim_mark(), |event| event.sequence())
        };
        let sequence = match origin {
            Origin::Last(count) => before(state.len().saturating_sub(count)),
            Origin::Live(_) if state.completion().is_some() => state.trim_mark(),
            Origin::Live(sequence) | Origin::Sequence(sequence) => sequence,
            Origin::Since(time) => match state.count_before(time) {
                0 if state.trim_mark() > 0 && state.trimmed_until() >= time => {
                    state.trim_mark() - 1
                }
                count => before(count),
            },
            Origin::TrimMark => state.trim_mark(),
        };
        let end = state.completion().map(|end| end.sequence);
        Self {
            sequence,
            number: state.number_after(sequence),
            ephemeral: state.ephemerals.end(),
            slow: options.slow,
            filter: options.filter.clone(),
            presence: options.presence,
            done: end.is_some_and(|end| sequence >= end),
        }
    }

    /// Begins where a channel was announced, or after `start` if that is later.
    pub(crate) fn announced(
        state: &RingState,
        announcement: Announcement,
        start: u64,
        options: &SubscriptionOptions,
    ) -> Self {
        let origin = Origin::Sequence(announcement.after.max(start));
        let mut cursor = Self::new(state, origin, options);
        cursor.ephemeral = announcement.ephemeral;
        if announcement.after >= start {
            cursor.number = Some(announcement.number);
        }
        cursor
    }

    /// The same, but not before `sequence`.
    pub(crate) fn at_least(mut self, state: &RingState, sequence: u64) -> Self {
        if self.sequence < sequence {
            self.sequence = sequence;
            self.number = state.number_after(sequence);
        }
        self
    }

    /// Whether its next event is, or was, in the ring.
    pub(crate) fn was_in_ring(&self) -> bool {
        self.number.is_some()
    }

    /// Goes on in the ring, which reaches down to it.
    pub(crate) fn enter_ring(&mut self, state: &RingState) {
        self.number = state.number_after(self.sequence);
    }

    /// Whether the filter lets an event through.
    pub(crate) fn takes(&self, event: &StoredEvent) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| filter.takes(event))
    }

    pub(crate) fn set_options(&mut self, options: &SubscriptionOptions) {
        self.slow = options.slow;
        self.filter.clone_from(&options.filter);
        self.presence = options.presence;
    }

    /// Whether an ephemeral event comes.
    pub(crate) fn takes_ephemeral(&self, event: &EphemeralEvent) -> bool {
        let name = event.name();
        if name.is_some_and(|name| name.as_str() == EventName::PRESENCE) {
            return self.presence;
        }
        let filter = self.filter.as_ref();
        filter.is_none_or(|filter| filter.takes_name(name))
    }

    /// Whether it may pass over events without a word.
    pub(crate) fn is_selective(&self) -> bool {
        self.filter.is_some() || self.slow == SlowPolicy::Conflate
    }

    /// The lowest sequence that the channel may bring next: its next event, or the first one that
    /// it may have lost; `None` when the ring holds nothing above the cursor.
    pub(crate) fn lower_bound(&self, state: &RingState) -> Option<u64> {
        if self.sequence < state.trim_mark() {
            return Some(self.sequence + 1);
        }
        match state.at(self.next_number(state)?) {
            Some(event) => Some(event.sequence()),
            None if self.done => None,
            None => state.completion().map(|end| end.sequence),
        }
    }

    /// The running number of the next event of the ring. One that resumed after what this node was
    /// given then may find that trimmed which it was to pass over.
    fn next_number(&self, state: &RingState) -> Option<u64> {
        Some(self.number?.max(state.trimmed()))
    }

    /// Steps over what was trimmed, if anything was lost by that: why, and how much.
    pub(crate) fn step_over_trimmed(
        &mut self,
        state: &RingState,
    ) -> Option<(GapReason, Option<u64>)> {
        if self.sequence >= state.trim_mark() {
            return None;
        }
        let reason = match self.number {
            Some(_) => GapReason::Slow,
            None => GapReason::Trimmed,
        };
        let conflates = self.slow == SlowPolicy::Conflate;
        let is_lost = !conflates || self.sequence < state.lost_mark();
        let missed = self
            .number
            .and_then(|number| state.trimmed().checked_sub(number));
        self.sequence = state.trim_mark();
        self.number = Some(state.trimmed());
        // How many of them had a newer event is known to nobody.
        is_lost.then_some((reason, missed.filter(|_| !self.is_selective())))
    }

    /// The next step up to `limit`.
    pub(crate) fn step(&mut self, state: &RingState, limit: u64) -> Step {
        let Some(number) = self.next_number(state) else {
            return Step::Nothing;
        };
        let Some(event) = state.at(number) else {
            return self.step_to_end(state, limit);
        };
        let sequence = event.sequence();
        if sequence > limit {
            return Step::Nothing;
        }
        self.number = Some(number + 1);
        if sequence <= self.sequence {
            // Only a broken buffer gives an event that is behind: it must not come twice, nor
            // bring the cursor back.
            return Step::Filtered(self.sequence);
        }
        self.sequence = sequence;
        if self.filter.as_ref().is_some_and(|f| !f.takes(&event)) {
            Step::Filtered(sequence)
        } else if self.slow == SlowPolicy::Conflate && state.is_superseded(&event) {
            Step::Conflated(sequence)
        } else {
            Step::Event(event)
        }
    }

    fn step_to_end(&mut self, state: &RingState, limit: u64) -> Step {
        match state.completion() {
            Some(end) if !self.done && end.sequence <= limit => {
                self.done = true;
                self.sequence = self.sequence.max(end.sequence);
                Step::Completed(end.sequence, end.outcome.clone())
            }
            _ => Step::Nothing,
        }
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("sequence", &self.sequence)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}
