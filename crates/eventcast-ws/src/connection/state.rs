//! The connection's state and its poll function.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use eventcast_core::{Delivery, Linger, Session, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, Message, Role, WebSocketConfig, WebSocketContext,
};

use super::closing::Closing;
use super::inbound::PendingReply;
use super::join::PendingJoin;
use super::outbound::Delivered;
use super::queue::OutQueue;
use super::watch::{Beat, Pulse, Stall};
use super::wire::Wire;
use crate::codec::{JsonFormat, PlainFormat};
use crate::config::{Mode, WsConfig};
use crate::end::{CloseCode, WsEnd};
use crate::handler::ClientHandler;

/// Runs a session over a stream that speaks WebSocket already: the handshake is done, see
/// [`upgrade`](crate::upgrade()).
///
/// The opening message is the first thing sent. The session should be fresh: what was read from it
/// before is not sent.
#[must_use = "a connection does nothing unless it is polled"]
pub fn serve<S>(
    io: S,
    session: Session,
    handler: Arc<dyn ClientHandler>,
    timer: Arc<dyn Timer>,
    config: WsConfig,
) -> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection {
        socket: WebSocketContext::new(Role::Server, Some(socket_config(&config))),
        io,
        session,
        handler,
        queue: OutQueue::default(),
        read_all: false,
        pending: None,
        join: None,
        pulse: Pulse::new(&*timer, &config),
        timer,
        stall: Stall::default(),
        linger: Linger::new(config.linger()),
        refused: 0,
        heard: false,
        closing: None,
        config,
    };
    connection.open();
    connection
}

/// One client's connection: a future that is done when the connection has ended; see [`serve`].
///
/// Spawn it: it is all that runs for the connection. It reads while a write is blocked, so pings
/// are answered; it holds no events but the batch that is being written, the rest waits in the
/// log.
///
/// # Cancel safety
/// Dropping it cuts the connection without a closing handshake. To end it properly, end its
/// session through a [`SessionHandle`](eventcast_core::SessionHandle).
#[must_use = "a connection does nothing unless it is polled"]
pub struct Connection<S> {
    pub(super) io: S,
    pub(super) socket: WebSocketContext,
    pub(super) queue: OutQueue,
    pub(super) session: Session,
    pub(super) handler: Arc<dyn ClientHandler>,
    /// Tungstenite holds no whole message: the last read ended for want of bytes.
    pub(super) read_all: bool,
    /// The request that is being handled.
    pub(super) pending: Option<PendingReply>,
    /// The subscription that waits for the log.
    pub(super) join: Option<Box<PendingJoin>>,
    pub(super) timer: Arc<dyn Timer>,
    pulse: Pulse,
    stall: Stall,
    pub(super) linger: Linger,
    /// How many messages in a row were not admitted.
    pub(super) refused: u32,
    /// Something came from the peer since the last beat.
    pub(super) heard: bool,
    pub(super) closing: Option<Closing>,
    pub(super) config: WsConfig,
}

/// How an open connection stops being one.
#[derive(Debug)]
pub(super) enum Exit {
    /// Close with a code and await the peer's close.
    Close(CloseCode, Cow<'static, str>, WsEnd),
    /// What the peer sends makes no sense any more: close with a code and read no further.
    Fail(CloseCode, Cow<'static, str>),
    /// There is nobody to tell.
    Now(WsEnd),
    /// The peer has closed and its answer is queued.
    PeerClosed(Option<u16>),
}

impl Exit {
    pub(super) fn vanished() -> Self {
        Self::Now(WsEnd::PeerVanished)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = WsEnd;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<WsEnd> {
        let this = self.get_mut();
        if this.closing.is_none() {
            let exit = ready!(this.poll_open(cx));
            if let Some(end) = this.leave(exit, cx) {
                return Poll::Ready(end);
            }
        }
        this.poll_closing(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Exit> {
        match self.try_poll_open(cx) {
            Ok(()) => Poll::Pending,
            Err(exit) => Poll::Ready(exit),
        }
    }

    /// One turn. Everything that has nothing more to do has left its waker.
    fn try_poll_open(&mut self, cx: &mut Context<'_>) -> Result<(), Exit> {
        self.poll_pulse(cx)?;
        let mut budget = TURN;
        loop {
            let inbound = self.poll_inbound(cx)?;
            let delivered = self.poll_session(cx)?;
            // What the queue holds back left no waker but the queue's.
            let (full, busy) = (self.is_full(), self.queue.holds_batch());
            self.poll_queue(cx)?;
            let freed = full && !self.is_full() || busy && !self.queue.holds_batch();
            let done = match delivered {
                // It has said in this turn that there is no more, and knows whom to wake: what was
                // freed is of no use to it.
                Delivered::All(_) => inbound == 0 && !(full && freed),
                Delivered::Some(_) => false,
                Delivered::None => inbound == 0 && !freed,
            };
            if done {
                return Ok(());
            }
            budget = budget.saturating_sub(inbound.max(delivered.count()).max(1));
            if budget == 0 {
                // Others have their turn before there is more.
                cx.waker().wake_by_ref();
                return Ok(());
            }
        }
    }

    fn poll_pulse(&mut self, cx: &mut Context<'_>) -> Result<(), Exit> {
        // A client that is not read, or has not been given the ping yet, is not silent.
        let holds_request = self.join.as_ref().is_some_and(|join| join.holds_request());
        let reads = self.pending.is_none() && !holds_request;
        let answerable = reads && self.queue.is_empty();
        loop {
            let beat =
                self.pulse
                    .poll_beat(cx, &*self.timer, &self.config, &mut self.heard, answerable);
            match beat {
                Poll::Pending => return Ok(()),
                Poll::Ready(Beat::Dead) => return Err(Exit::Now(WsEnd::PeerTimeout)),
                Poll::Ready(Beat::Ping) => self.beat(),
            }
        }
    }

    fn beat(&mut self) {
        if !self.queue.is_empty() {
            return;
        }
        let waiting = self.queue.len();
        if let delivery @ Delivery::Position(_) = self.session.heartbeat() {
            self.push(&delivery);
        }
        self.push(&Delivery::Heartbeat);
        self.handler.queued(self.queue.len() - waiting);
    }

    fn poll_queue(&mut self, cx: &mut Context<'_>) -> Result<(), Exit> {
        let mut progress = false;
        let flushed = self
            .queue
            .poll_flush(Pin::new(&mut self.io), cx, &mut progress);
        match flushed {
            Poll::Ready(Ok(())) => {
                self.stall.poll_clear(cx);
                Ok(())
            }
            Poll::Ready(Err(_)) => Err(Exit::vanished()),
            Poll::Pending => {
                let limit = self.config.write_timeout();
                match self.stall.poll_blocked(cx, &*self.timer, limit, progress) {
                    Poll::Ready(()) => Err(Exit::Now(WsEnd::WriteStalled)),
                    Poll::Pending => Ok(()),
                }
            }
        }
    }

    fn open(&mut self) {
        if self.config.mode() == Mode::Json {
            // Its client may go on with other channels.
            self.session.stay_open();
        }
        let mut opening = self.session.opening();
        opening.heartbeat = Some(self.config.heartbeat());
        opening.retry = self.config.retry();
        self.push(&Delivery::Open(opening));
        self.handler.queued(self.queue.len());
    }

    pub(super) fn push(&mut self, delivery: &Delivery) {
        let frame = match self.config.mode() {
            Mode::Json => delivery.encoded(&JsonFormat),
            Mode::Plain => delivery.encoded(&PlainFormat),
        };
        self.queue.push(frame);
    }

    /// Whether nothing more is to be read from the client now.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() > self.config.max_queued()
    }

    /// Reads a message, as far as there is one.
    pub(super) fn read_message(&mut self, cx: &mut Context<'_>) -> Result<Message, Error> {
        let (socket, mut wire) = self.socket_and_wire(cx);
        let result = socket.read(&mut wire);
        self.read_all = matches!(
            &result,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock
        );
        result
    }

    /// Whether there is nothing to read, and this task is woken once there is. It asks the stream
    /// for no bytes, which is done before tungstenite has prepared a buffer for some: every event
    /// has its connection look for requests, and there is hardly ever one.
    pub(super) fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let nothing = &mut ReadBuf::new(&mut []);
        self.read_all && Pin::new(&mut self.io).poll_read(cx, nothing).is_pending()
    }

    /// Queues what tungstenite has to answer, which waits for the next read otherwise.
    pub(super) fn queue_answers(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let (socket, mut wire) = self.socket_and_wire(cx);
        socket.flush(&mut wire)
    }

    /// Queues a close frame and remembers that it was sent.
    pub(super) fn queue_close(
        &mut self,
        frame: CloseFrame,
        cx: &mut Context<'_>,
    ) -> Result<(), Error> {
        let (socket, mut wire) = self.socket_and_wire(cx);
        socket.close(&mut wire, Some(frame))
    }

    fn socket_and_wire<'a, 'cx>(
        &'a mut self,
        cx: &'a mut Context<'cx>,
    ) -> (&'a mut WebSocketContext, Wire<'a, 'cx, S>) {
        let wire = Wire {
            io: &mut self.io,
            queue: &mut self.queue,
            heard: &mut self.heard,
            cx,
        };
        (&mut self.socket, wire)
    }
}

impl<S> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("session", &self.session)
            .field("queue", &self.queue)
            .field("closing", &self.closing)
            .finish_non_exhaustive()
    }
}

fn socket_config(config: &WsConfig) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(config.read_buffer())
        // Pongs and close frames go on to the queue at once.
        .write_buffer_size(0)
        .max_write_buffer_size(CONTROL_FRAMES)
        .max_message_size(Some(config.max_message()))
        // A control frame is complete before its size is judged.
        .max_frame_size(Some(config.max_message().max(MAX_CONTROL)))
}

/// A turn's share: so many deliveries or messages, then other connections.
const TURN: usize = 64;
/// Room for tungstenite's own frames: a pong and a close frame at most.
const CONTROL_FRAMES: usize = 512;
const MAX_CONTROL: usize = 125;
