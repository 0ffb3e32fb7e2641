//! The loop that a server pulls: a session as the batches of one response body.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::delivery::{Delivery, End, Open};
use crate::format::Format;
use crate::linger::Linger;
use crate::session::{BatchLimits, Session};
use crate::time::{Sleep, Timer};
use crate::transport::Batch;

/// A session as a sequence of batches, for response bodies that a server pulls; what
/// [`drive`](crate::drive) is for transports that are pushed.
///
/// - The first batch is the opening, and it is ready at once.
/// - Then everything that is ready at a poll is one batch.
/// - The session's end is in the last batch. The session is dropped with it.
///
/// # Heartbeats
/// There is no silence longer than the heartbeat, as exactly as the timer is. On a quiet
/// connection heartbeats come exactly that far apart; after an event the first one comes after
/// between half of it and the whole. (The timer is not set anew at each batch, which would cost an
/// allocation: it ticks at half the interval, and the second tick without a batch in between makes
/// a heartbeat.) A heartbeat is [`Delivery::Heartbeat`] or, when the reader's position could soon
/// give a false gap, the present one.
///
/// # Examples
/// The `poll_frame` of a body:
/// ```
/// use std::task::{Context, Poll};
/// use eventcast_core::{Batch, Format, Pull};
///
/// struct Body {
///     pull: Pull,
///     format: &'static dyn Format,
/// }
///
/// impl Body {
///     fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
///         self.pull.poll_batch(cx, self.format)
///     }
/// }
/// ```
pub struct Pull(State);

#[allow(
    clippy::large_enum_variant,
    reason = "the small one is left for good once the body is written"
)]
enum State {
    Open(Connection),
    /// How, if its session said so.
    Ended(Option<End>),
}

struct Connection {
    session: Session,
    timer: Arc<dyn Timer>,
    /// Half the size of a `Duration`, as every connection keeps it.
    heartbeat_nanos: u64,
    retry_millis: u64,
    /// Absent until the connection first waits, so that one can be made outside a runtime.
    tick: Option<Sleep>,
    ticks_to_heartbeat: u8,
    opened: bool,
    linger: Linger,
}

impl Pull {
    /// The shortest heartbeat, 10 milliseconds: a shorter one is taken as this.
    pub const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);

    /// Reads a session that is silent for no longer than `heartbeat`.
    ///
    /// The opening tells the reader to wait between half of `retry` and one and a half times it
    /// before it reconnects, each another time, so that those who lost the same server do not come
    /// back all at once.
    #[must_use]
    pub fn new(
        session: Session,
        timer: Arc<dyn Timer>,
        heartbeat: Duration,
        retry: Duration,
    ) -> Self {
        // The standard hasher's keys are the operating system's entropy.
        let random = RandomState::new().build_hasher().finish();
        Self(State::Open(Connection {
            session,
            timer,
            heartbeat_nanos: nanos(heartbeat.max(Self::SHORTEST_HEARTBEAT)),
            retry_millis: spread_millis(retry, random),
            tick: None,
            ticks_to_heartbeat: TICKS_PER_HEARTBEAT,
            opened: false,
            linger: Linger::new(Duration::ZERO),
        }))
    }

    /// The same with events that wait for others: at most one batch a window, as [`Linger`] says.
    #[must_use]
    pub fn with_linger(mut self, window: Duration) -> Self {
        if let State::Open(connection) = &mut self.0 {
            connection.linger = Linger::new(window);
        }
        self
    }

    /// One that has ended.
    #[must_use]
    pub fn ended() -> Self {
        Self(State::Ended(None))
    }

    /// Whether nothing comes any more.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.0, State::Ended(_))
    }

    /// Whether the last batch was all that there was, and whoever polled for it is woken when there
    /// is more: polling again at once would be pending. So a driver that has written that batch in
    /// the same turn may spare itself the poll.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        match &self.0 {
            State::Open(connection) => connection.is_waiting(),
            State::Ended(_) => false,
        }
    }

    /// How its session ended: what the last batch told. `None` before that.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        match self.0 {
            State::Open(_) => None,
            State::Ended(end) => end,
        }
    }

    /// The next batch in a format, never an empty one; `None` after the last.
    pub fn poll_batch(&mut self, cx: &mut Context<'_>, format: &dyn Format) -> Poll<Option<Batch>> {
        with_scratch(|deliveries| self.poll_into(cx, format, deliveries))
    }

    fn poll_into(
        &mut self,
        cx: &mut Context<'_>,
        format: &dyn Format,
        deliveries: &mut Vec<Delivery>,
    ) -> Poll<Option<Batch>> {
        while let State::Open(connection) = &mut self.0 {
            ready!(connection.poll_deliveries(cx, deliveries));
            let batch = Batch::encode(format, &*deliveries);
            // A session that had ended before has nothing more, not even the end.
            match deliveries.last() {
                None => self.0 = State::Ended(None),
                Some(Delivery::End(end)) => self.0 = State::Ended(Some(*end)),
                Some(_) => {}
            }
            deliveries.clear();
            if !batch.is_empty() {
                return Poll::Ready(Some(batch));
            }
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("Pull");
        match &self.0 {
            State::Open(connection) => tuple.field(&connection.session),
            State::Ended(end) => tuple.field(end),
        };
        tuple.finish()
    }
}

impl Connection {
    /// Waits for the next deliveries, a heartbeat at the latest; adds none when the session had
    /// ended before.
    fn poll_deliveries(&mut self, cx: &mut Context<'_>, out: &mut Vec<Delivery>) -> Poll<()> {
        if !self.opened {
            self.opened = true;
            out.push(Delivery::Open(self.opening()));
            return Poll::Ready(());
        }
        // A heartbeat that becomes due meanwhile waits as well.
        ready!(self.linger.poll_over(cx));
        let batch = self.session.poll_batch(cx, BatchLimits::default(), out);
        if batch.is_pending() {
            ready!(self.poll_silence(cx));
            out.push(self.session.heartbeat());
        } else {
            self.poll_tick(cx);
            if self.session.is_waiting() {
                self.linger.begin(&*self.timer);
            }
        }
        self.ticks_to_heartbeat = TICKS_PER_HEARTBEAT;
        Poll::Ready(())
    }

    /// Has a running tick wake this poll's task, and lets one go that is over: it was the event's.
    fn poll_tick(&mut self, cx: &mut Context<'_>) {
        if let Some(tick) = &mut self.tick
            && tick.as_mut().poll(cx).is_ready()
        {
            self.tick = None;
        }
    }

    fn is_waiting(&self) -> bool {
        self.session.is_waiting() && self.tick.is_some()
    }

    /// Ready when it is time for a heartbeat.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.ticks_to_heartbeat > 0 {
            let interval = self.heartbeat() / u32::from(TICKS_PER_HEARTBEAT);
            let tick = self.tick.get_or_insert_with(|| self.timer.sleep(interval));
            ready!(tick.as_mut().poll(cx));
            self.tick = None;
            self.ticks_to_heartbeat -= 1;
        }
        Poll::Ready(())
    }

    fn heartbeat(&self) -> Duration {
        Duration::from_nanos(self.heartbeat_nanos)
    }

    fn opening(&self) -> Open {
        let mut open = self.session.opening();
        open.heartbeat = Some(self.heartbeat());
        open.retry = Some(Duration::from_millis(self.retry_millis));
        open
    }
}

/// Lends an empty list for the deliveries of one poll. One a thread rather than one a connection:
/// an idle connection then keeps none, and a busy one allocates none.
fn with_scratch<R>(poll: impl FnOnce(&mut Vec<Delivery>) -> R) -> R {
    thread_local! {
        static SCRATCH: Cell<Vec<Delivery>> = const { Cell::new(Vec::new()) };
    }
    SCRATCH.with(|scratch| {
        let mut deliveries = scratch.take();
        let result = poll(&mut deliveries);
        scratch.set(deliveries);
        result
    })
}

/// As many as there are, up to some centuries.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// From half of `middle` to one and a half of it, in milliseconds, evenly over `random`.
fn spread_millis(middle: Duration, random: u64) -> u64 {
    let millis = u64::try_from(middle.as_millis()).unwrap_or(u64::MAX);
    let share = (u128::from(millis) * u128::from(random)) >> u64::BITS;
    (millis / 2).saturating_add(share as u64)
}

const TICKS_PER_HEARTBEAT: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_is_spread_by_half_to_either_side() {
        let base = Duration::from_secs(2);
        assert_eq!(spread_millis(base, 0), 1000);
        assert_eq!(spread_millis(base, 1 << 63), 2000);
        assert_eq!(spread_millis(base, u64::MAX), 2999);
        assert_eq!(spread_millis(Duration::ZERO, u64::MAX), 0);
        assert_eq!(spread_millis(Duration::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn connections_are_told_different_times() {
        struct Never;
        impl Timer for Never {
            fn sleep(&self, _: Duration) -> Sleep {
                Box::pin(std::future::pending())
            }
        }
        let retry = || {
            let session = crate::Hub::new().subscribe("a").expect("a name");
            let times = (Duration::from_secs(15), Duration::from_secs(1000));
            let pull = Pull::new(session, Arc::new(Never), times.0, times.1);
            match pull.0 {
                State::Open(connection) => connection.opening().retry,
                State::Ended(_) => None,
            }
        };
        let first = retry();
        assert!((0..10).any(|_| retry() != first));
    }
}
