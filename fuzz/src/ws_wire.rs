//! One WebSocket connection without a network: bytes of a client in, messages of the server out.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use eventcast_core::{Session, Sleep, Timer};
use eventcast_ws::{ClientHandler, WsConfig, WsEnd, serve};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the server said, and how the connection ended if it did.
pub(crate) struct Said {
    pub(crate) frames: Vec<(u8, Vec<u8>)>,
    pub(crate) end: Option<WsEnd>,
}

/// Lets a connection read `input` and work until nothing more happens.
pub(crate) fn talk(session: Session, handler: Arc<dyn ClientHandler>, input: &[u8]) -> Said {
    let output = Arc::default();
    let io = Wire {
        input: input.to_vec(),
        at: 0,
        output: Arc::clone(&output),
    };
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut connection = pin!(serve(
        io,
        session,
        handler,
        Arc::new(Never),
        WsConfig::new()
    ));
    let mut end = None;
    woken.0.store(true, Ordering::Relaxed);
    while woken.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(how) = connection.as_mut().poll(&mut Context::from_waker(&waker)) {
            end = Some(how);
            break;
        }
    }
    let bytes = std::mem::take(&mut *output.lock().expect("nobody panics with it"));
    Said {
        frames: frames(&bytes),
        end,
    }
}

/// A client's text message in one frame, with a mask of zeros.
pub(crate) fn text_frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(length @ 0..=125) => frame.push(0x80 | length as u8),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text);
    frame
}

/// The server's frames: whole, final and not masked.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((&[first, length], rest)) = bytes.split_first_chunk() {
        assert_eq!(first & 0xf0, 0x80, "a final frame without extensions");
        let (length, rest) = match length {
            0..=125 => (usize::from(length), rest),
            126 => {
                let (length, rest) = rest.split_first_chunk().expect("a length");
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk().expect("a length");
                (u64::from_be_bytes(*length) as usize, rest)
            }
            _ => panic!("a server does not mask"),
        };
        let (payload, rest) = rest.split_at_checked(length).expect("a whole frame");
        frames.push((first & 0x0f, payload.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame's head");
    frames
}

struct Wire {
    input: Vec<u8>,
    at: usize,
    output: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.input[self.at..];
        let count = rest.len().min(into.remaining());
        if count == 0 {
            // A client that waits.
            return Poll::Pending;
        }
        into.put_slice(&rest[..count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut output = self.output.lock().expect("nobody panics with it");
        output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Never;

impl Timer for Never {
    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}
