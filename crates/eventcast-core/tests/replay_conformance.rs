//! The buffer in memory, and the one that the documentation shows, keep the contract of
//! `ReplayBuffer`.

use std::collections::VecDeque;
use std::sync::Arc;

use eventcast_core::{MemoryBuffer, ReplayBuffer, StoredEvent};

mod memory_buffer {
    use super::MemoryBuffer;

    eventcast_testkit::replay_conformance!(MemoryBuffer::default);
}

/// As in the documentation of `ReplayBuffer`; it has the default `rank`.
#[derive(Debug, Default)]
struct Deque(VecDeque<Arc<StoredEvent>>);

impl ReplayBuffer for Deque {
    fn push(&mut self, event: Arc<StoredEvent>) {
        self.0.push_back(event);
    }
    fn pop(&mut self) -> Option<Arc<StoredEvent>> {
        self.0.pop_front()
    }
    fn get(&self, index: usize) -> Option<Arc<StoredEvent>> {
        self.0.get(index).cloned()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
}

mod documented_buffer {
    use super::Deque;

    eventcast_testkit::replay_conformance!(Deque::default);
}
