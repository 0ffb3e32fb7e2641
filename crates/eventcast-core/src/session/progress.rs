//! How far a session has read, for who looks at it from outside.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::handle::SessionHandle;

/// Written by the session once a batch, without a lock. It orders nothing and wakes nobody, so it is
/// no part of what models have to look at.
#[derive(Debug, Default)]
pub(super) struct Progress {
    sequence: AtomicU64,
    channels: AtomicU32,
    waits: AtomicBool,
}

impl Progress {
    pub(super) fn note(&self, sequence: u64, waits: bool, channels: usize) {
        self.sequence.store(sequence, Ordering::Relaxed);
        self.waits.store(waits, Ordering::Relaxed);
        self.channels.store(channels as u32, Ordering::Relaxed);
    }
}

/// How far a session has read; see [`SessionHandle::progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionProgress {
    /// The sequence that it has read up to. On a quiet session it stays behind what is published to
    /// other channels.
    pub sequence: u64,
    /// Whether something waits for it: it is behind by [`sequence`](Self::sequence), where it is
    /// behind by nothing otherwise.
    pub is_behind: bool,
    /// How many channels and patterns it carries, those included that a pattern has brought.
    pub channels: usize,
}

impl SessionHandle {
    /// How far the session had read when it was read last, for an administrator's eyes.
    #[must_use]
    pub fn progress(&self) -> SessionProgress {
        let signal = self.signal();
        let progress = &signal.progress;
        SessionProgress {
            sequence: progress.sequence.load(Ordering::Relaxed),
            is_behind: !progress.waits.load(Ordering::Relaxed) || signal.has_news(),
            channels: progress.channels.load(Ordering::Relaxed) as usize,
        }
    }
}
