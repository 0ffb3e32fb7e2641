//! Telling the application that a session is over, once, and why.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{End, GapReason, Session};
use eventcast_ws::WsEnd;
use tokio::time::Instant;

use crate::figures::Figures;
use crate::server::Peer;
use crate::trace::{self, OfSession};

/// What a session was read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// One request for what is new.
    Poll,
    /// Server-Sent Events.
    Sse,
    /// A stream of newline-delimited JSON.
    Stream,
    /// A WebSocket.
    WebSocket,
}

impl TransportKind {
    /// Its name in figures and parameters: `poll`, `sse`, `stream` or `websocket`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Sse => "sse",
            Self::Stream => "stream",
            Self::WebSocket => "websocket",
        }
    }
}

/// A session that is over; see
/// [`ServiceConfig::with_on_disconnect`](crate::ServiceConfig::with_on_disconnect).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Disconnected {
    /// What it was read by.
    pub transport: TransportKind,
    /// Why it is over.
    pub reason: DisconnectReason,
    /// How long it was open.
    pub lasted: Duration,
    /// Its key, under which its client may come back. WebSockets have none.
    pub session: Option<Arc<str>>,
}

/// Why a session is over. Where two things happened at once, it is the one noticed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// A shutdown waited no longer for a client that did not take its end.
    Cut,
    /// The server ended the session, and said so as its last word.
    Ended(End),
    /// A WebSocket in plain mode was closed because it cannot tell a gap.
    Gap(GapReason),
    /// The client closed or reset its connection or stream, in whatever manner.
    Left,
    /// The client was there and took nothing for the write timeout.
    Stalled,
    /// The client, or the way to it, is gone without a word: its system acknowledged nothing, or it
    /// answered no ping.
    Vanished,
    /// The client broke the rules of its transport, or sent without end.
    Violation,
}

impl DisconnectReason {
    /// Its name in figures and logs: of an [end](Self::Ended) that of the [`End`], otherwise the
    /// variant's in small letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Ended(end) => end.as_str(),
            Self::Gap(_) => "gap",
            Self::Left => "left",
            Self::Stalled => "stalled",
            Self::Vanished => "vanished",
            Self::Violation => "violation",
        }
    }

    /// What ended a WebSocket, as far as its own layer can tell.
    fn of_websocket(end: WsEnd) -> Option<Self> {
        match end {
            WsEnd::Gap(reason) => Some(Self::Gap(reason)),
            WsEnd::PeerClosed { .. } => Some(Self::Left),
            WsEnd::PeerTimeout => Some(Self::Vanished),
            WsEnd::Session(end) => Some(Self::Ended(end)),
            WsEnd::Violation { .. } => Some(Self::Violation),
            WsEnd::WriteStalled => Some(Self::Stalled),
            // The layer below knows whether it was a FIN or a silence.
            _ => None,
        }
    }
}

/// What is called for each session that is over.
pub(crate) type OnDisconnect = dyn Fn(&Disconnected) + Send + Sync;

/// One open session's duty to be told of.
pub(crate) struct Departure(Option<Box<Due>>);

struct Due {
    call: Option<Arc<OnDisconnect>>,
    figures: Figures,
    trace: OfSession,
    /// The session was opened, and counted.
    open: bool,
    transport: TransportKind,
    opened: Instant,
    session: Option<Arc<str>>,
    /// Below the session; absent where somebody else's server carries it.
    peer: Option<Peer>,
}

impl Departure {
    /// Nothing is due where nobody wants to know.
    pub(crate) fn new(
        call: Option<&Arc<OnDisconnect>>,
        figures: &Figures,
        transport: TransportKind,
        peer: Option<Peer>,
    ) -> Self {
        let wanted = Figures::ARE_KEPT || trace::IS_ON || call.is_some();
        Self(wanted.then(|| {
            Box::new(Due {
                call: call.cloned(),
                figures: figures.clone(),
                trace: OfSession::none(),
                open: false,
                transport,
                opened: Instant::now(),
                session: None,
                peer,
            })
        }))
    }

    /// The session is open, as this one of all.
    pub(crate) fn begin(&mut self, session: &mut Session, number: u64) {
        if let Some(due) = &mut self.0 {
            due.open = true;
            let observer = due.figures.opened(due.transport);
            let observer = due.trace.opened(due.transport, number, session, observer);
            if let Some(observer) = observer {
                session.set_observer(observer);
            }
        }
    }

    /// So many bytes were handed to the session's transport.
    pub(crate) fn sent(&self, bytes: usize) {
        if let Some(due) = &self.0 {
            due.figures.sent(due.transport, bytes);
        }
    }

    pub(crate) fn set_session(&mut self, key: &Arc<str>) {
        if let Some(due) = &mut self.0 {
            due.session = Some(Arc::clone(key));
        }
    }

    /// The session is over for this reason.
    pub(crate) fn tell(&mut self, reason: DisconnectReason) {
        if let Some(due) = self.0.take() {
            due.tell(reason);
        }
    }

    /// A WebSocket is over.
    pub(crate) fn tell_websocket(&mut self, end: WsEnd) {
        if let Some(reason) = DisconnectReason::of_websocket(end) {
            self.tell(reason);
        }
    }

    /// The session is over, and if nobody said why, what is below it may know.
    pub(crate) fn settle(&mut self) {
        if let Some(due) = self.0.take() {
            let found = due.peer.as_ref().and_then(Peer::found);
            due.tell(found.unwrap_or(DisconnectReason::Left));
        }
    }

    /// It was answered, and is to come again: that is no disconnect.
    pub(crate) fn waive(&mut self) {
        if let Some(due) = self.0.take() {
            due.count(None);
        }
    }
}

impl Due {
    fn tell(self, reason: DisconnectReason) {
        self.count(Some(reason));
        if let Some(call) = self.call {
            call(&Disconnected {
                transport: self.transport,
                reason,
                lasted: self.opened.elapsed(),
                session: self.session,
            });
        }
    }

    fn count(&self, reason: Option<DisconnectReason>) {
        if self.open {
            self.figures.ended(self.transport, reason);
            self.trace.ended(reason, self.opened.elapsed());
        }
    }
}
