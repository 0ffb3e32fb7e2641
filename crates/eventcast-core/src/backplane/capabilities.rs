//! What a log promises.

use std::time::Duration;

/// What a log promises; see [`Backplane::capabilities`](crate::Backplane::capabilities).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// Whether several nodes may be attached at once.
    pub shared: bool,
    /// Within which time a key that was published before is known; `None` when never.
    pub deduplicates: Option<Duration>,
}

impl Capabilities {
    /// A log of one node that keeps its records in memory.
    #[must_use]
    pub fn new(durability: Durability) -> Self {
        Self {
            durability,
            shared: false,
            deduplicates: None,
        }
    }

    /// Several nodes may be attached at once.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Keys are known for so long.
    #[must_use]
    pub fn deduplicating(mut self, window: Duration) -> Self {
        self.deduplicates = Some(window);
        self
    }
}

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// The end of a session, not that of the process.
    Memory,
    /// The end of the hub's process, however it comes.
    Process,
    /// The end of the machine or of its power, but for what was acknowledged within a stated time
    /// before.
    Interval(Duration),
    /// The end of the machine or of its power.
    Synced,
}
