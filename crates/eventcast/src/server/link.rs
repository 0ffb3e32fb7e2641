//! What a connection has seen of its client, for those who want to know why a session is over.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::streams::Stream;
use crate::disconnect::DisconnectReason;

/// A connection, as the sockets and timers below its sessions see it.
pub(crate) struct Link {
    failure: AtomicU8,
    began: Instant,
    /// When something was received, in milliseconds since it began.
    heard: AtomicU64,
    /// After such a silence its pings, if it has any, have failed.
    longest_silence: Duration,
    cut: CancellationToken,
}

impl Link {
    pub(super) fn new(longest_silence: Duration, cut: CancellationToken) -> Self {
        Self {
            failure: AtomicU8::new(0),
            began: Instant::now(),
            heard: AtomicU64::new(0),
            longest_silence,
            cut,
        }
    }

    pub(super) fn note_heard(&self) {
        let millis = self.began.elapsed().as_millis() as u64;
        self.heard.store(millis, Ordering::Relaxed);
    }

    pub(super) fn note_stalled(&self) {
        self.note(STALLED);
    }

    pub(super) fn note_flood(&self) {
        self.note(FLOOD);
    }

    /// A reset is the client's own; what the network says about it is not.
    pub(super) fn note_error(&self, error: &io::Error) {
        use io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
        if let TimedOut | HostUnreachable | NetworkDown | NetworkUnreachable = error.kind() {
            self.note(VANISHED);
        }
    }

    /// The first failure is the cause of the others.
    fn note(&self, failure: u8) {
        let relaxed = Ordering::Relaxed;
        let _ = self.failure.compare_exchange(0, failure, relaxed, relaxed);
    }

    fn found(&self, has_pings: bool) -> Option<DisconnectReason> {
        let is_silent = || {
            let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
            self.began.elapsed().saturating_sub(heard) >= self.longest_silence
        };
        match self.failure.load(Ordering::Relaxed) {
            STALLED => Some(DisconnectReason::Stalled),
            VANISHED => Some(DisconnectReason::Vanished),
            FLOOD => Some(DisconnectReason::Violation),
            _ if self.cut.is_cancelled() => Some(DisconnectReason::Cut),
            _ if has_pings && is_silent() => Some(DisconnectReason::Vanished),
            _ => None,
        }
    }
}

/// What is below a session: a connection, or one of its streams.
#[derive(Clone)]
pub(crate) struct Peer {
    link: Arc<Link>,
    stream: Option<Arc<Stream>>,
}

impl Peer {
    pub(super) fn new(link: Arc<Link>, stream: Option<Arc<Stream>>) -> Self {
        Self { link, stream }
    }

    /// Why the session is over, as far as can be seen from below.
    pub(crate) fn found(&self) -> Option<DisconnectReason> {
        match &self.stream {
            Some(stream) if stream.was_aborted() => Some(DisconnectReason::Stalled),
            stream => self.link.found(stream.is_some()),
        }
    }
}

const STALLED: u8 = 1;
const VANISHED: u8 = 2;
const FLOOD: u8 = 3;
