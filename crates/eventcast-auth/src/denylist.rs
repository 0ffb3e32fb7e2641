//! Tokens that are not good any more, though nothing in them says so.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Denylist(Mutex<HashMap<String, Instant>>);

impl Denylist {
    /// Refuses the token of this id for so long. At the bound the one that would be refused for the
    /// shortest time goes.
    pub(crate) fn add(&self, id: String, time: Duration) {
        let mut denied = self.denied();
        let now = Instant::now();
        if denied.len() >= MAX_DENIED {
            denied.retain(|_, until| *until > now);
        }
        if denied.len() >= MAX_DENIED
            && let Some(id) = denied.iter().min_by_key(|(_, until)| **until)
        {
            let id = id.0.clone();
            denied.remove(&id);
        }
        denied.insert(id, now + time.min(LONGEST));
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        let denied = self.denied();
        denied.get(id).is_some_and(|until| *until > Instant::now())
    }

    fn denied(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MAX_DENIED: usize = 100_000;
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
