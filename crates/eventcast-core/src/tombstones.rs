//! Completed channels that were forgotten: enough to tell who comes late.

use std::collections::{HashMap, VecDeque};

use crate::name::ChannelName;
use crate::ring::Completion;

/// The last completed channels that were forgotten, bounded by count.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    ends: HashMap<ChannelName, Completion>,
    order: VecDeque<ChannelName>,
}

impl Tombstones {
    pub(crate) fn find(&self, channel: &ChannelName) -> Option<Completion> {
        self.ends.get(channel).cloned()
    }

    pub(crate) fn insert(&mut self, channel: &ChannelName, end: &Completion, limit: usize) {
        self.ends.insert(channel.clone(), end.clone());
        self.order.push_back(channel.clone());
        while self.order.len() > limit {
            if let Some(oldest) = self.order.pop_front() {
                self.ends.remove(&oldest);
            }
        }
    }
}
