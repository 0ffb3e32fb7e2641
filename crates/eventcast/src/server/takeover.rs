//! An event stream on its socket, once hyper has read the request.
//!
//! hyper keeps 16 KiB of buffers for a connection as long as it lives, and does not look for its
//! end while bytes of a further request wait. An endless response needs neither.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http::header::HeaderMap;
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::chunk::Chunk;
use super::link::Link;
use crate::body::ResponseBody;

/// Writes a response with an endless body, and is done when either side ends it.
///
/// The body is chunked (RFC 9112, section 7.1), one chunk a batch, one vectored write. What the
/// client sends is thrown away: it is read to see the client's end at once.
pub(super) struct EventStream<S> {
    io: S,
    /// Absent once its end is queued.
    body: Option<ResponseBody>,
    chunk: Chunk,
    discarded: usize,
    link: Option<Arc<Link>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> EventStream<S> {
    pub(super) fn new(io: S, response: Response<ResponseBody>, link: Option<Arc<Link>>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            io,
            body: Some(body),
            chunk: Chunk::unframed(head(&parts.headers)),
            discarded: 0,
            link,
        }
    }

    /// Ready when the chunk is written, out of TLS's own buffer too, or with `Err` when the
    /// connection is over.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        let Self { io, chunk, .. } = self;
        while !chunk.is_empty() {
            let io = Pin::new(&mut *io);
            let written = if chunk.remaining() <= SMALL {
                // One event, as most chunks are: the system takes one piece faster than it gathers
                // three.
                let mut bytes = [0; SMALL];
                let count = chunk.copy_to(&mut bytes);
                io.poll_write(cx, &bytes[..count])
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = chunk.slices(&mut slices);
                io.poll_write_vectored(cx, &slices[..count])
            };
            match written {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Over)),
                Poll::Ready(Ok(written)) => chunk.advance(written),
                Poll::Pending => return Poll::Pending,
            }
        }
        let flushed = Pin::new(io).poll_flush(cx);
        flushed.map(|result| result.map_err(|_| Over))
    }

    /// Throws away what the client sends; `Err` when it is gone, or sends without end.
    fn discard(&mut self, cx: &mut Context<'_>) -> Result<(), Over> {
        let mut bytes = [0; 256];
        loop {
            let mut into = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.io).poll_read(cx, &mut into) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {
                    self.discarded += into.filled().len();
                    if self.discarded > MAX_DISCARDED {
                        if let Some(link) = &self.link {
                            link.note_flood();
                        }
                        return Err(Over);
                    }
                }
                Poll::Ready(_) => return Err(Over),
            }
        }
    }

    /// Queues the next frame as a chunk, or the end of the body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(body) = &mut self.body else {
            return Poll::Pending;
        };
        match Pin::new(body).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                if let Ok(batch) = frame.into_data()
                    && !batch.is_empty()
                {
                    self.chunk = Chunk::new(batch);
                }
            }
            Poll::Ready(_) => {
                self.body = None;
                self.chunk = Chunk::last();
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for EventStream<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.discard(cx).is_err() {
            return Poll::Ready(());
        }
        let mut asked = false;
        loop {
            match this.poll_write(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(Over)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) if this.body.is_none() => {
                    return Pin::new(&mut this.io).poll_shutdown(cx).map(|_| ());
                }
                Poll::Ready(Ok(())) => {}
            }
            // What it was asked for in this turn was all that there was.
            if asked && this.body.as_ref().is_some_and(ResponseBody::is_waiting) {
                return Poll::Pending;
            }
            if this.poll_body(cx).is_pending() {
                return Poll::Pending;
            }
            asked = true;
        }
    }
}

/// The connection is over; nobody is left to be told why.
struct Over;

fn head(headers: &HeaderMap) -> Bytes {
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    #[allow(
        clippy::disallowed_methods,
        reason = "a response tells the wall clock's time"
    )]
    let date = httpdate::HttpDate::from(std::time::SystemTime::now());
    let framing =
        format!("date: {date}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n");
    head.extend_from_slice(framing.as_bytes());
    head.into()
}

/// What is copied into one piece rather than written as several.
const SMALL: usize = 512;
/// A full batch, with what frames it.
const MAX_SLICES: usize = 66;
/// A further request or two may have been sent before this one was answered; nothing asks for more.
const MAX_DISCARDED: usize = 64 << 10;
