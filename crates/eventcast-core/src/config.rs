//! A hub's settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::id::Epoch;
use crate::name::ChannelName;
use crate::observer::Observer;
use crate::presence::PresenceConfig;
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
    /// By prefix, the longest first.
    retention_by_prefix: Vec<(String, Retention)>,
    pub(crate) max_bytes: u64,
    pub(crate) max_channels: usize,
    pub(crate) max_session_channels: usize,
    pub(crate) max_payload: usize,
    pub(crate) collect_after: Duration,
    pub(crate) max_tombstones: usize,
    pub(crate) dedup_count: usize,
    pub(crate) dedup_age: Duration,
    pub(crate) shards: usize,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) buffers: Arc<BufferFactory>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) presence: PresenceConfig,
}

pub(crate) type BufferFactory = dyn Fn(&ChannelName) -> Box<dyn ReplayBuffer> + Send + Sync;

impl HubConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            retention: Retention::new(),
            retention_by_prefix: Vec::new(),
            max_bytes: 256 << 20,
            max_channels: 100_000,
            max_session_channels: 1_000,
            max_payload: 1 << 20,
            collect_after: Duration::from_secs(60),
            max_tombstones: 10_000,
            dedup_count: 10_000,
            dedup_age: Duration::from_secs(300),
            shards: 2,
            epoch: None,
            clock: Arc::new(SystemClock),
            buffers: Arc::new(|_| Box::<MemoryBuffer>::default()),
            observer: None,
            presence: PresenceConfig::new(),
        }
    }

    /// What each channel retains.
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// What channels retain whose name starts with `prefix`, instead of the general rule. Of
    /// several prefixes that fit, the longest counts.
    pub fn with_retention_for(mut self, prefix: impl Into<String>, retention: Retention) -> Self {
        self.retention_by_prefix.push((prefix.into(), retention));
        self.retention_by_prefix
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self
    }

    pub(crate) fn retention_of(&self, channel: &ChannelName) -> Retention {
        self.retention_by_prefix
            .iter()
            .find(|(prefix, _)| channel.as_str().starts_with(prefix))
            .map_or(self.retention, |(_, retention)| *retention)
    }

    /// What maintenance has to keep up with.
    pub(crate) fn shortest_age(&self) -> Duration {
        let ages = self.retention_by_prefix.iter().map(|(_, rule)| rule.age());
        ages.fold(self.retention.age(), Duration::min)
    }

    /// How many completed channels are remembered as such after they were forgotten, 10,000 by
    /// default, so that who comes late is told instead of waiting.
    pub fn with_max_tombstones(mut self, tombstones: usize) -> Self {
        self.max_tombstones = tombstones;
        self
    }

    /// How many [idempotency keys](crate::Event::with_idempotency_key) are remembered, and for how
    /// long: 10,000 and 5 minutes by default. A retry that comes later is stored again.
    pub fn with_idempotency_window(mut self, count: usize, age: Duration) -> Self {
        self.dedup_count = count;
        self.dedup_age = age;
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

    /// Who is told what the hub stores and what its sessions hand out; nobody by default.
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// How [presence](crate::Presence) behaves, and what it may hold.
    pub fn with_presence(mut self, presence: PresenceConfig) -> Self {
        self.presence = presence;
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
