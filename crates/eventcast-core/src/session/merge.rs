//! The merge: events of all channels in the order of their sequences, gaps in their place.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::reader::{BatchLimits, Session};
use crate::delivery::{Delivery, Gap};

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

    fn is_spent(&self) -> bool {
        self.events == 0 || self.bytes == 0
    }

    fn spend(&mut self, bytes: usize) {
        self.events -= 1;
        self.bytes = self.bytes.saturating_sub(bytes + DELIVERY_BYTES);
    }
}

impl Session {
    /// Reads a session's only channel: there is no other whose events could come first, so the
    /// dispatched number does not matter.
    pub(crate) fn read_single(&mut self, budget: &mut Budget, out: &mut Vec<Delivery>) {
        let Some(index) = self.active.pop() else {
            return;
        };
        while !budget.is_spent() {
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
        for index in std::mem::take(&mut self.active) {
            if let Some(bound) = self.bound_or_arm(index) {
                heads.push(Reverse((bound, index)));
            }
        }
        let mut waits = None;
        while !budget.is_spent() {
            let Some(&Reverse((bound, index))) = heads.peek() else {
                break;
            };
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
        let subscription = &mut self.subscriptions[index as usize];
        let mut state = subscription.ring.state.lock();
        let cursor = &mut subscription.cursor;
        if let Some((reason, missed)) = cursor.step_over_trimmed(&state) {
            // The gap may reach beyond what other channels still have to deliver: its id must not.
            let id = cursor.sequence.min(dispatched).min(next - 1);
            self.position = self.position.max(id);
            out.push(Delivery::Gap(Gap {
                channel: subscription.ring.name.clone(),
                reason,
                missed,
                position: Some(self.log.position(self.position)),
            }));
            budget.spend(0);
        } else {
            while !budget.is_spent()
                && let Some(event) = cursor.read(&state, dispatched.min(next))
            {
                self.position = event.sequence();
                budget.spend(event.payload().len());
                out.push(Delivery::Event(event));
            }
        }
        let bound = cursor.lower_bound(&state);
        if bound.is_none() {
            let key = state.arm(self.shard, &self.signal, subscription.slot);
            subscription.armed = Some(key);
        }
        bound
    }

    fn bound_or_arm(&mut self, index: u32) -> Option<u64> {
        let subscription = &mut self.subscriptions[index as usize];
        let mut state = subscription.ring.state.lock();
        let bound = subscription.cursor.lower_bound(&state);
        if bound.is_none() {
            let key = state.arm(self.shard, &self.signal, subscription.slot);
            subscription.armed = Some(key);
        }
        bound
    }
}

/// What a delivery adds to its payload on the wire, about.
const DELIVERY_BYTES: usize = 64;
