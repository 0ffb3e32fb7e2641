//! What tungstenite reads from and writes to.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

use super::queue::OutQueue;

/// The connection for one call of tungstenite: reads come from the stream, writes go to the queue
/// and so never block.
pub(crate) struct Wire<'a, 'cx, S> {
    pub(crate) io: &'a mut S,
    pub(crate) queue: &'a mut OutQueue,
    pub(crate) heard: &'a mut bool,
    pub(crate) cx: &'a mut Context<'cx>,
}

impl<S: AsyncRead + Unpin> Read for Wire<'_, '_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut into = ReadBuf::new(into);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut into) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) => {
                let count = into.filled().len();
                *self.heard |= count > 0;
                Ok(count)
            }
        }
    }
}

impl<S> Write for Wire<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.queue.push(Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
