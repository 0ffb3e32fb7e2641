//! What the kit has to be given.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use eventcast_core::Session;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::seen::Seen;
use super::sessions::Sessions;
use super::wire::Pipe;
use crate::faulty::FaultyIo;

/// Connects the kit to a transport: the server's half runs over a stream of the kit, the client's
/// half turns its bytes into what a client sees.
///
/// The kit is the network in between. It counts writes, withholds what is not flushed, stops
/// reading, cuts after any byte and injects faults, so a harness has none of that.
///
/// - A transport driven by [`drive`](eventcast_core::drive) is served so: `drive(session,
///   MyTransport(io), &timer, heartbeat)`.
/// - A body that an HTTP server pulls is served by [`pull`](super::pull()), which stands for the
///   server.
/// - A transport whose messages are no bytes writes them with their lengths before them.
///
/// The crate's documentation has a whole one.
pub trait Harness: Send + Sync {
    /// Serves a session over a stream until either ends. The future owns both: the kit drops it to
    /// drop the connection. It runs on a tokio runtime of one thread, whose time is simulated.
    fn serve(&self, session: Session, io: ServerEnd) -> Serving;

    /// Serves a client that asks again and again, each time with the last position it read: long
    /// polling. The first answer is the given session's, each further one is that of a session
    /// that `sessions` resumes. The client asks with [`Decoder::reply`].
    ///
    /// The kit calls only this one. By default it is [`serve`](Self::serve) with the one session.
    fn serve_requests(&self, session: Session, sessions: Sessions, io: ServerEnd) -> Serving {
        let _ = sessions;
        self.serve(session, io)
    }

    /// Whether the server opens its sessions itself, as a whole server does from a request: the one
    /// it is given is only a model then, and [`Sessions`] tells how to open one like it.
    ///
    /// A session that loses events before it is read tells them as trimmed, not as slow: it is
    /// opened when the loss has happened.
    fn opens_sessions(&self) -> bool {
        false
    }

    /// How many bytes are between two cuts; 1 by default. More is for streams that are understood
    /// in larger pieces and cost much to begin, such as TLS.
    fn cut_step(&self) -> usize {
        1
    }

    /// A client's decoder for one connection.
    fn decoder(&self) -> Box<dyn Decoder>;

    /// The decoder of a client that asks for a session itself; by default one that does not.
    fn decoder_for(&self, sessions: &Sessions) -> Box<dyn Decoder> {
        let _ = sessions;
        self.decoder()
    }

    /// How often an idle connection that [`serve`](Self::serve) began gives a sign of life.
    fn heartbeat(&self) -> Duration;

    /// What the wire format can tell; everything by default.
    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }
}

/// A connection being served; see [`Harness::serve`].
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A client's half of the wire format, for one connection.
pub trait Decoder: Send {
    /// Takes the next bytes, cut anywhere, and appends what they complete.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn decode(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), String>;

    /// What a client sends: at first, and because of what it read, such as a pong or a close frame;
    /// nothing by default.
    fn reply(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Whether the client closes the connection now, having read all it wants; never by default.
    fn closes(&self) -> bool {
        false
    }
}

/// Something that a wire format can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Bytes arrive as they were published.
    Binary,
    /// Events tell their channel.
    Channels,
    /// That a channel is completed is told in its place.
    Completions,
    /// The session's end is told with its reason, not only by closing.
    Ends,
    /// A connection whose channels are all completed ends. Without it, it stays open for its
    /// client to subscribe to more.
    Finite,
    /// Gaps are told. Without it, the connection has to end where a gap is due.
    Gaps,
    /// An idle connection gives signs of life.
    Heartbeats,
    /// Events carry ids, and a client can resume.
    Ids,
    /// JSON arrives byte for byte. To be judged, it also needs this crate's feature `json`.
    Json,
    /// Events tell whether they are text, JSON or bytes.
    Kinds,
    /// Line ends in a text arrive as they were published. Without it, each CR, LF or CRLF arrives
    /// as LF.
    LineEnds,
    /// Events tell their name.
    Names,
    /// A batch is one write, where the stream takes it whole.
    OneWrite,
    /// The first block tells where the session stands.
    Opening,
}

/// What a wire format can tell. A case that needs more is skipped, printed and counted.
///
/// ```
/// use eventcast_testkit::transport::{Capabilities, Capability};
///
/// let plain = Capabilities::all().without(Capability::LineEnds);
/// assert!(plain.has(Capability::Gaps) && !plain.has(Capability::LineEnds));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Capabilities {
    lacks: u16,
}

impl Capabilities {
    /// Everything.
    pub const fn all() -> Self {
        Self { lacks: 0 }
    }

    /// All of these but one.
    pub const fn without(mut self, capability: Capability) -> Self {
        self.lacks |= 1 << capability as u16;
        self
    }

    /// Whether the format has a capability.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.lacks & 1 << capability as u16 == 0
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::all()
    }
}

/// The server's end of a connection of the kit.
///
/// Like a buffered socket it holds back what is written until it is flushed, and forgets the rest
/// when it is dropped. A client that is gone reads as the end of the stream or as a reset; writes
/// fail then.
#[derive(Debug)]
pub struct ServerEnd(pub(super) FaultyIo<Pipe>);

impl AsyncRead for ServerEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for ServerEnd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl fmt::Debug for dyn Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}
