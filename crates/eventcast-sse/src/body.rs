//! The response body: a session, pulled by an HTTP server.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use eventcast_core::{Batch, BatchLimits, Delivery, Open, Session, Sleep, Timer};
use http_body::{Body, Frame};

use crate::config::SseConfig;

/// An event stream as an HTTP body.
///
/// - The first frame is the opening block, and it is ready at once, so that headers go out, a
///   browser fires `onopen`, and a client that is cut before its first event can resume.
/// - Then everything that is ready at a poll is one frame: a rope of shared bytes, which a server
///   writes with one vectored write.
/// - The session's end is the last frame; after it the body has ended.
/// - Dropping the body, as a server does when the client is gone, drops the session. Nothing is
///   written then.
///
/// # Heartbeats
/// A connection is never silent for longer than [`SseConfig::heartbeat`], as exactly as the timer
/// is. On a quiet connection heartbeats come exactly that far apart; after an event the first one
/// comes after between half of it and the whole. (The timer is not set anew at each batch, which
/// would cost an allocation: it ticks at half the interval, and the second tick without a frame in
/// between makes a heartbeat.) A heartbeat is a comment, or, when the client's position could soon
/// give a false gap, a block that tells it the present one.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// use eventcast_core::{Event, Hub};
/// # use eventcast_core::{Sleep, Timer};
/// use eventcast_sse::{SseBody, SseConfig};
/// use http_body_util::BodyExt;
/// # struct TokioTimer;
/// # impl Timer for TokioTimer {
/// #     fn sleep(&self, duration: std::time::Duration) -> Sleep {
/// #         Box::pin(tokio::time::sleep(duration))
/// #     }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new();
/// let mut body = SseBody::new(hub.subscribe("news")?, SseConfig::new(), Arc::new(TokioTimer));
/// let opening = body.frame().await;
/// # let _ = opening;
///
/// let id = hub.publish("news", Event::text("hello")).await?;
/// let frame = body.frame().await.unwrap()?.into_data().unwrap();
/// assert_eq!(frame.into_chunks()[0], format!("data: hello\nid: {id}\n\n"));
/// # Ok(())
/// # }
/// ```
pub struct SseBody(Option<Connection>);

struct Connection {
    session: Session,
    config: SseConfig,
    timer: Arc<dyn Timer>,
    /// Absent until the connection first waits, so that a body can be made outside a runtime.
    tick: Option<Sleep>,
    ticks_to_heartbeat: u8,
    opened: bool,
}

impl SseBody {
    /// A body that brings a session's deliveries.
    #[must_use]
    pub fn new(session: Session, config: SseConfig, timer: Arc<dyn Timer>) -> Self {
        Self(Some(Connection {
            session,
            config,
            timer,
            tick: None,
            ticks_to_heartbeat: TICKS_PER_HEARTBEAT,
            opened: false,
        }))
    }

    /// A body that has ended.
    pub(crate) fn ended() -> Self {
        Self(None)
    }

    fn poll_next_frame(
        &mut self,
        cx: &mut Context<'_>,
        deliveries: &mut Vec<Delivery>,
    ) -> Poll<Option<Batch>> {
        while let Some(connection) = &mut self.0 {
            ready!(connection.poll_deliveries(cx, deliveries));
            let batch = Batch::encode(connection.config.format().encoder(), &*deliveries);
            // A session that had ended before has nothing more, not even the end.
            if let None | Some(Delivery::End(_)) = deliveries.last() {
                self.0 = None;
            }
            deliveries.clear();
            if !batch.is_empty() {
                return Poll::Ready(Some(batch));
            }
        }
        Poll::Ready(None)
    }
}

impl Body for SseBody {
    type Data = Batch;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Batch>, Infallible>>> {
        let body = self.get_mut();
        with_scratch(|deliveries| body.poll_next_frame(cx, deliveries))
            .map(|frame| frame.map(|batch| Ok(Frame::data(batch))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for SseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.0.as_ref().map(|connection| &connection.session);
        f.debug_tuple("SseBody").field(&session).finish()
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
        let batch = self.session.poll_batch(cx, BatchLimits::default(), out);
        if batch.is_pending() {
            ready!(self.poll_silence(cx));
            out.push(self.session.heartbeat());
        }
        self.ticks_to_heartbeat = TICKS_PER_HEARTBEAT;
        Poll::Ready(())
    }

    /// Ready when it is time for a heartbeat.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.ticks_to_heartbeat > 0 {
            let interval = self.config.heartbeat() / u32::from(TICKS_PER_HEARTBEAT);
            let tick = self.tick.get_or_insert_with(|| self.timer.sleep(interval));
            ready!(tick.as_mut().poll(cx));
            self.tick = None;
            self.ticks_to_heartbeat -= 1;
        }
        Poll::Ready(())
    }

    fn opening(&self) -> Open {
        let mut open = self.session.opening();
        open.heartbeat = Some(self.config.heartbeat());
        open.retry = Some(self.config.spread_retry());
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

const TICKS_PER_HEARTBEAT: u8 = 2;
