//! Bodies whose data tells when it is sent.

use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use eventcast_core::Batch;
use http_body::{Body, Frame, SizeHint};

use super::streams::Stream;
use crate::body::ResponseBody;

/// A response's body on a stream that is watched.
///
/// hyper lets a stream go as soon as it has given all data to h2, sent or not, and then nothing can
/// reset it. So the end of a body comes only once its data is sent, unless that is little.
pub(super) struct Watched {
    body: ResponseBody,
    stream: Arc<Stream>,
    end_waits: bool,
}

impl Watched {
    pub(super) fn new(body: ResponseBody, stream: Arc<Stream>) -> Self {
        Self {
            end_waits: body.size_hint().exact().is_none_or(|size| size > LITTLE),
            body,
            stream,
        }
    }
}

impl Body for Watched {
    type Data = Unsent;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Unsent>, Infallible>>> {
        let this = &mut *self;
        match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let frame = frame.map_data(|batch| Unsent::new(batch, &this.stream));
                Poll::Ready(Some(Ok(frame)))
            }
            None if this.end_waits => this.stream.poll_sent(cx).map(|()| None),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.end_waits && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Data that its stream knows of until it is sent.
pub(super) struct Unsent {
    batch: Batch,
    stream: Arc<Stream>,
}

impl Unsent {
    fn new(batch: Batch, stream: &Arc<Stream>) -> Self {
        stream.add_unsent();
        Self {
            batch,
            stream: Arc::clone(stream),
        }
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.stream.remove_unsent();
    }
}

impl Buf for Unsent {
    fn remaining(&self) -> usize {
        self.batch.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.batch.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.batch.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.stream.note_progress();
        self.batch.advance(count);
    }
}

/// What may wait in h2 for as long as its connection lives.
const LITTLE: u64 = 4 << 10;
