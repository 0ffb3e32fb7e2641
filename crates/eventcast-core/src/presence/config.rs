//! Presence's settings.

use std::sync::Arc;
use std::time::Duration;

/// How presence behaves and what it may hold; for
/// [`HubConfig::with_presence`](crate::HubConfig::with_presence). Every bound is finite by default.
///
/// ```
/// use std::time::Duration;
/// use eventcast_core::{Hub, HubConfig, PresenceConfig};
///
/// let presence = PresenceConfig::new()
///     .with_leave_grace(Duration::from_secs(5))
///     .with_max_connections_per_channel(1_000);
/// let hub = Hub::with_config(HubConfig::new().with_presence(presence));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PresenceConfig {
    pub(super) leave_grace: Duration,
    pub(super) interval: Duration,
    pub(super) max_channels: usize,
    pub(super) max_connections: usize,
    pub(super) max_bytes: usize,
    pub(super) max_state: usize,
    pub(super) max_announced: usize,
    pub(super) max_changes: usize,
    pub(super) node_name: Option<Arc<str>>,
    pub(super) heartbeat: Duration,
    pub(super) node_timeout: Duration,
}

impl PresenceConfig {
    /// The largest state that any setting allows, in bytes, so that a change fits into a message
    /// between nodes and into an ephemeral event.
    pub const MAX_STATE: usize = 8 << 10;

    /// The defaults.
    pub fn new() -> Self {
        Self {
            leave_grace: Duration::from_secs(10),
            interval: Duration::from_millis(200),
            max_channels: 10_000,
            max_connections: 10_000,
            max_bytes: 128 << 20,
            max_state: 1 << 10,
            max_announced: 1_000,
            max_changes: 64,
            node_name: None,
            heartbeat: Duration::from_secs(5),
            node_timeout: Duration::from_secs(20),
        }
    }

    /// How long a member stays whose connection went away without a word, 10 seconds by default: one
    /// that comes back in time never left. Longer than clients take to reconnect.
    pub fn with_leave_grace(mut self, grace: Duration) -> Self {
        self.leave_grace = grace.min(LONGEST);
        self
    }

    /// How often changes are told to subscribers and other nodes, all of that time together;
    /// 200 milliseconds by default, at least 10.
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(Duration::from_millis(10), Duration::from_secs(60));
        self
    }

    /// On how many channels there may be somebody, 10,000 by default.
    pub fn with_max_channels(mut self, channels: usize) -> Self {
        self.max_channels = channels;
        self
    }

    /// How many connections a channel may have as members, those of all nodes together, 10,000 by
    /// default. Several nodes may pass it together by what is on its way between them.
    pub fn with_max_connections_per_channel(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// What all members together may be charged for, in bytes, those of other nodes included; 128
    /// MiB by default. A connection of a member is charged 420 bytes, its id and its state. As much
    /// again may be held for messages of other nodes that wait for an earlier one.
    pub fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The largest state of a member, 1 KiB by default, at most [`MAX_STATE`](Self::MAX_STATE).
    pub fn with_max_state(mut self, bytes: usize) -> Self {
        self.max_state = bytes.min(Self::MAX_STATE);
        self
    }

    /// With how many members a channel is told who joins and leaves, 1,000 by default. A channel with
    /// more is told only how many there are, at most once a second.
    pub fn with_max_announced(mut self, members: usize) -> Self {
        self.max_announced = members;
        self
    }

    /// How many changes an event tells one by one, 64 by default. When more come within an
    /// [interval](Self::with_interval), or more than fit into an ephemeral event, only the counts are
    /// told.
    pub fn with_max_changes(mut self, changes: usize) -> Self {
        self.max_changes = changes;
        self
    }

    /// This node's name, which it keeps when it is started again: the members of the one that had it
    /// before then go without waiting for its [timeout](Self::with_node_timeout). The first 64 bytes
    /// count.
    pub fn with_node_name(mut self, name: &str) -> Self {
        let mut end = name.len().min(MAX_NODE_NAME);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        self.node_name = Some(name[..end].into()).filter(|name: &Arc<str>| !name.is_empty());
        self
    }

    /// How often a node says how far it is, and how long it may be silent until its members are
    /// gone; 5 and 20 seconds by default. The second is at least twice the first.
    pub fn with_node_timeout(mut self, heartbeat: Duration, timeout: Duration) -> Self {
        self.heartbeat = heartbeat.clamp(Duration::from_millis(10), LONGEST);
        self.node_timeout = timeout.clamp(self.heartbeat * 2, LONGEST * 2);
        self
    }
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) const MAX_NODE_NAME: usize = 64;
const LONGEST: Duration = Duration::from_secs(24 * 3600);
