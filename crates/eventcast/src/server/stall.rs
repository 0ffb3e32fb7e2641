//! Ends connections whose peer takes nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::link::Link;
use super::seats::Seat;
use crate::limits::Limit;
use crate::service::EventService;

/// A stream whose writes fail once they have made no progress for a time.
pub(super) struct StallGuard<S> {
    stream: S,
    timeout: Duration,
    /// Runs while a write is blocked.
    blocked: Option<Pin<Box<Sleep>>>,
    /// Told what happens, where somebody wants to know.
    link: Option<Arc<Link>>,
    /// Counts, once.
    service: Option<EventService>,
    /// Given back with the socket, whoever has it in the end.
    _seat: Option<Box<Seat>>,
}

impl<S> StallGuard<S> {
    pub(super) fn new(
        stream: S,
        timeout: Duration,
        link: Option<Arc<Link>>,
        service: EventService,
        seat: Option<Seat>,
    ) -> Self {
        Self {
            stream,
            timeout,
            blocked: None,
            link,
            service: Some(service),
            _seat: seat.map(Box::new),
        }
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = &progress {
            self.blocked = None;
            self.note(result);
            return progress;
        }
        let timeout = self.timeout;
        let blocked = self
            .blocked
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if blocked.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if let Some(link) = &self.link {
            link.note_stalled();
        }
        if let Some(service) = self.service.take() {
            service.shared().gate.count(Limit::WriteTimeouts);
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn note<T>(&self, result: &io::Result<T>) {
        if let (Some(link), Err(error)) = (&self.link, result) {
            link.note_error(error);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let (Some(link), Poll::Ready(result)) = (&self.link, &read) {
            match result {
                Ok(()) => link.note_heard(),
                Err(error) => link.note_error(error),
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, progress)
    }
}
