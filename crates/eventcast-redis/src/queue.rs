//! What the server pushes, until it is taken: bounded by number and bytes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Something that the server pushed.
#[derive(Debug)]
pub(crate) enum Push {
    /// An announcement of records.
    Records(Bytes),
    /// A message of a node.
    Message(Bytes),
}

/// The queue between a connection and the task that reads it. What finds no room is left out: the
/// numbers of records show that.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    ready: Notify,
    count: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    pushes: VecDeque<Push>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(count: usize, bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            ready: Notify::new(),
            count,
            bytes,
        }
    }

    pub(crate) fn push(&self, push: Push) {
        let mut state = self.lock();
        let size = size(&push);
        let has_room = state.pushes.is_empty()
            || (state.pushes.len() < self.count && state.bytes + size <= self.bytes);
        if has_room {
            state.bytes += size;
            state.pushes.push_back(push);
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// What is there now.
    pub(crate) fn take(&self) -> VecDeque<Push> {
        let mut state = self.lock();
        state.bytes = 0;
        std::mem::take(&mut state.pushes)
    }

    /// Waits for something; `false` when nothing is there and nothing more comes. Cancel safe.
    pub(crate) async fn ready(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if !state.pushes.is_empty() {
                    return true;
                }
                if state.closed {
                    return false;
                }
            }
            self.ready.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(push: &Push) -> usize {
    match push {
        Push::Records(bytes) | Push::Message(bytes) => bytes.len(),
    }
}
