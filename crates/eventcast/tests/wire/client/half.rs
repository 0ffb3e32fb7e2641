//! A client's half of one connection without the connection: bytes in, bytes out.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use eventcast_testkit::transport::Seen;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where a client puts what it understood.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<Seen>>>);

impl Sink {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Vec<Seen>) -> T) -> T {
        work(&mut lock(&self.0))
    }
}

/// A client that is moved on by the bytes it is given, and by nothing else.
pub(crate) struct Half {
    pipes: Pipes,
    seen: Sink,
    client: Pin<Box<dyn Future<Output = Result<(), String>> + Send>>,
    woken: Arc<Woken>,
    done: bool,
}

impl Half {
    pub(crate) fn new<F>(client: impl FnOnce(Pipes, Sink) -> F) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let (pipes, seen) = (Pipes::default(), Sink::default());
        let mut half = Self {
            client: Box::pin(client(pipes.clone(), seen.clone())),
            pipes,
            seen,
            woken: Arc::default(),
            done: false,
        };
        half.go().expect("nothing was received yet");
        half
    }

    /// Takes what came, cut anywhere.
    pub(crate) fn receive(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), String> {
        lock(&self.pipes.0).incoming.extend(bytes);
        self.go()?;
        self.seen.with(|own| seen.append(own));
        Ok(())
    }

    /// What is to be sent.
    pub(crate) fn outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.pipes.0).outgoing)
    }

    /// Whether the client has all it wants, and would close.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    fn go(&mut self) -> Result<(), String> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.woken.0.store(true, Ordering::SeqCst);
        while !self.done && self.woken.0.swap(false, Ordering::SeqCst) {
            if let Poll::Ready(result) = self.client.as_mut().poll(&mut Context::from_waker(&waker))
            {
                self.done = true;
                result?;
            }
        }
        Ok(())
    }
}

/// A stream of what was given and what is to be sent. It wakes nobody: who gives bytes polls.
#[derive(Clone, Default)]
pub(crate) struct Pipes(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    incoming: VecDeque<u8>,
    outgoing: Vec<u8>,
}

impl AsyncRead for Pipes {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        let (first, _) = state.incoming.as_slices();
        let count = first.len().min(into.remaining());
        if count == 0 {
            return Poll::Pending;
        }
        into.put_slice(&first[..count]);
        state.incoming.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipes {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).outgoing.extend_from_slice(bytes);
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
        self.0.store(true, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of the lock panics")
}
