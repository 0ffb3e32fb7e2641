//! How long to stay away.

use std::time::Duration;

/// What the server said about coming back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    None,
    /// About then: a draining server's word.
    About(Duration),
    /// Not before: `Retry-After`.
    NotBefore(Duration),
}

/// Random waits that grow with each failure. Random, because all clients of a server lose it at
/// the same time.
#[derive(Debug)]
pub(crate) struct Backoff {
    base: Duration,
    least: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(base: Duration, least: Duration, most: Duration) -> Self {
        Self {
            base,
            least,
            most: most.max(least),
            failures: 0,
        }
    }

    /// What the server gives as its usual time.
    pub(crate) fn set_base(&mut self, base: Duration) {
        self.base = base;
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The next wait, with a random number from 0 to 1.
    pub(crate) fn wait(&mut self, hint: Hint, random: f64) -> Duration {
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        let wait = match hint {
            Hint::None => self.usual(failures, random),
            Hint::About(hint) => hint.min(LONGEST_HINT).mul_f64(0.5 + random),
            // A server that says no time each time is left alone for longer and longer, too.
            Hint::NotBefore(hint) => {
                let least = hint.min(LONGEST_HINT).mul_f64(1.0 + random / 2.0);
                least.max(self.usual(failures, random))
            }
        };
        wait.max(self.least)
    }

    fn usual(&self, failures: u32, random: f64) -> Duration {
        let base = self.base.clamp(self.least, self.most);
        if failures == 0 {
            return base.mul_f64(0.5 + random);
        }
        let grown = base.saturating_mul(1 << failures.min(20)).min(self.most);
        let least = base / 2;
        least + grown.saturating_sub(least).mul_f64(random)
    }
}

/// From 0 to 1.
pub(crate) fn random() -> f64 {
    // Without randomness the middle is the best guess.
    getrandom::u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX))
}

/// However long a server says.
const LONGEST_HINT: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_grow_up_to_the_cap_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(SECOND, SECOND / 10, SECOND * 8);
        let waits: Vec<_> = (0..6).map(|_| backoff.wait(Hint::None, 1.0)).collect();
        let seconds: Vec<_> = waits.iter().map(Duration::as_secs_f64).collect();
        assert_eq!(seconds, [1.5, 2.0, 4.0, 8.0, 8.0, 8.0]);
        assert_eq!(backoff.wait(Hint::None, 0.0), SECOND / 2);
        backoff.succeeded();
        assert_eq!(backoff.wait(Hint::None, 0.0), SECOND / 2);
        for _ in 0..100 {
            assert!(backoff.wait(Hint::None, random()) <= SECOND * 8);
        }
    }

    #[test]
    fn hints_count_and_have_bounds() {
        let mut backoff = Backoff::new(SECOND, SECOND / 10, SECOND * 8);
        assert_eq!(backoff.wait(Hint::About(SECOND * 20), 0.0), SECOND * 10);
        assert_eq!(backoff.wait(Hint::NotBefore(SECOND * 20), 0.0), SECOND * 20);
        assert_eq!(backoff.wait(Hint::About(Duration::ZERO), 0.0), SECOND / 10);
        assert_eq!(
            backoff.wait(Hint::NotBefore(Duration::MAX), 1.0),
            LONGEST_HINT * 3 / 2
        );
    }
}
