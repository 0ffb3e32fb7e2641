//! The body of a stream: a session, pulled by an HTTP server.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use eventcast_core::{Batch, End, Pull, Session, Timer};
use http_body::{Body, Frame};

use crate::config::StreamConfig;
use crate::format::LineFormat;

/// A stream of lines as an HTTP body, each line a JSON object.
///
/// - The first frame is the opening line, and it is ready at once, so that headers go out and a
///   client that is cut before its first event can resume.
/// - Then everything that is ready at a poll is one frame: a rope of shared bytes, which a server
///   writes with one vectored write.
/// - The session's end is the last line; after it the body has ended.
/// - Dropping the body, as a server does when the client is gone, drops the session. Nothing is
///   written then.
///
/// # Heartbeats
/// A connection is never silent for longer than [`StreamConfig::heartbeat`], and [`Pull`] says how
/// exactly. A heartbeat is an empty line, or, when the client's position could soon give a false
/// gap, an object that tells it the present one.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// use eventcast_core::{Event, Hub};
/// # use eventcast_core::{Sleep, Timer};
/// use eventcast_poll::{StreamBody, StreamConfig};
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
/// let session = hub.subscribe("news")?;
/// let mut body = StreamBody::new(session, StreamConfig::new(), Arc::new(TokioTimer));
/// let opening = body.frame().await;
/// # let _ = opening;
///
/// let id = hub.publish("news", Event::text("hello")).await?;
/// let frame = body.frame().await.unwrap()?.into_data().unwrap();
/// let line = format!("{{\"id\":\"{id}\",\"channel\":\"news\",\"data\":\"hello\"}}\n");
/// assert_eq!(frame.into_chunks()[0], line);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StreamBody(Pull);

impl StreamBody {
    /// A body that brings a session's deliveries.
    #[must_use]
    pub fn new(session: Session, config: StreamConfig, timer: Arc<dyn Timer>) -> Self {
        let pull = Pull::new(session, timer, config.heartbeat(), config.retry());
        Self(pull.with_linger(config.linger()))
    }

    /// Whether the last frame was all that there was; see [`Pull::is_waiting`].
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.0.is_waiting()
    }

    /// How its session ended, once the last frame told so.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.0.end()
    }

    /// A body that has ended.
    pub(crate) fn ended() -> Self {
        Self(Pull::ended())
    }
}

impl Body for StreamBody {
    type Data = Batch;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Batch>, Infallible>>> {
        let batch = self.0.poll_batch(cx, &LineFormat);
        batch.map(|batch| batch.map(|batch| Ok(Frame::data(batch))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_ended()
    }
}
