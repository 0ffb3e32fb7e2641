//! The sessions that a service has open, so that they can be ended.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eventcast_core::{End, Session, SessionHandle};
use slab::Slab;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use crate::disconnect::Departure;
pub(crate) use crate::disconnect::TransportKind as Transport;
use crate::spread::around;

/// How many sessions a service has open; see [`EventService::subscribers`](crate::EventService::subscribers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribers {
    /// Waiting for the answer to a poll.
    pub poll: usize,
    /// Over Server-Sent Events.
    pub sse: usize,
    /// Over streams of newline-delimited JSON.
    pub stream: usize,
    /// Over WebSocket.
    pub websocket: usize,
}

/// All open sessions of a service.
#[derive(Clone)]
pub(crate) struct Registry(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    emptied: Notify,
    /// When the drain is over, once there is one.
    drain: watch::Sender<Option<Instant>>,
    retry: Duration,
}

#[derive(Default)]
struct State {
    sessions: Slab<(Transport, SessionHandle)>,
    ended: Option<End>,
}

/// A session's entry, until it is dropped.
pub(crate) struct Registered {
    registry: Registry,
    key: usize,
    pub(crate) departure: Departure,
}

impl Registry {
    /// Sessions that are refused in a drain are told to come back after about `retry`.
    pub(crate) fn new(retry: Duration) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            emptied: Notify::new(),
            drain: watch::Sender::new(None),
            retry,
        }))
    }

    /// Enters a session; an error tells how it has to end, as all have been ended.
    pub(crate) fn register(
        &self,
        transport: Transport,
        session: &Session,
        departure: Departure,
    ) -> Result<Registered, End> {
        let mut state = self.state();
        if let Some(end) = state.ended {
            drop(state);
            return Err(match end {
                End::Draining { .. } if self.drains() => End::Draining {
                    retry: Some(around(self.0.retry)),
                },
                end => end,
            });
        }
        let key = state.sessions.insert((transport, session.handle()));
        Ok(Registered {
            registry: self.clone(),
            key,
            departure,
        })
    }

    /// Ends every open session, and refuses new ones.
    pub(crate) fn end_all(&self, end: End) {
        for handle in self.refuse_from_now(end) {
            handle.end(end);
        }
    }

    /// Refuses new sessions, and returns those that have to end until then; `None` when a drain
    /// that is over no later is under way.
    pub(crate) fn begin_drain(&self, until: Instant) -> Option<Vec<SessionHandle>> {
        let is_earlier = |known: &mut Option<Instant>| {
            let is_earlier = known.is_none_or(|known| until < known);
            if is_earlier {
                *known = Some(until);
            }
            is_earlier
        };
        let is_earlier = self.0.drain.send_if_modified(is_earlier);
        is_earlier.then(|| self.refuse_from_now(End::Draining { retry: None }))
    }

    /// Done once a drain has begun.
    pub(crate) async fn drain_begins(&self) {
        let mut drain = self.0.drain.subscribe();
        // The sender is in `self`.
        let _ = drain.wait_for(Option::is_some).await;
    }

    /// Done once no session is open, or the drain's time is over.
    pub(crate) async fn drained(&self) {
        let mut drain = self.0.drain.subscribe();
        loop {
            let Some(until) = *drain.borrow_and_update() else {
                return;
            };
            tokio::select! {
                () = self.empty() => return,
                () = sleep_until(until) => return,
                // It is in a hurry now.
                _ = drain.changed() => {}
            }
        }
    }

    fn drains(&self) -> bool {
        self.0.drain.borrow().is_some()
    }

    pub(crate) fn ended(&self) -> Option<End> {
        self.state().ended
    }

    pub(crate) fn count(&self, transport: Transport) -> usize {
        let state = self.state();
        let same = |(_, (other, _)): &(usize, &(Transport, SessionHandle))| *other == transport;
        state.sessions.iter().filter(same).count()
    }

    /// Done once no session is open.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.state().sessions.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Returns the sessions that are open.
    fn refuse_from_now(&self, end: End) -> Vec<SessionHandle> {
        let mut state = self.state();
        state.ended.get_or_insert(end);
        let sessions = state.sessions.iter();
        sessions.map(|(_, (_, handle))| handle.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Before anybody may think that all sessions are over.
        self.departure.settle();
        let mut state = self.registry.state();
        state.sessions.remove(self.key);
        if state.sessions.is_empty() {
            state.sessions.shrink_to_fit();
            drop(state);
            self.registry.0.emptied.notify_waiters();
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("sessions", &self.state().sessions.len())
            .finish_non_exhaustive()
    }
}
