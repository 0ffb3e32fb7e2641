//! The sessions that a service has open, so that they can be ended.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventcast_core::{End, Session, SessionHandle};
use slab::Slab;
use tokio::sync::Notify;

/// What an open session is read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Poll,
    Sse,
    Stream,
    WebSocket,
}

/// All open sessions of a service.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    emptied: Notify,
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
}

impl Registry {
    /// Enters a session; an error tells how all sessions have been ended.
    pub(crate) fn register(
        &self,
        transport: Transport,
        session: &Session,
    ) -> Result<Registered, End> {
        let mut state = self.state();
        if let Some(end) = state.ended {
            return Err(end);
        }
        let key = state.sessions.insert((transport, session.handle()));
        Ok(Registered {
            registry: self.clone(),
            key,
        })
    }

    /// Ends every open session, and refuses new ones.
    pub(crate) fn end_all(&self, end: End) {
        let mut state = self.state();
        state.ended.get_or_insert(end);
        let handles: Vec<_> = state
            .sessions
            .iter()
            .map(|(_, (_, handle))| handle.clone())
            .collect();
        drop(state);
        for handle in handles {
            handle.end(end);
        }
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
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
