//! Connections that break after some bytes from the server.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Dials wherever the server is now, and cuts each connection after a random number of bytes.
#[derive(Clone)]
pub(crate) struct Cutter(Arc<Mutex<State>>);

struct State {
    address: SocketAddr,
    random: u64,
    most: u64,
    dials: u64,
}

impl Cutter {
    pub(crate) fn new(address: SocketAddr, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            address,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            most: 1_500,
            dials: 0,
        })))
    }

    pub(crate) fn dials(&self) -> u64 {
        self.0.lock().unwrap().dials
    }

    /// Another server from now on.
    pub(crate) fn move_to(&self, address: SocketAddr) {
        self.0.lock().unwrap().address = address;
    }

    pub(crate) fn dial(&self) -> impl Future<Output = io::Result<Cut>> + Send + use<> {
        let (address, left) = {
            let mut state = self.0.lock().unwrap();
            state.random ^= state.random << 13;
            state.random ^= state.random >> 7;
            state.random ^= state.random << 17;
            state.dials += 1;
            // It grows, for the answer to a poll is read whole or not at all.
            state.most += 250;
            (state.address, (state.random % state.most) as usize)
        };
        async move {
            let stream = TcpStream::connect(address).await?;
            Ok(Cut { stream, left })
        }
    }
}

pub(crate) struct Cut {
    stream: TcpStream,
    left: usize,
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let mut bytes = [0; 4096];
        let room = self.left.min(buffer.remaining()).min(bytes.len());
        let mut part = ReadBuf::new(&mut bytes[..room]);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        buffer.put_slice(part.filled());
        self.left -= part.filled().len();
        read
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
