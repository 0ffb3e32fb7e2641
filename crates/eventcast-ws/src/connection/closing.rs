//! The closing handshake, in bounded time.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use eventcast_core::Sleep;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as SocketCode;

use super::inbound::failure;
use super::state::{Connection, Exit};
use crate::end::{CloseCode, WsEnd};

/// A connection on its way out.
pub(super) struct Closing {
    end: WsEnd,
    step: Step,
    deadline: Sleep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Our close frame is queued or sent; the peer's has not come.
    AwaitClose,
    /// What the peer still sends is thrown away until it is done: closing a socket with unread
    /// bytes resets it, and the peer might lose our close frame.
    Discard,
    /// Both close frames are there: write what is queued.
    Finish,
    /// All is written and the writing side is shut.
    Shut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Begins to close, or tells that it is over at once.
    pub(super) fn leave(&mut self, exit: Exit, cx: &mut Context<'_>) -> Option<WsEnd> {
        let (step, end) = match exit {
            Exit::Now(end) => return Some(end),
            Exit::PeerClosed(code) => (Step::Finish, WsEnd::PeerClosed { code }),
            Exit::Close(code, reason, end) => {
                self.say_close(code, &reason, cx);
                (Step::AwaitClose, end)
            }
            Exit::Fail(code, reason) => {
                self.say_close(code, &reason, cx);
                (Step::Discard, WsEnd::Violation { code })
            }
        };
        self.pending = None;
        self.join = None;
        let deadline = self.timer.sleep(self.config.close_timeout());
        self.closing = Some(Closing {
            end,
            step,
            deadline,
        });
        None
    }

    pub(super) fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<WsEnd> {
        let Some(closing) = &mut self.closing else {
            return Poll::Pending;
        };
        let end = closing.end;
        if closing.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(end);
        }
        // Whatever fails now, the connection is over with the end that it has.
        self.try_poll_closing(cx).map(|_| end)
    }

    fn try_poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.step() == Step::AwaitClose {
            self.await_close(cx)?;
        }
        let flushed = self
            .queue
            .poll_flush(Pin::new(&mut self.io), cx, &mut false);
        match self.step() {
            Step::AwaitClose => {
                if let Poll::Ready(Err(error)) = flushed {
                    return Poll::Ready(Err(error));
                }
                Poll::Pending
            }
            Step::Finish => {
                ready!(flushed)?;
                Pin::new(&mut self.io).poll_shutdown(cx)
            }
            Step::Discard => {
                if let Poll::Ready(result) = flushed {
                    result?;
                    ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
                    self.set_step(Step::Shut);
                }
                self.poll_discard(cx)
            }
            Step::Shut => self.poll_discard(cx),
        }
    }

    /// Reads on until the peer's close frame is there. What else it sends was sent before it knew.
    fn await_close(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        for _ in 0..READS {
            match self.read_message(cx) {
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(());
                }
                Err(Error::ConnectionClosed) => {
                    self.set_step(Step::Finish);
                    return Ok(());
                }
                Err(error) => match failure(&error) {
                    Exit::Fail(..) => {
                        self.set_step(Step::Discard);
                        return Ok(());
                    }
                    _ => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 1024];
        for _ in 0..READS {
            let mut into = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut into))?;
            if into.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn say_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_>) {
        let end = reason.floor_char_boundary(MAX_REASON);
        let frame = CloseFrame {
            code: SocketCode::from(code.code()),
            reason: reason[..end].into(),
        };
        // The queue takes everything, so this fails only when the peer's close was first.
        let _ = self.queue_close(frame, cx);
    }

    fn step(&self) -> Step {
        self.closing
            .as_ref()
            .map_or(Step::Finish, |closing| closing.step)
    }

    fn set_step(&mut self, step: Step) {
        if let Some(closing) = &mut self.closing {
            closing.step = step;
        }
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing")
            .field("end", &self.end)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

const READS: usize = 64;
/// What a control frame has room for beside the code (RFC 6455 §5.5).
const MAX_REASON: usize = 123;
