//! From the session to the queue.

use std::cell::Cell;
use std::task::{Context, Poll};

use eventcast_core::{BatchLimits, Delivery, End, Gap, GapReason};
use tokio::io::{AsyncRead, AsyncWrite};

use super::state::{Connection, Exit};
use crate::config::Mode;
use crate::end::{CloseCode, WsEnd};

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Queues a batch, unless the last one is not written yet: until it is, events wait in the log.
    /// Replies that wait do not count, or a client that asks without end would starve its own
    /// events.
    pub(super) fn poll_session(&mut self, cx: &mut Context<'_>) -> Result<Delivered, Exit> {
        if self.queue.holds_batch() || self.linger.poll_over(cx).is_pending() {
            return Ok(Delivered::None);
        }
        let mut batch = SCRATCH.take();
        let ready = self
            .session
            .poll_batch(cx, BatchLimits::default(), &mut batch);
        let (count, waiting) = (batch.len(), self.queue.len());
        let result = match ready {
            Poll::Pending => Ok(()),
            // Its end is the last thing it says.
            Poll::Ready(()) if count == 0 => Err(session_end(End::Closed)),
            Poll::Ready(()) => batch.iter().try_for_each(|delivery| self.deliver(delivery)),
        };
        if count > 0 {
            self.queue.end_batch();
            self.handler.queued(self.queue.len() - waiting);
        }
        batch.clear();
        SCRATCH.set(batch);
        result.map(|()| match count {
            0 => Delivered::None,
            _ if self.session.is_waiting() => {
                self.linger.begin(&*self.timer);
                Delivered::All(count)
            }
            _ => Delivered::Some(count),
        })
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Exit> {
        match (delivery, self.config.mode()) {
            (Delivery::Gap(Gap { reason, .. }), Mode::Plain) => Err(Exit::Close(
                CloseCode::Gap,
                gap_reason(*reason).into(),
                WsEnd::Gap(*reason),
            )),
            (Delivery::End(end), _) => {
                self.push(delivery);
                Err(session_end(*end))
            }
            _ => {
                self.push(delivery);
                Ok(())
            }
        }
    }
}

/// What a poll of the session came to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Delivered {
    /// So many deliveries; there is no more, and this task is woken once there is.
    All(usize),
    /// Nothing, or it was not asked.
    None,
    /// So many deliveries, and there may be more.
    Some(usize),
}

impl Delivered {
    pub(super) fn count(self) -> usize {
        match self {
            Self::All(count) | Self::Some(count) => count,
            Self::None => 0,
        }
    }
}

fn session_end(end: End) -> Exit {
    let (code, reason) = match end {
        End::Completed => (CloseCode::Normal, "completed"),
        End::Draining { .. } => (CloseCode::ServiceRestart, "service restart"),
        End::Expired | End::Revoked => (CloseCode::Policy, end.as_str()),
        End::Slow | End::TooManyChannels => (CloseCode::TryAgainLater, end.as_str()),
        _ => (CloseCode::GoingAway, "closed"),
    };
    Exit::Close(code, reason.into(), WsEnd::Session(end))
}

fn gap_reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Epoch => "gap: epoch",
        GapReason::Slow => "gap: slow",
        GapReason::Trimmed => "gap: trimmed",
        GapReason::Unknown => "gap: unknown",
        _ => "gap",
    }
}

thread_local! {
    /// One list of deliveries for all connections of a worker: it is empty between turns.
    static SCRATCH: Cell<Vec<Delivery>> = const { Cell::new(Vec::new()) };
}
