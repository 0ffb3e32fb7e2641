//! The wait for something to answer a poll with.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use eventcast_core::{BatchLimits, Session, Sleep, Timer};
use http::Response;

use crate::config::PollConfig;
use crate::document::{Document, PollBody};
use crate::response::document_response;

/// An answer to a poll in the making; see [`poll`](crate::poll()).
///
/// It is ready once there is something to tell: with all that is ready then, up to the bounds of
/// [`PollConfig`]. It is ready at once for a client that has no position yet, and after
/// [`PollConfig::wait`] in any case. After 64 objects or 64 KiB it lets others of its thread go on.
///
/// # Cancel safety
/// Dropping it drops the session. Nothing is lost: a client that asks again with the id it had gets
/// the same, or more.
///
/// # Panics
/// When it is polled after it was ready.
#[must_use = "a future does nothing unless it is polled"]
pub struct Polling(Option<Waiting>);

struct Waiting {
    session: Session,
    config: PollConfig,
    timer: Arc<dyn Timer>,
    /// Absent until the client has to wait.
    sleep: Option<Sleep>,
    document: Document,
}

impl Polling {
    pub(crate) fn new(session: Session, config: PollConfig, timer: Arc<dyn Timer>) -> Self {
        Self(Some(Waiting {
            session,
            config,
            timer,
            sleep: None,
            document: Document::default(),
        }))
    }
}

impl Future for Polling {
    type Output = Response<PollBody>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<PollBody>> {
        let waiting = self.0.as_mut().expect("it is not polled after it is ready");
        ready!(waiting.poll_gathered(cx));
        // The response does not hold the session.
        let waiting = self.0.take().expect("it was there a moment ago");
        Poll::Ready(waiting.answer())
    }
}

impl Waiting {
    /// Gathers what is ready, until there is something to answer with and no more to add.
    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (mut turn, mut deliveries) = (0, Vec::new());
        while let Some(limits) = self.room() {
            let batch = self.session.poll_batch(cx, limits, &mut deliveries);
            if batch.is_pending() {
                return self.poll_wait(cx);
            }
            // A session that had ended before is ready with nothing.
            let over = deliveries.is_empty();
            let bytes = self.document.bytes();
            for delivery in deliveries.drain(..) {
                self.document.push(&delivery);
                turn += 1;
            }
            if over || self.document.has_ended() {
                return Poll::Ready(());
            }
            let is_spent = turn >= limits.events || self.document.bytes() - bytes >= limits.bytes;
            if is_spent && self.room().is_some() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Ready when the client should not, or need not, wait for more.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait = self.config.wait();
        if self.document.has_news() || !self.session.is_resumed() || wait.is_zero() {
            return Poll::Ready(());
        }
        let sleep = self.sleep.get_or_insert_with(|| self.timer.sleep(wait));
        sleep.as_mut().poll(cx)
    }

    /// The limits of the next turn; `None` when the document is full.
    fn room(&self) -> Option<BatchLimits> {
        let turn = BatchLimits::default();
        let events = self
            .config
            .max_events()
            .saturating_sub(self.document.counted());
        let bytes = self
            .config
            .max_bytes()
            .saturating_sub(self.document.bytes());
        (events > 0 && bytes > 0).then(|| BatchLimits {
            events: events.min(turn.events),
            bytes: bytes.min(turn.bytes),
        })
    }

    fn answer(mut self) -> Response<PollBody> {
        let position = self.session.settled_position();
        let key = self.session.key();
        document_response(self.document.into_body(position, key))
    }
}

impl fmt::Debug for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.0.as_ref().map(|waiting| &waiting.session);
        f.debug_tuple("Polling").field(&session).finish()
    }
}
