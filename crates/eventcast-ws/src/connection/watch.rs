//! What time does to a connection: heartbeats, dead peers, stalled writes.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use eventcast_core::{Sleep, Timer};

use crate::config::WsConfig;

/// Beats once a heartbeat and counts the silence of the peer.
///
/// One wait at a time, armed anew only when it is over: traffic touches no timer, only flags.
pub(crate) struct Pulse {
    sleep: Sleep,
    /// How long the running wait is.
    step: Duration,
    /// For how long the peer has been silent, as far as whole waits tell.
    silent: Duration,
}

/// What a beat asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// The peer is dead.
    Dead,
    /// Give a sign of life and ask for one.
    Ping,
}

impl Pulse {
    pub(crate) fn new(timer: &dyn Timer, config: &WsConfig) -> Self {
        let step = config.heartbeat();
        Self {
            sleep: timer.sleep(step),
            step,
            silent: Duration::ZERO,
        }
    }

    /// `heard`: whether something came from the peer since the last beat, which is taken back.
    /// `answerable`: the peer could have been heard, and what was sent to it has left.
    pub(crate) fn poll_beat(
        &mut self,
        cx: &mut Context<'_>,
        timer: &dyn Timer,
        config: &WsConfig,
        heard: &mut bool,
        answerable: bool,
    ) -> Poll<Beat> {
        if self.sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if std::mem::take(heard) {
            self.silent = Duration::ZERO;
        } else if answerable {
            self.silent += self.step;
        }
        let left = config.dead_after().saturating_sub(self.silent);
        if left.is_zero() {
            return Poll::Ready(Beat::Dead);
        }
        self.step = config.heartbeat().min(left);
        self.sleep = timer.sleep(self.step);
        Poll::Ready(Beat::Ping)
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse")
            .field("step", &self.step)
            .field("silent", &self.silent)
            .finish_non_exhaustive()
    }
}

/// Notices a blocked write that makes no progress, in quarters of the limit.
#[derive(Default)]
pub(crate) struct Stall {
    sleep: Option<Sleep>,
    blocked: bool,
    idle_steps: i8,
}

impl Stall {
    /// Ready when the write has stalled.
    pub(crate) fn poll_blocked(
        &mut self,
        cx: &mut Context<'_>,
        timer: &dyn Timer,
        limit: Duration,
        progress: bool,
    ) -> Poll<()> {
        let step = limit / STEPS as u32;
        if progress || !self.blocked {
            // The running wait began before: it does not count.
            self.idle_steps = if self.sleep.is_some() { -1 } else { 0 };
        }
        self.blocked = true;
        let sleep = self.sleep.get_or_insert_with(|| timer.sleep(step));
        while sleep.as_mut().poll(cx).is_ready() {
            self.idle_steps += 1;
            if self.idle_steps >= STEPS {
                return Poll::Ready(());
            }
            *sleep = timer.sleep(step);
        }
        Poll::Pending
    }

    /// All is written. A running wait is kept for the next block, or let go when it is over.
    pub(crate) fn poll_clear(&mut self, cx: &mut Context<'_>) {
        self.blocked = false;
        if let Some(sleep) = &mut self.sleep
            && sleep.as_mut().poll(cx).is_ready()
        {
            self.sleep = None;
        }
    }
}

impl fmt::Debug for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stall")
            .field("blocked", &self.blocked)
            .field("idle_steps", &self.idle_steps)
            .finish_non_exhaustive()
    }
}

const STEPS: i8 = 4;
