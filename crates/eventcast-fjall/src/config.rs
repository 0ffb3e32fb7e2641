//! Where the log is, and how it is written.

use std::path::PathBuf;
use std::time::Duration;

use eventcast_core::Durability;

/// When what is appended is written to the disk itself, by fsync.
///
/// Whatever the policy, the end of the process alone, `kill -9` too, loses nothing that was
/// acknowledged: the system has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// One for each append, before it is acknowledged. A power failure loses nothing acknowledged.
    Each,
    /// One for all appends that wait at the time, before they are acknowledged. A power failure
    /// loses nothing acknowledged. An append alone is as fast as with [`Each`](Self::Each), many
    /// at once are much faster.
    Batch,
    /// One at most so long after something was appended; appends are acknowledged before it. A
    /// power failure loses what was acknowledged in that time and while the last one ran, and the
    /// log goes on under another epoch.
    Interval(Duration),
}

impl Fsync {
    pub(crate) fn durability(self) -> Durability {
        match self {
            Self::Each | Self::Batch => Durability::Synced,
            Self::Interval(time) => Durability::Interval(time),
        }
    }
}

/// Where the log is, and how much may wait, be kept and be used.
///
/// ```
/// use std::time::Duration;
/// use eventcast_fjall::{FjallConfig, Fsync};
///
/// let config = FjallConfig::new("/var/lib/shop/events")
///     .with_fsync(Fsync::Interval(Duration::from_millis(100)));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct FjallConfig {
    pub(crate) path: PathBuf,
    pub(crate) fsync: Fsync,
    pub(crate) publish_timeout: Duration,
    pub(crate) window: Duration,
    pub(crate) max_append: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) reserve: u64,
    pub(crate) cache_bytes: u64,
    pub(crate) ends: usize,
    pub(crate) idle: Duration,
}

impl FjallConfig {
    /// A log in a directory of its own, which is made when it is not there. Each append is synced
    /// before it is acknowledged, together with those that wait: [`Fsync::Batch`].
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            path: directory.into(),
            fsync: Fsync::Batch,
            publish_timeout: Duration::from_secs(5),
            window: Duration::from_secs(300),
            max_append: 16 << 20,
            queue_bytes: 64 << 20,
            reserve: 256 << 20,
            cache_bytes: 32 << 20,
            ends: 10_000,
            idle: Duration::from_secs(3600),
        }
    }

    /// When what is appended is written to the disk itself: [`Fsync::Batch`] by default.
    pub fn with_fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// How long an append waits for the disk before it fails: 5 s by default. Shorter than the
    /// disk's worst moments, and publishers see them; longer, and they hang.
    pub fn with_publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// For how long an idempotency key is known: 5 minutes by default, at least 1 s. Each key
    /// takes about its own and its channel's length and 40 bytes on the disk, for up to twice so
    /// long; a retry that comes later is stored again.
    pub fn with_idempotency_window(mut self, window: Duration) -> Self {
        self.window = window.max(Duration::from_secs(1));
        self
    }

    /// How many bytes one append may have: 16 MiB by default, at most 1 GiB.
    pub fn with_max_append(mut self, bytes: usize) -> Self {
        self.max_append = bytes.min(1 << 30);
        self
    }

    /// How many bytes of appends may wait for the disk, each counted with 512 bytes on top: 64 MiB
    /// by default. More wait for their turn, within their time.
    pub fn with_queue(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes.clamp(1 << 10, 1 << 31);
        self
    }

    /// How much of the file system is left free: 256 MiB by default. Below it appends are refused
    /// with [`Full`](eventcast_core::AppendError::Full) before anything is written, so that what is
    /// in memory can still be written out; too small, and a full disk is met in the middle of a
    /// write, which costs a recovery. Not looked at where the system is no Unix.
    pub fn with_reserve(mut self, bytes: u64) -> Self {
        self.reserve = bytes;
        self
    }

    /// How many bytes of what was read from the disk stay in memory: 32 MiB by default. About
    /// 40 MiB of what was written last come on top.
    pub fn with_cache(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Of how many completed channels the end is remembered when all their events are too old:
    /// 10,000 by default.
    pub fn with_ends(mut self, count: usize) -> Self {
        self.ends = count;
        self
    }

    /// How long a channel is remembered of which all events are too old: 1 h by default. What is
    /// forgotten is covered by one floor for all: a client that comes back from before it, to a
    /// channel that was forgotten or never was, finds a gap.
    pub fn with_idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }
}
