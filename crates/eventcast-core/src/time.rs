//! Time comes from outside: the core runs on no runtime and reads no clock by itself.

use std::fmt;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::stored::Timestamp;

/// Tells the time of publishing.
pub trait Clock: Send + Sync + 'static {
    /// The time now. It may go back: the hub never lets publish times do so.
    fn now(&self) -> Timestamp;

    /// The time since some moment of the clock's own, never going back and as fine as the clock has
    /// it: for measuring how long something takes. By default it is [`now`](Self::now), in
    /// milliseconds.
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now().as_millis())
    }
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[allow(
            clippy::disallowed_methods,
            reason = "this is the edge where real time enters"
        )]
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
        Timestamp::from_millis(since.map_or(0, |since| since.as_millis() as u64))
    }

    fn elapsed(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        #[allow(
            clippy::disallowed_methods,
            reason = "this is the edge where real time enters"
        )]
        let now = Instant::now();
        now.saturating_duration_since(*BEGAN.get_or_init(|| now))
    }
}

/// Lets the core wait, on whatever runtime there is.
///
/// ```
/// use std::time::Duration;
/// use eventcast_core::{Sleep, Timer};
///
/// struct TokioTimer;
///
/// impl Timer for TokioTimer {
///     fn sleep(&self, duration: Duration) -> Sleep {
///         Box::pin(tokio::time::sleep(duration))
///     }
/// }
/// ```
pub trait Timer: Send + Sync + 'static {
    /// A future that is done after `duration`. Dropping it cancels the wait.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// A running wait; see [`Timer::sleep`].
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<T: Timer + ?Sized> Timer for std::sync::Arc<T> {
    fn sleep(&self, duration: Duration) -> Sleep {
        (**self).sleep(duration)
    }
}

impl fmt::Debug for dyn Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timer")
    }
}
