//! One channel of a session.

use std::sync::Arc;

use super::cold::Cold;
use super::cursor::{Cursor, Origin};
use super::options::SubscriptionOptions;
use super::signal::{Signal, Slot};
use crate::log::{Log, Refused};
use crate::name::ChannelName;
use crate::ring::{Ring, RingState};
use crate::waiting::ArmKey;

#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) ring: Arc<Ring>,
    pub(crate) slot: Slot,
    pub(crate) armed: Option<ArmKey>,
    pub(crate) cursor: Cursor,
    /// The session named the channel; otherwise it has it by a pattern.
    pub(crate) named: bool,
    /// What comes from a log outside, while the ring does not reach down to the cursor.
    pub(crate) cold: Option<Box<Cold>>,
}

impl Subscription {
    /// Finds or makes a channel and subscribes to it.
    pub(crate) fn attach(
        log: &Log,
        name: &ChannelName,
        origin: Origin,
        options: &SubscriptionOptions,
    ) -> Result<(Arc<Ring>, Cursor), Refused> {
        loop {
            let ring = log.find_or_create(name)?;
            let mut state = ring.state.lock();
            if state.collected {
                continue;
            }
            state.subscribe();
            let cursor = Cursor::new(&state, origin, options);
            drop(state);
            return Ok((ring, cursor));
        }
    }

    pub(crate) fn detach(&self, log: &Log, shard: usize) {
        let mut state = self.ring.state.lock();
        if self.named {
            state.unsubscribe();
        } else {
            state.detach_match();
        }
        if let Some(armed) = self.armed {
            state.waiting.disarm(shard, armed);
        }
        let untouched = state.is_untouched() && !state.collected;
        drop(state);
        if untouched {
            log.forget_untouched(&self.ring.name);
        }
    }

    /// Whether nothing comes any more of a channel that the session has by a pattern.
    pub(crate) fn is_over(&self, state: &RingState) -> bool {
        !self.named
            && (state.collected || self.cursor.done)
            && self.cursor.lower_bound(state).is_none()
    }
}

/// The lowest sequence that a channel may bring next; if the ring holds nothing above the cursor,
/// the session is armed there instead.
pub(crate) fn bound_or_arm(
    cursor: &Cursor,
    state: &mut RingState,
    armed: &mut Option<ArmKey>,
    (shard, signal, slot): (usize, &Arc<Signal>, Slot),
) -> Option<u64> {
    let bound = cursor.lower_bound(state);
    if bound.is_none() {
        *armed = Some(state.waiting.arm(shard, signal, slot));
    }
    bound
}
