//! What came of the many parts of an attack.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How often each outcome was.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<String, usize>);

impl Tally {
    pub(crate) fn add(&mut self, outcome: impl Into<String>, count: usize) {
        *self.0.entry(outcome.into()).or_default() += count;
    }

    pub(crate) fn join(&mut self, other: Self) {
        for (outcome, count) in other.0 {
            self.add(outcome, count);
        }
    }

    pub(crate) fn count(&self, outcome: &str) -> usize {
        self.0.get(outcome).copied().unwrap_or(0)
    }

    /// Only these may have been: what is documented.
    pub(crate) fn only(self, what: &str, allowed: &[&str]) -> Result<Self, String> {
        match self.0.keys().find(|it| !allowed.contains(&it.as_str())) {
            Some(other) => Err(format!("{what}: {other} is none of {allowed:?} ({self})")),
            None => Ok(self),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (outcome, count)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{outcome}: {count}")?;
        }
        Ok(())
    }
}

/// Does something so many times, so many at a time.
pub(crate) async fn many<F>(count: usize, at_once: usize, part: impl Fn(usize) -> F) -> Tally
where
    F: Future<Output = String> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(at_once));
    let mut parts = JoinSet::new();
    for number in 0..count {
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else {
            break;
        };
        let part = part(number);
        parts.spawn(async move {
            let outcome = timeout(HANG, part).await;
            drop(turn);
            outcome.unwrap_or_else(|_| "hang".to_owned())
        });
    }
    let mut tally = Tally::default();
    while let Some(outcome) = parts.join_next().await {
        tally.add(outcome.unwrap_or_else(|_| "failed".to_owned()), 1);
    }
    tally
}

/// Longer than any answer takes, on any machine.
const HANG: Duration = Duration::from_secs(120);
