//! A hub's settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::id::Epoch;
use crate::name::ChannelName;
use crate::replay::{MemoryBuffer, ReplayBuffer, Retention};
use crate::time::{Clock, SystemClock};

/// A hub's settings. Every bound is finite by default.
///
/// ```
/// use eventcast_core::{Hub, HubConfig, Retention};
///
/// let hub = Hub::with_config(
///     HubConfig::new()
///         .with_retention(Retention::new().with_count(1_000))
///         .with_max_bytes(64 << 20),
/// );
/// ```
#[derive(Clone)]
#[must_use]
pub struct HubConfig {
    pub(crate) retention: Retention,
    pub(crate) max_bytes: u64,
    pub(crate) max_channels: usize,
    pub(crate) max_session_channels: usize,
    pub(crate) max_payload: usize,
    pub(crate) collect_after: Duration,
    pub(crate) shards: usize,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) buffers: Arc<BufferFactory>,
}

pub(crate) type BufferFactory = dyn Fn(&ChannelName) -> Box<dyn ReplayBuffer> + Send + Sync;

impl HubConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            retention: Retention::new(),
            max_bytes: 256 << 20,
            max_channels: 100_000,
            max_session_channels: 1_000,
            max_payload: 1 << 20,
            collect_after: Duration::from_secs(60),
            shards: 2,
            epoch: None,
            clock: Arc::new(SystemClock),
            buffers: Arc::new(|_| Box::<MemoryBuffer>::default()),
        }
    }

    /// What each channel retains.
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// How many bytes all channels may retain together, as
    /// [charged](crate::StoredEvent::charge); 256 MiB by default. Past it the oldest events of
    /// the hub are removed first, whatever their channel; who had not read them finds a gap.
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many channels there may be, 100,000 by default. A channel exists while it has a
    /// subscriber or retains an event, and for [`with_collect_after`](Self::with_collect_after)
    /// longer.
    pub fn with_max_channels(mut self, channels: usize) -> Self {
        self.max_channels = channels;
        self
    }

    /// How many channels a session may have, 1,000 by default.
    pub fn with_max_session_channels(mut self, channels: usize) -> Self {
        self.max_session_channels = channels;
        self
    }

    /// The largest payload, 1 MiB by default.
    pub fn with_max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// How long an empty channel without subscribers is remembered, 60 seconds by default.
    ///
    /// Forgetting a channel raises the floor below which positions cannot be honoured, so this
    /// should be longer than a client's heartbeat: in that time connected clients are told a newer
    /// position.
    pub fn with_collect_after(mut self, duration: Duration) -> Self {
        self.collect_after = duration;
        self
    }

    /// How many dispatch shards share the sessions, 2 by default; at least 1. A publish wakes at
    /// most one dispatcher a shard; more than there are cores gains nothing.
    pub fn with_shards(mut self, shards: usize) -> Self {
        self.shards = shards.max(1);
        self
    }

    /// The epoch, instead of a random one. Only for a log that continues another without loss,
    /// and for tests.
    pub fn with_epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Where publish times come from, instead of the machine's wall clock.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// What keeps a channel's events, instead of [`MemoryBuffer`].
    pub fn with_replay_buffer(
        mut self,
        buffers: impl Fn(&ChannelName) -> Box<dyn ReplayBuffer> + Send + Sync + 'static,
    ) -> Self {
        self.buffers = Arc::new(buffers);
        self
    }
}

impl Default for HubConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubConfig")
            .field("retention", &self.retention)
            .field("max_bytes", &self.max_bytes)
            .field("max_channels", &self.max_channels)
            .field("max_session_channels", &self.max_session_channels)
            .field("max_payload", &self.max_payload)
            .field("collect_after", &self.collect_after)
            .field("shards", &self.shards)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
