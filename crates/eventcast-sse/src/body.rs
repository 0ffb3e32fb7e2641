//! The response body: a session, pulled by an HTTP server.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use eventcast_core::{Batch, End, Pull, Session, Timer};
use http_body::{Body, Frame};

use crate::codec::SseFormat;
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
/// A connection is never silent for longer than [`SseConfig::heartbeat`], and [`Pull`] says how
/// exactly. A heartbeat is a comment, or, when the client's position could soon give a false gap, a
/// block that tells it the present one.
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
pub struct SseBody {
    pull: Pull,
    format: SseFormat,
}

impl SseBody {
    /// A body that brings a session's deliveries.
    #[must_use]
    pub fn new(session: Session, config: SseConfig, timer: Arc<dyn Timer>) -> Self {
        Self {
            pull: Pull::new(session, timer, config.heartbeat(), config.retry())
                .with_linger(config.linger()),
            format: config.format(),
        }
    }

    /// Whether the last frame was all that there was; see [`Pull::is_waiting`].
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.pull.is_waiting()
    }

    /// How its session ended, once the last frame told so.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.pull.end()
    }

    /// A body that has ended.
    pub(crate) fn ended() -> Self {
        Self {
            pull: Pull::ended(),
            format: SseFormat::default(),
        }
    }
}

impl Body for SseBody {
    type Data = Batch;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Batch>, Infallible>>> {
        let format = self.format.encoder();
        let batch = self.pull.poll_batch(cx, format);
        batch.map(|batch| batch.map(|batch| Ok(Frame::data(batch))))
    }

    fn is_end_stream(&self) -> bool {
        self.pull.is_ended()
    }
}

impl fmt::Debug for SseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SseBody").field(&self.pull).finish()
    }
}
