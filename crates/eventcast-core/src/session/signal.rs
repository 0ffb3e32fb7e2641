//! How dispatchers and handles reach a session: which channels have something, and whether to end.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use crate::delivery::End;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// A subscription's place in its session. The generation tells marks of an earlier subscription
/// at the same index from those of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    /// Stands in its shard's list of blocked sessions.
    blocked: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    marked: Vec<Slot>,
    waker: Option<Waker>,
    end: Option<End>,
}

impl Signal {
    /// Notes that a channel has something; the waker is to be woken once the pass is over.
    pub(crate) fn mark(&self, slot: Slot) -> Option<Waker> {
        let mut state = self.state.lock();
        state.marked.push(slot);
        state.waker.take()
    }

    /// Takes the marks and leaves the waker for the next one; returns how to end, if so told.
    pub(crate) fn take_marked(&self, waker: &Waker, into: &mut Vec<Slot>) -> Option<End> {
        let mut state = self.state.lock();
        into.append(&mut state.marked);
        if state.marked.capacity() > MARKS_KEPT {
            state.marked = Vec::new();
        }
        if !state.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        state.end
    }

    pub(crate) fn has_marks(&self) -> bool {
        !self.state.lock().marked.is_empty()
    }

    /// `true` when the session was not blocked already.
    pub(crate) fn block(&self) -> bool {
        !self.blocked.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn unblock(&self) {
        self.blocked.store(false, Ordering::Release);
        self.wake();
    }

    fn end(&self, end: End) {
        self.state.lock().end.get_or_insert(end);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.state.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Ends a session from elsewhere; see [`Session::handle`](super::Session::handle).
#[derive(Clone)]
pub struct SessionHandle(Arc<Signal>);

impl SessionHandle {
    pub(crate) fn new(signal: Arc<Signal>) -> Self {
        Self(signal)
    }

    /// Ends the session: the next thing it delivers is this end. A second call changes nothing.
    pub fn end(&self, end: End) {
        self.0.end(end);
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionHandle")
    }
}

/// More marks than this at once are a burst, whose room is given back.
const MARKS_KEPT: usize = 16;
