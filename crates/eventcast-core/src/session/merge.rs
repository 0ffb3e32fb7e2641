//! The merge: events of all channels in the order of their sequences, gaps in their place.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::cursor::{Cursor, Step};
use super::options::SlowPolicy;
use super::reader::{BatchLimits, Session};
use super::subscription::{Subscription, bound_or_arm};
use crate::delivery::{Completed, Conflated, Delivery, End, Gap, GapReason};
use crate::ring::RingState;

/// What is left of a batch's limits.
#[derive(Debug)]
pub(crate) struct Budget {
    events: usize,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        Self {
            events: limits.events.max(1),
            bytes: limits.bytes.max(1),
        }
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.events == 0 || self.bytes == 0
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.events -= 1;
        self.bytes = self.bytes.saturating_sub(bytes + DELIVERY_BYTES);
    }

    /// For an event that nobody gets: time was spent, and nothing is written.
    pub(super) fn skip(&mut self) {
        self.events -= 1;
    }
}

impl Session {
    /// Reads a session's only channel: there is no other whose events could come first, so the
    /// dispatched number does not matter.
    pub(crate) fn read_single(&mut self, budget: &mut Budget, out: &mut Vec<Delivery>) {
        let Some(index) = self.active.pop() else {
            return;
        };
        while !budget.is_spent() && !self.waits_for_page(index) {
            if self.turn(index, u64::MAX, u64::MAX, budget, out).is_none() {
                return;
            }
        }
        self.active.push(index);
    }

    /// Reads all channels that have something, in the order of their sequences, up to the
    /// dispatched number.
    ///
    /// Returns the sequence that waits above the dispatched number, when that is what stopped it.
    pub(crate) fn read_merged(
        &mut self,
        dispatched: u64,
        budget: &mut Budget,
        out: &mut Vec<Delivery>,
    ) -> Option<u64> {
        // A channel's lower bound and its index, lowest first.
        let mut heads = BinaryHeap::with_capacity(self.active.len());
        let mut over = Vec::new();
        for index in std::mem::take(&mut self.active) {
            let subscription = &mut self.subscriptions[index as usize];
            let mut state = subscription.ring.state.lock();
            read_ephemerals(&mut subscription.cursor, &state, budget, out);
            if subscription.is_over(&state) {
                over.push(index);
                continue;
            }
            if subscription.cursor.is_cold(&state) {
                drop(state);
                heads.push(Reverse((subscription.cold_bound(), index)));
                continue;
            }
            let bound = bound_or_arm(
                &subscription.cursor,
                &mut state,
                &mut subscription.armed,
                (self.shard as usize, &self.signal, subscription.slot),
            );
            heads.extend(bound.map(|bound| Reverse((bound, index))));
        }
        for index in over {
            self.remove(index as usize);
        }
        let mut waits = None;
        while !budget.is_spent() && !self.ended {
            let Some(&Reverse((bound, index))) = heads.peek() else {
                break;
            };
            // Its bound is no event's sequence: nobody dispatches it.
            if self.waits_for_page(index) {
                break;
            }
            if bound > dispatched {
                waits = Some(bound);
                break;
            }
            heads.pop();
            let next = heads.peek().map_or(u64::MAX, |Reverse((bound, _))| *bound);
            if let Some(bound) = self.turn(index, dispatched, next, budget, out) {
                heads.push(Reverse((bound, index)));
            }
        }
        self.active
            .extend(heads.into_iter().map(|Reverse((_, index))| index));
        waits
    }

    /// Whether nothing is known of what a channel brings next.
    fn waits_for_page(&self, index: u32) -> bool {
        let subscription = self.subscriptions.get(index as usize);
        let cold = subscription.and_then(|subscription| subscription.cold.as_ref());
        cold.is_some_and(|cold| cold.needs_page())
    }

    /// A turn of a channel whose next events are not in its ring; `None` when they are.
    fn turn_cold(
        &mut self,
        index: u32,
        limits: (u64, u64),
        budget: &mut Budget,
        out: &mut Vec<Delivery>,
    ) -> Option<Option<u64>> {
        let subscription = &mut self.subscriptions[index as usize];
        let ring = Arc::clone(&subscription.ring);
        let mut state = ring.state.lock();
        if !subscription.cursor.is_cold(&state) {
            return None;
        }
        read_ephemerals(&mut subscription.cursor, &state, budget, out);
        if !budget.is_spent()
            && self
                .cold_turn(index, &mut state, limits, budget, out)
                .is_none()
        {
            return Some(None);
        }
        let subscription = &mut self.subscriptions[index as usize];
        if subscription.cursor.is_cold(&state) {
            return Some(Some(subscription.cold_bound()));
        }
        let place = (self.shard as usize, &self.signal, subscription.slot);
        let bound = bound_or_arm(
            &subscription.cursor,
            &mut state,
            &mut subscription.armed,
            place,
        );
        let is_over =
            bound.is_none() && !subscription.named && (subscription.cursor.done || state.collected);
        drop(state);
        if is_over {
            self.remove(index as usize);
        }
        Some(bound)
    }

    /// Delivers from one channel, which has the lowest bound, until `next`, the lowest bound of
    /// the others. Returns the channel's new lower bound, or arms it.
    fn turn(
        &mut self,
        index: u32,
        dispatched: u64,
        next: u64,
        budget: &mut Budget,
        out: &mut Vec<Delivery>,
    ) -> Option<u64> {
        if self.node.is_some()
            && let Some(turned) = self.turn_cold(index, (dispatched, next), budget, out)
        {
            return turned;
        }
        let Subscription {
            ring,
            slot,
            armed,
            cursor,
            named,
            ..
        } = &mut self.subscriptions[index as usize];
        let mut state = ring.state.lock();
        read_ephemerals(cursor, &state, budget, out);
        if budget.is_spent() {
            // Ephemeral events took the rest: what is in order has its turn in the next batch.
        } else if let Some((reason, missed)) = cursor.step_over_trimmed(&state) {
            if reason == GapReason::Slow && cursor.slow == SlowPolicy::Disconnect {
                self.ended = true;
                out.push(Delivery::End(End::Slow));
                return None;
            }
            // The gap may reach beyond what other channels still have to deliver: its id must not.
            let id = cursor.sequence.min(dispatched).min(next - 1);
            self.reached = self.reached.max(id);
            self.position = self.reached;
            let position = Some(self.log.position(self.position));
            out.push(Delivery::Gap(Gap::new(
                &ring.name, reason, missed, position,
            )));
            budget.spend(0);
        } else {
            let mut conflated = 0;
            while !budget.is_spent() {
                match cursor.step(&state, dispatched.min(next)) {
                    Step::Event(event) => {
                        if conflated > 0 {
                            let channel = ring.name.clone();
                            let count = std::mem::take(&mut conflated);
                            out.push(Delivery::Conflated(Conflated { channel, count }));
                        }
                        self.reached = event.sequence();
                        self.position = self.reached;
                        budget.spend(event.payload().len());
                        out.push(Delivery::Event(event));
                    }
                    Step::Completed(sequence, outcome) => {
                        self.reached = self.reached.max(sequence);
                        self.position = self.reached;
                        self.unfinished -= u32::from(*named);
                        budget.spend(0);
                        out.push(Delivery::Completed(Completed {
                            channel: ring.name.clone(),
                            outcome,
                            position: Some(self.log.position(self.position)),
                        }));
                    }
                    Step::Conflated(sequence) => {
                        conflated += 1;
                        self.reached = sequence;
                        budget.skip();
                    }
                    Step::Filtered(sequence) => {
                        self.reached = sequence;
                        budget.skip();
                    }
                    Step::Nothing => break,
                }
            }
            if conflated > 0 {
                let (channel, count) = (ring.name.clone(), conflated);
                out.push(Delivery::Conflated(Conflated { channel, count }));
            }
            if self.reached > self.position && is_falling_behind(self.position, &state) {
                self.position = self.reached;
                out.push(Delivery::Position(self.log.position(self.position)));
            }
        }
        let place = (self.shard as usize, &self.signal, *slot);
        let bound = bound_or_arm(cursor, &mut state, armed, place);
        let is_over = bound.is_none() && !*named && (cursor.done || state.collected);
        drop(state);
        if is_over {
            self.remove(index as usize);
        }
        bound
    }
}

/// Whether a position that moved unseen is about to fall below the trim mark: the channel trims,
/// and half of what it retains lies after the position.
fn is_falling_behind(position: u64, state: &RingState) -> bool {
    let middle = state.trimmed() + state.len() as u64 / 2;
    state.trimmed() > 0
        && state
            .at(middle)
            .is_some_and(|event| position < event.sequence())
}

fn read_ephemerals(
    cursor: &mut Cursor,
    state: &RingState,
    budget: &mut Budget,
    out: &mut Vec<Delivery>,
) {
    while !budget.is_spent()
        && let Some((number, event)) = state.ephemerals.at(cursor.ephemeral)
    {
        cursor.ephemeral = number + 1;
        if !cursor.takes_ephemeral(&event) {
            budget.skip();
            continue;
        }
        budget.spend(event.payload().len());
        out.push(Delivery::Ephemeral(event));
    }
}

/// What a delivery adds to its payload on the wire, about.
const DELIVERY_BYTES: usize = 64;
