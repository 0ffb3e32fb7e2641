//! The open sessions in pages, for who looks at them from outside.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::SessionHandle;

use super::{Registry, Transport};

/// A page of sessions.
pub(crate) struct Page {
    pub(crate) sessions: Vec<Listed>,
    /// After which place the next page starts, if there is one.
    pub(crate) next: Option<usize>,
}

/// An open session.
pub(crate) struct Listed {
    /// Of all sessions there ever were.
    pub(crate) number: u64,
    pub(crate) transport: Transport,
    pub(crate) age: Duration,
    pub(crate) principal: Option<Arc<str>>,
    /// To be asked how far it is, which takes a lock of its own.
    pub(crate) handle: SessionHandle,
}

impl Registry {
    /// Sessions in the order of their places, which they keep: one that is open all the while is on
    /// exactly one page.
    pub(crate) fn page(&self, after: Option<usize>, limit: usize) -> Page {
        let state = self.state();
        let first = after.map_or(0, |after| after.saturating_add(1));
        // No place at or past this was ever taken.
        let end = state.sessions.capacity();
        let mut page = Page {
            sessions: Vec::new(),
            next: None,
        };
        let mut last = None;
        for key in first..end {
            let Some(entry) = state.sessions.get(key) else {
                continue;
            };
            if page.sessions.len() == limit {
                page.next = last;
                break;
            }
            last = Some(key);
            page.sessions.push(Listed {
                number: entry.number,
                transport: entry.transport,
                age: entry.opened.elapsed(),
                principal: entry.principal.clone(),
                handle: entry.handle.clone(),
            });
        }
        page
    }
}
