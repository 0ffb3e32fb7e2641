//! Response bodies.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use eventcast_core::Batch;
use eventcast_poll::{PollBody, StreamBody};
use eventcast_sse::SseBody;
use http_body::{Body, Frame, SizeHint};

use crate::disconnect::DisconnectReason;
use crate::subscribe::Hold;

/// The body of an [`EventService`](crate::EventService)'s response: a short document, or an
/// endless stream, which ends its session when it is dropped.
pub struct ResponseBody(Kind);

#[allow(
    clippy::large_enum_variant,
    reason = "a connection has one, and mostly the large one"
)]
enum Kind {
    Full(Option<Bytes>),
    Document(PollBody),
    Sse(SseBody, Hold),
    Stream(StreamBody, Hold),
}

impl ResponseBody {
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Kind::Full((!bytes.is_empty()).then_some(bytes)))
    }

    /// Whether it goes on until its session ends.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.0, Kind::Sse(..) | Kind::Stream(..))
    }

    /// Whether the last frame of a stream was all that there was, and who polled for it is woken
    /// when there is more.
    pub(crate) fn is_waiting(&self) -> bool {
        match &self.0 {
            Kind::Full(_) | Kind::Document(_) => false,
            Kind::Sse(body, _) => body.is_waiting(),
            Kind::Stream(body, _) => body.is_waiting(),
        }
    }

    pub(crate) fn document(body: PollBody) -> Self {
        Self(Kind::Document(body))
    }

    pub(crate) fn sse(body: SseBody, hold: Hold) -> Self {
        Self(Kind::Sse(body, hold))
    }

    pub(crate) fn stream(body: StreamBody, hold: Hold) -> Self {
        Self(Kind::Stream(body, hold))
    }
}

impl Body for ResponseBody {
    type Data = Batch;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Batch>, Infallible>>> {
        match &mut self.0 {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| {
                let mut batch = Batch::default();
                batch.push(bytes);
                Ok(Frame::data(batch))
            })),
            Kind::Document(body) => Pin::new(body).poll_frame(cx),
            Kind::Sse(body, hold) => {
                let frame = Pin::new(&mut *body).poll_frame(cx);
                hold.sent(bytes_of(&frame));
                if let Some(end) = body.end() {
                    hold.tell(DisconnectReason::Ended(end));
                }
                frame
            }
            Kind::Stream(body, hold) => {
                let frame = Pin::new(&mut *body).poll_frame(cx);
                hold.sent(bytes_of(&frame));
                if let Some(end) = body.end() {
                    hold.tell(DisconnectReason::Ended(end));
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Document(body) => body.is_end_stream(),
            Kind::Sse(body, _) => body.is_end_stream(),
            Kind::Stream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Buf::remaining) as u64)
            }
            Kind::Document(body) => body.size_hint(),
            Kind::Sse(body, _) => body.size_hint(),
            Kind::Stream(body, _) => body.size_hint(),
        }
    }
}

fn bytes_of(frame: &Poll<Option<Result<Frame<Batch>, Infallible>>>) -> usize {
    match frame {
        Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, Buf::remaining),
        _ => 0,
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Full(_) => "ResponseBody(full)",
            Kind::Document(_) => "ResponseBody(document)",
            Kind::Sse(..) => "ResponseBody(sse)",
            Kind::Stream(..) => "ResponseBody(stream)",
        })
    }
}
