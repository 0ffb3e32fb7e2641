//! Clients: sockets that connect, read what is there, and then only stay open.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sse,
    WebSocket,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sse => "SSE",
            Self::WebSocket => "WebSocket",
        }
    }

    fn request(self, address: SocketAddr, channel: &str) -> String {
        let head = format!("GET /events?channel={channel} HTTP/1.1\r\nhost: {address}\r\n");
        head + match self {
            Self::Sse => "accept: text/event-stream\r\n\r\n",
            Self::WebSocket => {
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            }
        }
    }

    /// The end of what a connection begins with.
    fn opening_end(self) -> &'static [u8] {
        match self {
            // The response's head has CR LF only.
            Self::Sse => b"\n\n",
            Self::WebSocket => br#""type":"open""#,
        }
    }
}

/// Opens a connection and reads its opening block or message.
pub(crate) fn open(kind: Kind, address: SocketAddr, channel: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(kind.request(address, channel).as_bytes())?;
    read_through(&mut stream, kind.opening_end())?;
    Ok(stream)
}

/// Reads until `needle` has come.
pub(crate) fn read_through(stream: &mut TcpStream, needle: &[u8]) -> io::Result<()> {
    let mut received = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        let looked_at = received.len().saturating_sub(needle.len());
        let count = stream.read(&mut piece)?;
        if count == 0 {
            let text = String::from_utf8_lossy(&received);
            return Err(io::Error::other(format!(
                "the server hung up after: {text}"
            )));
        }
        received.extend_from_slice(&piece[..count]);
        let mut windows = received[looked_at..].windows(needle.len());
        if windows.any(|window| window == needle) {
            return Ok(());
        }
    }
}

/// A server that sends nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
