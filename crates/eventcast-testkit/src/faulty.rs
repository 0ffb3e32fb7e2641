//! A stream that misbehaves by plan.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a [`FaultyIo`] does to the calls that pass through it. The same plan gives the same faults
/// at the same calls, every time.
///
/// ```
/// use eventcast_testkit::Faults;
///
/// // One byte at a time, with a pause before each.
/// let faults = Faults::new().with_short_writes(1).with_pending(|poll| poll % 2 == 0);
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Faults {
    short_writes: Option<usize>,
    short_reads: Option<usize>,
    pending: Option<Arc<Chooser>>,
    fail_after: Option<u64>,
}

type Chooser = dyn Fn(u64) -> bool + Send + Sync;

impl Faults {
    /// None: everything passes as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// A write takes at most so many bytes; at least 1.
    pub fn with_short_writes(mut self, bytes: usize) -> Self {
        self.short_writes = Some(bytes.max(1));
        self
    }

    /// A read gives at most so many bytes; at least 1.
    pub fn with_short_reads(mut self, bytes: usize) -> Self {
        self.short_reads = Some(bytes.max(1));
        self
    }

    /// These polls, counted from 0 over reads, writes and flushes each, are pending once, with
    /// their waker woken at once.
    pub fn with_pending(mut self, polls: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        self.pending = Some(Arc::new(polls));
        self
    }

    /// Writes and flushes fail once so many bytes were written.
    pub fn with_failure_after(mut self, bytes: u64) -> Self {
        self.fail_after = Some(bytes);
        self
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("short_writes", &self.short_writes)
            .field("short_reads", &self.short_reads)
            .field("pending", &self.pending.is_some())
            .field("fail_after", &self.fail_after)
            .finish()
    }
}

/// A stream whose reads and writes fail, fall short or wait as its [`Faults`] say.
///
/// ```
/// use eventcast_testkit::{Faults, FaultyIo};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (stream, mut peer) = tokio::io::duplex(64);
/// let mut stream = FaultyIo::new(stream, Faults::new().with_short_writes(1));
/// assert_eq!(stream.write(b"abc").await?, 1);
/// stream.write_all(b"bc").await?;
/// let mut read = [0; 3];
/// peer.read_exact(&mut read).await?;
/// assert_eq!(&read, b"abc");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FaultyIo<S> {
    io: S,
    faults: Faults,
    stall: Stall,
    written: u64,
    reads: u64,
    writes: u64,
    flushes: u64,
}

impl<S> FaultyIo<S> {
    /// Puts the faults before a stream.
    pub fn new(io: S, faults: Faults) -> Self {
        Self {
            io,
            faults,
            stall: Stall::default(),
            written: 0,
            reads: 0,
            writes: 0,
            flushes: 0,
        }
    }

    /// A switch that stops all writes and flushes, and lets them go on.
    #[must_use]
    pub fn stall(&self) -> Stall {
        self.stall.clone()
    }

    /// The stream.
    pub fn into_inner(self) -> S {
        self.io
    }

    fn check_write(&self, cx: &Context<'_>, poll: u64) -> Poll<io::Result<()>> {
        if self.faults.fail_after.is_some_and(|n| self.written >= n) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if self.stall.is_stalled(cx) || self.faults.is_pending(cx, poll) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl Faults {
    fn is_pending(&self, cx: &Context<'_>, poll: u64) -> bool {
        let pending = self.pending.as_ref().is_some_and(|chosen| chosen(poll));
        if pending {
            cx.waker().wake_by_ref();
        }
        pending
    }

    /// How much one write may take, counted to the failure too.
    fn longest_write(&self, written: u64) -> usize {
        let to_failure = self.fail_after.map_or(u64::MAX, |n| n - written);
        let to_failure = usize::try_from(to_failure).unwrap_or(usize::MAX);
        self.short_writes.unwrap_or(usize::MAX).min(to_failure)
    }
}

/// Counts a poll and returns its number.
fn count(polls: &mut u64) -> u64 {
    *polls += 1;
    *polls - 1
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultyIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = count(&mut this.reads);
        if this.faults.is_pending(cx, poll) {
            return Poll::Pending;
        }
        let Some(longest) = this.faults.short_reads else {
            return Pin::new(&mut this.io).poll_read(cx, into);
        };
        let mut bytes = vec![0; longest.min(into.remaining())];
        let mut part = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut this.io).poll_read(cx, &mut part);
        into.put_slice(part.filled());
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FaultyIo<S> {
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
        let this = self.get_mut();
        let poll = count(&mut this.writes);
        match this.check_write(cx, poll) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        let mut room = this.faults.longest_write(this.written);
        let mut part = Vec::with_capacity(slices.len());
        for slice in slices {
            let length = slice.len().min(room);
            part.push(io::IoSlice::new(&slice[..length]));
            room -= length;
        }
        let io = Pin::new(&mut this.io);
        let result = match part.as_slice() {
            [only] => io.poll_write(cx, only),
            several => io.poll_write_vectored(cx, several),
        };
        if let Poll::Ready(Ok(count)) = result {
            this.written += count as u64;
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = count(&mut this.flushes);
        match this.check_write(cx, poll) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.io).poll_flush(cx),
            held_up => held_up,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// A switch that stops all writes and flushes of a [`FaultyIo`]; see [`FaultyIo::stall`].
#[derive(Clone, Debug, Default)]
pub struct Stall(Arc<Mutex<(bool, Option<Waker>)>>);

impl Stall {
    /// From now on nothing can be written.
    ///
    /// # Panics
    /// Never: no holder of its lock panics.
    pub fn begin(&self) {
        self.0.lock().expect("no holder panics").0 = true;
    }

    /// Writes go on.
    ///
    /// # Panics
    /// Never: no holder of its lock panics.
    pub fn end(&self) {
        let mut state = self.0.lock().expect("no holder panics");
        state.0 = false;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }

    fn is_stalled(&self, cx: &Context<'_>) -> bool {
        let mut state = self.0.lock().expect("no holder panics");
        if state.0 {
            state.1 = Some(cx.waker().clone());
        }
        state.0
    }
}
