//! How dispatchers and handles reach a session: which channels have something, what is to change,
//! and whether to end.

use std::sync::Arc;
use std::task::Waker;

use super::handle::{Change, ChangeError};
use super::progress::Progress;
use crate::delivery::End;
use crate::ring::Ring;
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::waiting::Announcement;

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
    pub(super) progress: Progress,
    ahead: AtomicBool,
}

/// Channels that a session's patterns fit and that it was not told of before.
#[derive(Debug)]
pub(crate) enum Announced {
    Channels(Vec<(Arc<Ring>, Announcement)>),
    /// There were too many to keep: it has to look for them.
    TooMany,
}

#[derive(Debug, Default)]
struct State {
    marked: Vec<Slot>,
    announced: Option<Box<Announced>>,
    waker: Option<Waker>,
    end: Option<End>,
    changes: Vec<Change>,
    /// Nobody reads the session any more.
    closed: bool,
}

impl Signal {
    /// Notes that a channel has something; the waker is to be woken once the pass is over.
    pub(crate) fn mark(&self, slot: Slot) -> Option<Waker> {
        let mut state = self.state.lock();
        state.marked.push(slot);
        state.waker.take()
    }

    /// Notes that a channel has something that a pattern of the session fits.
    pub(crate) fn announce(&self, ring: &Arc<Ring>, announcement: Announcement) -> Option<Waker> {
        let mut state = self.state.lock();
        let announced = state
            .announced
            .get_or_insert_with(|| Box::new(Announced::Channels(Vec::new())));
        match &mut **announced {
            Announced::Channels(channels) if channels.len() < ANNOUNCED_KEPT => {
                channels.push((Arc::clone(ring), announcement));
            }
            too_many => *too_many = Announced::TooMany,
        }
        state.waker.take()
    }

    /// Takes the channels that were announced.
    pub(crate) fn take_announced(&self) -> Option<Box<Announced>> {
        self.state.lock().announced.take()
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

    pub(crate) fn has_news(&self) -> bool {
        let state = self.state.lock();
        !state.marked.is_empty() || state.announced.is_some()
    }

    /// `true` when the session was not blocked already.
    pub(crate) fn block(&self) -> bool {
        !self.blocked.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn unblock(&self) {
        self.blocked.store(false, Ordering::Release);
        self.wake();
    }

    /// Leaves a change for the session's reader.
    pub(crate) fn change(&self, change: Change) -> Result<(), ChangeError> {
        let waker = {
            let mut state = self.state.lock();
            if state.closed || state.end.is_some() {
                return Err(ChangeError::Gone);
            }
            if state.changes.len() == MAX_CHANGES {
                return Err(ChangeError::Busy);
            }
            state.changes.push(change);
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    pub(crate) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.state.lock().changes)
    }

    /// Nobody reads any more: whoever waits for a change is told.
    pub(crate) fn close(&self) {
        let changes = {
            let mut state = self.state.lock();
            state.closed = true;
            state.announced = None;
            std::mem::take(&mut state.changes)
        };
        drop(changes);
    }

    pub(crate) fn end(&self, end: End) {
        self.state.lock().end.get_or_insert(end);
        self.wake();
    }

    /// Has the session look for channels that its patterns fit.
    pub(crate) fn announce_many(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        state.announced = Some(Box::new(Announced::TooMany));
        state.waker.take()
    }

    /// The session waits for what its node was not given yet, or no longer.
    pub(crate) fn set_ahead(&self, is_ahead: bool) {
        self.ahead.store(is_ahead, Ordering::Release);
    }

    pub(crate) fn is_ahead(&self) -> bool {
        self.ahead.load(Ordering::Acquire)
    }

    pub(crate) fn wake(&self) {
        let waker = self.state.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// More marks than this at once are a burst, whose room is given back.
const MARKS_KEPT: usize = 16;
/// So many changes may wait for the reader.
const MAX_CHANGES: usize = 16;
/// More announced channels than this are not kept one by one.
const ANNOUNCED_KEPT: usize = 256;
