//! How often a server is asked at most, whatever it does.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The attempts of the last minute.
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    attempts: VecDeque<Instant>,
}

impl Pace {
    pub(crate) fn new(attempts_per_minute: u32) -> Self {
        let most = attempts_per_minute.clamp(1, MOST) as usize;
        Self {
            most,
            attempts: VecDeque::new(),
        }
    }

    /// How long to wait before another attempt.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        match self.attempts.front() {
            Some(first) if self.attempts.len() == self.most => {
                (*first + MINUTE).saturating_duration_since(now)
            }
            _ => Duration::ZERO,
        }
    }

    /// An attempt is made.
    pub(crate) fn note(&mut self, now: Instant) {
        if self.attempts.len() == self.most {
            self.attempts.pop_front();
        }
        self.attempts.push_back(now);
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Each attempt is remembered for a minute.
const MOST: u32 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_attempts_than_it_may() {
        let mut pace = Pace::new(3);
        let begun = Instant::now();
        let mut times = Vec::new();
        for _ in 0..7 {
            tokio::time::sleep(pace.wait(Instant::now())).await;
            pace.note(Instant::now());
            times.push(begun.elapsed().as_secs());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(times, [0, 1, 2, 60, 61, 62, 120]);
    }
}
