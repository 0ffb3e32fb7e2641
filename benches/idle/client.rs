//! Clients: sockets that connect, read what is there, and then only stay open.

use std::error::Error;

use crate::http1::Http1;
use crate::http2::Http2;
use crate::server::ServerProcess;
use crate::tls;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sse,
    SseHttp2,
    SseTls,
    WebSocket,
    WebSocketHttp2,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Sse,
        Self::WebSocket,
        Self::SseHttp2,
        Self::WebSocketHttp2,
        Self::SseTls,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sse => "SSE",
            Self::SseHttp2 => "SSE, HTTP/2",
            Self::SseTls => "SSE, TLS",
            Self::WebSocket => "WebSocket",
            Self::WebSocketHttp2 => "WebSocket, HTTP/2",
        }
    }

    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::WebSocketHttp2)
    }

    /// How many sessions share a connection.
    pub(crate) fn sessions(self) -> usize {
        match self {
            Self::SseHttp2 | Self::WebSocketHttp2 => STREAMS,
            Self::Sse | Self::SseTls | Self::WebSocket => 1,
        }
    }

    /// The end of what a session begins with.
    fn opening_end(self) -> &'static [u8] {
        if self.is_websocket() {
            br#""type":"open""#
        } else {
            // The response's head has CR LF only.
            b"\n\n"
        }
    }
}

/// A connection with its sessions, for as long as it is held.
pub(crate) trait Connection {
    /// Reads until `needle` has come in each session.
    fn read_through(&mut self, needle: &[u8]) -> Result<(), Box<dyn Error>>;
}

/// Opens a connection and so many sessions, and reads what they begin with.
pub(crate) fn open(
    kind: Kind,
    server: &ServerProcess,
    channel: &str,
    sessions: usize,
) -> Result<Box<dyn Connection>, Box<dyn Error>> {
    let mut connection: Box<dyn Connection> = match kind {
        Kind::Sse | Kind::WebSocket => {
            let stream = server.connect()?;
            Box::new(Http1::open(stream, kind.is_websocket(), channel)?)
        }
        Kind::SseTls => Box::new(Http1::open(tls::connect(server)?, false, channel)?),
        Kind::SseHttp2 | Kind::WebSocketHttp2 => {
            let stream = server.connect()?;
            Box::new(Http2::open(stream, kind.is_websocket(), channel, sessions)?)
        }
    };
    connection.read_through(kind.opening_end())?;
    Ok(connection)
}

/// Streams of an HTTP/2 connection.
const STREAMS: usize = 100;
