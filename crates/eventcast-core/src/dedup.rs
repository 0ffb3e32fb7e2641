//! Idempotency keys: which publishes were made already.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::name::{ChannelName, Key};
use crate::stored::Timestamp;

/// The keys of a window of publishes, bounded by count and age.
#[derive(Debug, Default)]
pub(crate) struct Window {
    sequences: HashMap<(ChannelName, Key), u64>,
    order: VecDeque<(Timestamp, (ChannelName, Key))>,
}

impl Window {
    /// The sequence of the publish with this key.
    pub(crate) fn find(&self, channel: &ChannelName, key: &Key) -> Option<u64> {
        // Keys are rare next to publishes, so the look-up may clone two reference counts.
        let entry = (channel.clone(), key.clone());
        self.sequences.get(&entry).copied()
    }

    pub(crate) fn insert(
        &mut self,
        channel: &ChannelName,
        key: &Key,
        sequence: u64,
        now: Timestamp,
    ) {
        let entry = (channel.clone(), key.clone());
        self.sequences.insert(entry.clone(), sequence);
        self.order.push_back((now, entry));
    }

    /// Forgets what is beyond the bounds.
    pub(crate) fn trim(&mut self, count: usize, age: Duration, now: Timestamp) {
        while let Some((time, _)) = self.order.front()
            && (self.order.len() > count || time.is_older_than(age, now))
        {
            if let Some((_, entry)) = self.order.pop_front() {
                self.sequences.remove(&entry);
            }
        }
    }
}
