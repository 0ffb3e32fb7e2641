//! What waits to be written.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// One order for all that is written: shared frames of events, replies, pings, and what
/// tungstenite writes of its own, which are pongs and close frames.
///
/// It keeps tungstenite from copying every event into a buffer of its connection.
#[derive(Default)]
pub(crate) struct OutQueue {
    rope: VecDeque<Bytes>,
    length: usize,
    /// How much of `length` is up to the end of the last batch of events.
    batch: usize,
    flush_due: bool,
}

impl OutQueue {
    pub(crate) fn push(&mut self, frame: Bytes) {
        if !frame.is_empty() {
            self.length += frame.len();
            self.rope.push_back(frame);
        }
    }

    /// Writes and flushes all that there is. `progress` is set when anything was written, done or
    /// not.
    pub(crate) fn poll_flush<S: AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        progress: &mut bool,
    ) -> Poll<io::Result<()>> {
        while self.length > 0 {
            let written = ready!(self.poll_write(io.as_mut(), cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *progress = true;
            self.flush_due = true;
            self.advance(written);
        }
        if self.flush_due {
            ready!(io.poll_flush(cx))?;
            *progress = true;
            self.flush_due = false;
        }
        if self.rope.capacity() > ROPE_KEPT {
            self.rope = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Marks the end of a batch of events.
    pub(crate) fn end_batch(&mut self) {
        self.batch = self.length;
    }

    /// Whether the last batch of events is not written yet.
    pub(crate) fn holds_batch(&self) -> bool {
        self.batch > 0
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0 && !self.flush_due
    }

    fn poll_write<S: AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if !io.is_write_vectored() {
            self.gather();
            let chunk = &self.rope[0];
            return io.poll_write(cx, &chunk[..chunk.len().min(GATHERED)]);
        }
        if let [frame] = self.rope.as_slices().0
            && self.rope.len() == 1
        {
            // One event, as most writes are: the plain call is the cheaper one, here and below.
            return io.poll_write(cx, frame);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let count = self.rope.len().min(MAX_SLICES);
        for (slice, frame) in slices.iter_mut().zip(&self.rope) {
            *slice = IoSlice::new(frame);
        }
        io.poll_write_vectored(cx, &slices[..count])
    }

    /// Makes one chunk of the first ones, for streams that take one at a time: there a write costs
    /// more than the copy.
    fn gather(&mut self) {
        let mut room = GATHERED;
        let count = self
            .rope
            .iter()
            .take_while(|frame| {
                let fits = frame.len() <= room;
                room = room.saturating_sub(frame.len());
                fits
            })
            .count();
        if count > 1 {
            let mut chunk = Vec::with_capacity(GATHERED - room);
            for frame in self.rope.drain(..count) {
                chunk.extend_from_slice(&frame);
            }
            self.rope.push_front(chunk.into());
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.length -= written;
        self.batch = self.batch.saturating_sub(written);
        while let Some(front) = self.rope.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.rope.pop_front();
        }
    }
}

impl fmt::Debug for OutQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutQueue")
            .field("frames", &self.rope.len())
            .field("bytes", &self.length)
            .finish_non_exhaustive()
    }
}

/// As many as hyper and most kernels take with good effect.
const MAX_SLICES: usize = 64;
/// The most that is copied into one chunk, and written as one where there is one at a time: a
/// stream over HTTP/2 copies what it is given, up to four chunks of it, before it says that it is
/// full.
const GATHERED: usize = 16 << 10;
/// An idle connection keeps room for so many frames.
const ROPE_KEPT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `step` bytes a call.
    struct Narrow {
        vectored: bool,
        step: usize,
        writes: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.step);
            self.writes.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            assert!(self.vectored && slices.len() <= MAX_SLICES);
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            self.poll_write(cx, &bytes)
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn written(vectored: bool, step: usize, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut io = Narrow {
            vectored,
            step,
            writes: Vec::new(),
        };
        let mut queue = OutQueue::default();
        frames
            .iter()
            .for_each(|frame| queue.push(frame.clone().into()));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let done = queue.poll_flush(Pin::new(&mut io), &mut cx, &mut false);
        assert!(matches!(done, Poll::Ready(Ok(()))));
        assert!(queue.is_empty() && queue.rope.capacity() <= ROPE_KEPT);
        io.writes
    }

    #[test]
    fn every_way_of_cutting_writes_the_same_bytes() {
        let frames: Vec<Vec<u8>> = (0..150u8).map(|n| vec![n; usize::from(n) % 7]).collect();
        for vectored in [true, false] {
            for step in [1, 2, 3, 50, 100_000] {
                assert_eq!(written(vectored, step, &frames).concat(), frames.concat());
            }
        }
    }

    #[test]
    fn a_batch_is_one_write() {
        let frames = vec![vec![1; 100]; 64];
        assert_eq!(written(true, usize::MAX, &frames).len(), 1);
        assert_eq!(written(false, usize::MAX, &frames).len(), 1);
    }

    #[test]
    fn gathering_copies_a_bounded_part() {
        let frames = [
            vec![1; GATHERED + 1],
            vec![2; GATHERED],
            vec![3; 1],
            vec![4; 1],
        ];
        let lengths: Vec<usize> = written(false, usize::MAX, &frames)
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(lengths, [GATHERED, 1, GATHERED, 2]);
    }
}
