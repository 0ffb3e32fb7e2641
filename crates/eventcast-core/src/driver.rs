//! The futures that keep a hub going.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::hub::Hub;
use crate::log::Log;
use crate::presence::Presence;
use crate::remote::ChoreDriver;
use crate::shard::Shard;
use crate::time::{Sleep, Timer};

/// A part of a hub's background work; see [`Hub::drivers`]. Ends when the hub is gone.
#[must_use = "a driver does nothing unless it is spawned"]
pub struct Driver(Work);

enum Work {
    Chores(ChoreDriver),
    Dispatch(Arc<Shard>),
    Rounds(Rounds),
}

/// Does something again and again.
struct Rounds {
    what: &'static str,
    act: fn(&Arc<Log>),
    log: Weak<Log>,
    timer: Arc<dyn Timer>,
    interval: Duration,
    sleep: Sleep,
}

impl Hub {
    /// The hub's background work, each future to be spawned on its own: one dispatcher a shard,
    /// one that tells who joins and leaves channels, one that removes what is too old, and with a log
    /// outside one for what that is told. Empty after the first call.
    ///
    /// Dropping a dispatcher hands its work back to publishers; nothing is lost.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use eventcast_core::{Hub, Sleep, Timer};
    /// # struct TokioTimer;
    /// # impl Timer for TokioTimer {
    /// #     fn sleep(&self, duration: Duration) -> Sleep { Box::pin(tokio::time::sleep(duration)) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let hub = Hub::new();
    /// for driver in hub.drivers(TokioTimer) {
    ///     tokio::spawn(driver);
    /// }
    /// # }
    /// ```
    pub fn drivers(&self, timer: impl Timer) -> Vec<Driver> {
        if !self.log.take_drivers() {
            return Vec::new();
        }
        let timer: Arc<dyn Timer> = Arc::new(timer);
        let parts = self.log.maintenance_parts();
        let longest = Duration::from_secs(5);
        let round = (self.log.config.shortest_age() / 4)
            .min(self.log.config.collect_after / 4)
            .clamp(parts * Duration::from_millis(1), longest);
        let interval = round / parts;
        let rounds = |what, interval, act| {
            Work::Rounds(Rounds {
                what,
                act,
                log: Arc::downgrade(&self.log),
                sleep: timer.sleep(interval),
                timer: Arc::clone(&timer),
                interval,
            })
        };
        let presence = rounds("presence", self.log.presence.interval(), |log| {
            Presence::of(Arc::clone(log)).maintain();
        });
        let maintain = rounds("maintain", interval, |log| log.maintain());
        let dispatch = self.log.shards.iter().map(|shard| {
            shard.attach_driver();
            Work::Dispatch(Arc::clone(shard))
        });
        let chores = self.log.remote.as_ref();
        let chores = chores.map(|_| Work::Chores(ChoreDriver::new(&self.log)));
        let work = dispatch.chain([presence, maintain]).chain(chores);
        work.map(Driver).collect()
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Work::Chores(chores) => chores.poll_drive(cx),
            Work::Dispatch(shard) => shard.poll_drive(cx),
            Work::Rounds(rounds) => rounds.poll_drive(cx),
        }
    }
}

impl Rounds {
    /// Ready once the hub is gone.
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let Some(log) = self.log.upgrade() else {
                return Poll::Ready(());
            };
            (self.act)(&log);
            self.sleep = self.timer.sleep(self.interval);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Work::Dispatch(shard) = &self.0 {
            shard.detach_driver();
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.0 {
            Work::Chores(_) => "chores",
            Work::Dispatch(_) => "dispatch",
            Work::Rounds(rounds) => rounds.what,
        };
        write!(f, "Driver({what})")
    }
}
