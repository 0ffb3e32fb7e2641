//! Chance, so that clients do not come back all at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Numbers from the operating system's entropy, good for spreading and nothing else.
pub(crate) struct Chance {
    state: RandomState,
    drawn: u64,
}

impl Chance {
    pub(crate) fn new() -> Self {
        Self {
            state: RandomState::new(),
            drawn: 0,
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.drawn += 1;
        self.state.hash_one(self.drawn)
    }

    /// Evenly from 0 up to 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Between half and one and a half times as long.
    pub(crate) fn around(&mut self, middle: Duration) -> Duration {
        middle.saturating_mul(500 + (self.next() % 1_001) as u32) / 1_000
    }
}

/// Between half and one and a half times as long.
pub(crate) fn around(middle: Duration) -> Duration {
    Chance::new().around(middle)
}
