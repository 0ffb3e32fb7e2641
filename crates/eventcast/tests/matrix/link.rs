//! A stream that can be taken from under a server.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use eventcast_testkit::transport::ServerEnd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A WebSocket's task is the service's own, so dropping a connection's future does not drop it: the
/// stream goes instead, as it does when a process ends.
pub(crate) struct Severed(Arc<Mutex<State>>);

/// Takes the stream away when it is dropped.
pub(crate) struct Severs(Arc<Mutex<State>>);

struct State {
    io: Option<ServerEnd>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Severed {
    pub(crate) fn new(io: ServerEnd) -> (Self, Severs) {
        let state = Arc::new(Mutex::new(State {
            io: Some(io),
            reader: None,
            writer: None,
        }));
        (Self(Arc::clone(&state)), Severs(state))
    }

    fn with<T>(
        &self,
        cx: &mut Context<'_>,
        reads: bool,
        work: impl FnOnce(Pin<&mut ServerEnd>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut state = self.0.lock().unwrap();
        let waker = Some(cx.waker().clone());
        match reads {
            true => state.reader = waker,
            false => state.writer = waker,
        }
        match &mut state.io {
            Some(io) => work(Pin::new(io), cx),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }
}

impl Drop for Severed {
    fn drop(&mut self) {
        self.0.lock().unwrap().io = None;
    }
}

impl Drop for Severs {
    fn drop(&mut self) {
        let mut state = self.0.lock().unwrap();
        state.io = None;
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl AsyncRead for Severed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(cx, true, |io, cx| io.poll_read(cx, into))
    }
}

impl AsyncWrite for Severed {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(cx, false, |io, cx| io.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(cx, false, |io, cx| io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(cx, false, |io, cx| io.poll_shutdown(cx))
    }
}
