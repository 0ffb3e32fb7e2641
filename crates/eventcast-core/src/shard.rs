//! Dispatch: a publish tells a shard, the shard tells its sessions.
//!
//! The order in which things happen here is what makes one number a position; see "Watermark" in
//! `docs/design.md`. In short: a sequence is handed to a shard before it counts as committed, and
//! is dispatched only after every session that waited for it is marked.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::patterns::PatternIndex;
use crate::ring::Ring;
use crate::session::Signal;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::waiting::Taken;

#[derive(Debug)]
pub(crate) struct Shard {
    index: usize,
    /// The lowest sequence handed over whose sessions are not all marked yet, or [`NOTHING`].
    pending: AtomicU64,
    state: Mutex<ShardState>,
    /// Held during a pass: the driver and publishers without one take turns.
    pass: Mutex<()>,
    pub(crate) patterns: PatternIndex,
}

#[derive(Debug, Default)]
struct ShardState {
    /// Channels with the first sequence handed over, or that could be.
    queue: Vec<(Arc<Ring>, u64)>,
    /// Sessions that have something above the dispatched number and nothing else to do.
    blocked: Vec<Arc<Signal>>,
    driver: DriverState,
}

#[derive(Debug, Default)]
enum DriverState {
    /// Nobody drives the shard: publishers dispatch by themselves.
    #[default]
    Absent,
    /// Waits to be woken.
    Idle(Waker),
    /// Is at work and will look into the queue again.
    Busy,
    /// The hub is gone.
    Ended,
}

/// What a publisher owes a shard once it has released the log's locks.
#[derive(Debug)]
pub(crate) enum Nudge {
    Dispatch(usize),
    Wake(Waker),
}

impl Shard {
    pub(crate) fn new(index: usize) -> Self {
        Self {
            index,
            pending: AtomicU64::new(NOTHING),
            state: Mutex::default(),
            pass: Mutex::new(()),
            patterns: PatternIndex::default(),
        }
    }

    /// Hands a channel over, under its ring's lock, with a sequence that no event is below that its
    /// sessions were not told of: that of the event it is for, or the next one to be committed.
    pub(crate) fn queue(&self, ring: &Arc<Ring>, sequence: u64) -> Option<Nudge> {
        let mut state = self.state.lock();
        if self.pending.load(Ordering::Relaxed) == NOTHING {
            self.pending.store(sequence, Ordering::Release);
        }
        state.queue.push((Arc::clone(ring), sequence));
        match std::mem::replace(&mut state.driver, DriverState::Busy) {
            DriverState::Idle(waker) => Some(Nudge::Wake(waker)),
            DriverState::Busy => None,
            gone => {
                state.driver = gone;
                Some(Nudge::Dispatch(self.index))
            }
        }
    }

    /// The dispatched number: every event up to it is marked at the sessions that waited for it.
    ///
    /// The committed number has to be read before the call: a sequence is handed over before it is
    /// committed, so what is missing from `pending` then is marked already.
    pub(crate) fn dispatched(&self, committed: u64) -> u64 {
        committed.min(self.pending.load(Ordering::Acquire).saturating_sub(1))
    }

    /// Registers a session to be woken at the end of the running pass; `false` when `sequence` is
    /// dispatched already and the session should look again instead.
    pub(crate) fn block(&self, signal: &Arc<Signal>, sequence: u64) -> bool {
        let mut state = self.state.lock();
        if self.pending.load(Ordering::Acquire) > sequence {
            return false;
        }
        if signal.block() {
            state.blocked.push(Arc::clone(signal));
        }
        true
    }

    /// Marks and wakes the sessions of every queued channel; `false` when there was none.
    pub(crate) fn run_pass(&self) -> bool {
        let pass = self.pass.lock();
        let queue = std::mem::take(&mut self.state.lock().queue);
        if queue.is_empty() {
            return false;
        }
        let mut wakers = Vec::new();
        for (ring, _) in &queue {
            let Taken {
                waiters,
                announcement,
            } = ring.state.lock().waiting.take(self.index);
            wakers.extend(
                waiters
                    .into_iter()
                    .filter_map(|(_, w)| w.signal.mark(w.slot)),
            );
            if let Some(announcement) = announcement {
                self.patterns
                    .for_each_since(&ring.name, announcement.since, |signal| {
                        wakers.extend(signal.announce(ring, announcement));
                    });
            }
        }
        let blocked = {
            let mut state = self.state.lock();
            let next = state.queue.iter().map(|(_, first)| *first).min();
            self.pending
                .store(next.unwrap_or(NOTHING), Ordering::Release);
            std::mem::take(&mut state.blocked)
        };
        drop(pass);
        wakers.into_iter().for_each(Waker::wake);
        for signal in blocked {
            signal.unblock();
        }
        true
    }

    /// Dispatches until the queue is empty, for hubs without a driver.
    pub(crate) fn run(&self) {
        while self.run_pass() {}
    }

    /// One turn of the driver: ready once the hub is gone.
    pub(crate) fn poll_drive(&self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..PASSES_PER_TURN {
            if self.run_pass() {
                continue;
            }
            let mut state = self.state.lock();
            if matches!(state.driver, DriverState::Ended) {
                return Poll::Ready(());
            }
            if state.queue.is_empty() {
                state.driver = DriverState::Idle(cx.waker().clone());
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// From now on a driver dispatches.
    pub(crate) fn attach_driver(&self) {
        self.state.lock().driver = DriverState::Busy;
    }

    /// The driver is gone: what it left is dispatched here, and publishers take over.
    pub(crate) fn detach_driver(&self) {
        {
            let mut state = self.state.lock();
            if matches!(state.driver, DriverState::Ended) {
                return;
            }
            state.driver = DriverState::Absent;
        }
        self.run();
    }

    /// The hub is gone: the driver ends.
    pub(crate) fn end(&self) {
        let driver = std::mem::replace(&mut self.state.lock().driver, DriverState::Ended);
        if let DriverState::Idle(waker) = driver {
            waker.wake();
        }
    }
}

const NOTHING: u64 = u64::MAX;
/// A driver under constant load lets others run after so many passes.
const PASSES_PER_TURN: usize = 16;
