//! Ephemeral events of a channel: a few, for a moment, to whoever is connected.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::delivery::EphemeralEvent;

/// The last ephemeral events. They have running numbers of their own, which are nobody's ids.
#[derive(Debug, Default)]
pub(crate) struct Ephemerals {
    events: VecDeque<Arc<EphemeralEvent>>,
    /// How many were ever dropped from the front.
    dropped: u64,
    bytes: usize,
    /// The running number of the first one that came after the last round of maintenance.
    fresh: u64,
}

impl Ephemerals {
    pub(crate) fn push(&mut self, event: EphemeralEvent) {
        self.bytes += event.payload().len();
        self.events.push_back(Arc::new(event));
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            self.drop_oldest();
        }
    }

    /// Drops those that were there at the round before: who has not read them by now will not get
    /// them. What came since has a whole round's time.
    pub(crate) fn drop_stale(&mut self) {
        while self.dropped < self.fresh {
            self.drop_oldest();
        }
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        self.fresh = self.end();
    }

    /// The running number of the next one.
    pub(crate) fn end(&self) -> u64 {
        self.dropped + self.events.len() as u64
    }

    /// The one with this running number, or the oldest that is left after it.
    pub(crate) fn at(&self, number: u64) -> Option<(u64, Arc<EphemeralEvent>)> {
        let number = number.max(self.dropped);
        let event = self.events.get((number - self.dropped) as usize)?;
        Some((number, Arc::clone(event)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn drop_oldest(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.bytes -= event.payload().len();
            self.dropped += 1;
        }
    }
}

const MAX_EVENTS: usize = 16;
/// No payload is larger, so the newest event always fits.
pub(crate) const MAX_BYTES: usize = 16 << 10;
