//! What is kept for a while after its connection is gone, bounded by age, count and bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// Keys in the order in which they were left. Some have come back since: their places are stale.
#[derive(Default)]
pub(crate) struct Retired {
    places: VecDeque<(Instant, Arc<str>, usize)>,
    stale: usize,
    bytes: usize,
}

impl Retired {
    pub(crate) fn push(&mut self, left_at: Instant, key: Arc<str>, size: usize) {
        self.bytes += size;
        self.places.push_back((left_at, key, size));
    }

    /// One of them has come back.
    pub(crate) fn revive(&mut self) {
        self.stale += 1;
    }

    /// Takes out what was left too long ago, and the longest ago of what is too much. `forget` says
    /// whether a place was still good.
    pub(crate) fn forget(
        &mut self,
        keep: Duration,
        mut forget: impl FnMut(Instant, &Arc<str>) -> bool,
    ) {
        while let Some((left_at, key, size)) = self.places.front() {
            let count = self.places.len() - self.stale.min(self.places.len());
            let is_much =
                count > MAX_COUNT || self.bytes > MAX_BYTES || self.places.len() > 2 * MAX_COUNT;
            if !is_much && left_at.elapsed() < keep {
                return;
            }
            if !forget(*left_at, key) {
                self.stale = self.stale.saturating_sub(1);
            }
            self.bytes -= *size;
            self.places.pop_front();
        }
    }
}

const MAX_COUNT: usize = 10_000;
const MAX_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bounded_by_age_count_and_bytes() {
        let keep = Duration::from_secs(60);
        let mut retired = Retired::default();
        let now = Instant::now();
        let forgotten = |retired: &mut Retired| {
            let mut gone = 0;
            retired.forget(keep, |_, _| {
                gone += 1;
                true
            });
            gone
        };
        for _ in 0..MAX_COUNT + 5 {
            retired.push(now, "key".into(), 1);
        }
        assert_eq!(forgotten(&mut retired), 5);
        retired.push(now, "large".into(), MAX_BYTES);
        assert_eq!(forgotten(&mut retired), MAX_COUNT);
        tokio::time::advance(keep).await;
        assert_eq!(forgotten(&mut retired), 1);
        assert_eq!(retired.bytes, 0);
    }
}
