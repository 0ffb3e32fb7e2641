//! An in-memory connection whose client end is the kit: it sees every byte, write and flush, and
//! can stop reading or cut at any byte.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How a client goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It closes: the server reads the end of the stream.
    Closed,
    /// The connection is reset: the server's reads fail.
    Reset,
}

/// What has passed over a wire.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    /// Calls that wrote at least a byte.
    pub(super) writes: usize,
    /// Bytes that were written but not flushed.
    pub(super) unflushed: usize,
    /// The server has closed its side.
    pub(super) closed: bool,
}

#[derive(Debug)]
struct State {
    /// Written and flushed: what the client can read.
    arrived: VecDeque<u8>,
    /// Written, and held back until it is flushed or there is no more room.
    held: VecDeque<u8>,
    to_server: VecDeque<u8>,
    room: usize,
    cut: Option<Cut>,
    traffic: Traffic,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The kit's end.
#[derive(Clone, Debug)]
pub(super) struct ClientEnd(Arc<Mutex<State>>);

/// The server's end. Like a buffered socket it holds back what is written until it is flushed.
#[derive(Debug)]
pub(super) struct Pipe(Arc<Mutex<State>>);

/// A connection with room for so many bytes that the client has not read.
pub(super) fn pipe(room: usize) -> (ClientEnd, Pipe) {
    let state = Arc::new(Mutex::new(State {
        arrived: VecDeque::new(),
        held: VecDeque::new(),
        to_server: VecDeque::new(),
        room,
        cut: None,
        traffic: Traffic::default(),
        reader: None,
        writer: None,
    }));
    (ClientEnd(Arc::clone(&state)), Pipe(state))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no holder of the lock panics")
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl ClientEnd {
    /// Takes at most so many of the bytes that have arrived.
    pub(super) fn take(&self, limit: usize) -> Vec<u8> {
        let mut state = lock(&self.0);
        let count = state.arrived.len().min(limit);
        let bytes = state.arrived.drain(..count).collect();
        if count > 0 {
            wake(&mut state.writer);
        }
        bytes
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        let mut state = lock(&self.0);
        state.to_server.extend(bytes);
        wake(&mut state.reader);
    }

    pub(super) fn cut(&self, how: Cut) {
        let mut state = lock(&self.0);
        state.cut = Some(how);
        wake(&mut state.reader);
        wake(&mut state.writer);
    }

    pub(super) fn traffic(&self) -> Traffic {
        let state = lock(&self.0);
        Traffic {
            unflushed: state.held.len(),
            ..state.traffic
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        if state.to_server.is_empty() {
            return match state.cut {
                Some(Cut::Closed) => Poll::Ready(Ok(())),
                Some(Cut::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        let count = state.to_server.len().min(into.remaining());
        let bytes: Vec<u8> = state.to_server.drain(..count).collect();
        into.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        if state.cut.is_some() || state.traffic.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let used = state.arrived.len() + state.held.len();
        let room = state.room.saturating_sub(used);
        if room == 0 {
            state.release();
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
        let before = state.held.len();
        state.held.extend(bytes.take(room));
        let count = state.held.len() - before;
        state.traffic.writes += usize::from(count > 0);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        if state.cut.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        state.release();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        state.release();
        state.traffic.closed = true;
        Poll::Ready(Ok(()))
    }
}

impl State {
    fn release(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        self.arrived.append(&mut held);
    }
}

impl Drop for Pipe {
    /// As a buffered writer does, it forgets what was never flushed.
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.held.clear();
        state.traffic.closed = true;
    }
}
