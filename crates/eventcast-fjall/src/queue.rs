//! What waits for the thread that writes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use eventcast_core::{Append, AppendError, BackplaneError, Position, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

/// An append that waits.
pub(crate) struct Job {
    pub(crate) append: Append,
    pub(crate) bodies: Vec<Bytes>,
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) answer: oneshot::Sender<Result<Vec<Position>, AppendError>>,
    /// Its share of the queue's bytes.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// Tells whether an append was begun: until then it can be taken back.
#[derive(Debug, Default)]
pub(crate) struct Ticket(AtomicU8);

impl Ticket {
    const TAKEN: u8 = 1;
    const WITHDRAWN: u8 = 2;

    /// Whether the append may be begun.
    pub(crate) fn take(&self) -> bool {
        self.settle(Self::TAKEN)
    }

    /// Whether it was taken back in time.
    pub(crate) fn withdraw(&self) -> bool {
        self.settle(Self::WITHDRAWN)
    }

    fn settle(&self, state: u8) -> bool {
        let settled = (self.0).compare_exchange(0, state, Ordering::AcqRel, Ordering::Acquire);
        settled.is_ok()
    }
}

/// What the thread is to do next.
pub(crate) enum Work {
    Append(Vec<Job>),
    Maintain(Timestamp, oneshot::Sender<Result<(), BackplaneError>>),
    /// What was acknowledged has to be synced now.
    Sync,
    Close(Option<oneshot::Sender<Result<(), BackplaneError>>>),
}

enum Entry {
    Append(Job),
    Other(Work),
}

/// A queue whose bytes are bounded by who fills it.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    closed: bool,
}

impl Queue {
    /// `false` when the queue is closed.
    pub(crate) fn push(&self, job: Job) -> bool {
        self.push_entry(Entry::Append(job))
    }

    /// The same; closing is the last thing that is taken.
    pub(crate) fn push_other(&self, work: Work) -> bool {
        self.push_entry(Entry::Other(work))
    }

    fn push_entry(&self, entry: Entry) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.closed = matches!(entry, Entry::Other(Work::Close(_)));
        state.entries.push_back(entry);
        drop(state);
        self.filled.notify_one();
        true
    }

    /// Drops what waits, and takes nothing more.
    pub(crate) fn shut(&self) {
        let entries = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.entries)
        };
        drop(entries);
    }

    /// The next thing to do; appends that wait together come together, at most `most`. Not later
    /// than `until` it says to sync.
    pub(crate) fn take(&self, most: usize, until: Option<Instant>) -> Work {
        let mut state = self.lock();
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Work::Sync;
            }
            match state.entries.pop_front() {
                Some(Entry::Other(work)) => return work,
                Some(Entry::Append(job)) => {
                    let mut jobs = vec![job];
                    while jobs.len() < most
                        && matches!(state.entries.front(), Some(Entry::Append(_)))
                        && let Some(Entry::Append(job)) = state.entries.pop_front()
                    {
                        jobs.push(job);
                    }
                    return Work::Append(jobs);
                }
                None => {}
            }
            state = match left {
                None => self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.filled.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
