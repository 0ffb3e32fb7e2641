//! The pause between two flushes of a connection.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::time::{Sleep, Timer};

/// Gathers the events of a while into one flush.
///
/// An event that comes after a while without any goes at once; what comes within the window after
/// a flush goes together when the window is over. So there is at most one flush a window, and an
/// event waits for a window at most. A window of zero, which is the default everywhere, gathers
/// nothing but what comes while a flush is under way.
///
/// Where events come fast and one by one this trades time for the cost of a write, which is most of
/// what a delivery costs.
///
/// # Contract
/// Whoever drives a connection polls it before it polls the session, and begins a window after a
/// flush that brought all there was: a reader that is behind is not held up.
///
/// # Examples
/// ```
/// use std::task::{Context, Poll, ready};
/// use eventcast_core::{BatchLimits, Delivery, Linger, Session, Timer};
///
/// fn poll_batch(
///     cx: &mut Context<'_>,
///     session: &mut Session,
///     linger: &mut Linger,
///     timer: &dyn Timer,
///     out: &mut Vec<Delivery>,
/// ) -> Poll<()> {
///     ready!(linger.poll_over(cx));
///     ready!(session.poll_batch(cx, BatchLimits::default(), out));
///     if session.is_waiting() {
///         linger.begin(timer);
///     }
///     Poll::Ready(())
/// }
/// ```
pub struct Linger {
    /// In microseconds: every connection keeps one of these.
    window: u32,
    running: Option<Sleep>,
}

impl Linger {
    /// The longest window, a second: a longer one is taken as this.
    pub const LONGEST: Duration = Duration::from_secs(1);

    /// No window is running.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            window: window.min(Self::LONGEST).as_micros() as u32,
            running: None,
        }
    }

    /// Ready while no window is running; otherwise the task is woken when it is over.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(running) = &mut self.running {
            if running.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.running = None;
        }
        Poll::Ready(())
    }

    /// All that there was is flushed, or about to be: what comes now waits for the window's end.
    pub fn begin(&mut self, timer: &dyn Timer) {
        if self.window > 0 {
            self.running = Some(timer.sleep(self.window()));
        }
    }

    fn window(&self) -> Duration {
        Duration::from_micros(self.window.into())
    }
}

impl fmt::Debug for Linger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linger")
            .field("window", &self.window())
            .field("running", &self.running.is_some())
            .finish()
    }
}
