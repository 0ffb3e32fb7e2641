//! Where the server is, who we are, and what the stream keeps.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use eventcast_core::Durability;

/// How to reach the servers and what to keep there; see [`NatsBackplane::new`](crate::NatsBackplane::new).
///
/// ```
/// use std::time::Duration;
/// use eventcast_nats::{NatsAuth, NatsConfig, StreamLimits};
///
/// let config = NatsConfig::new(["tls://nats.example.com:4222"], "shop")
///     .with_auth(NatsAuth::CredentialsFile("/etc/shop/nats.creds".into()))
///     .with_limits(StreamLimits::new().with_age(Duration::from_secs(3_600)))
///     .with_publish_timeout(Duration::from_secs(2));
/// assert_eq!(config.namespace(), "shop");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NatsConfig {
    pub(crate) servers: Vec<String>,
    pub(crate) namespace: String,
    pub(crate) auth: NatsAuth,
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    pub(crate) limits: StreamLimits,
    pub(crate) memory: bool,
    pub(crate) replicas: usize,
    pub(crate) synced: Option<Durability>,
    pub(crate) publish_timeout: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) idempotency_window: Duration,
}

impl NatsConfig {
    /// Servers (`nats://host:port`, `tls://host:port`), one of which is used at a time, and the
    /// namespace: hubs with the same one share a log, others on the same servers do not see it.
    ///
    /// The namespace has 1 to 32 letters, digits, `-` and `_`; anything else is refused by
    /// [`attach`](eventcast_core::Backplane::attach).
    pub fn new<S: Into<String>>(
        servers: impl IntoIterator<Item = S>,
        namespace: impl Into<String>,
    ) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            namespace: namespace.into(),
            auth: NatsAuth::None,
            roots: Vec::new(),
            identity: None,
            limits: StreamLimits::new(),
            memory: false,
            replicas: 1,
            synced: None,
            publish_timeout: Duration::from_secs(5),
            heartbeat: Duration::from_secs(1),
            idempotency_window: Duration::from_secs(120),
        }
    }

    /// Who we are. Nobody by default.
    pub fn with_auth(mut self, auth: NatsAuth) -> Self {
        self.auth = auth;
        self
    }

    /// A PEM file with certificates to trust instead of those of the system.
    pub fn with_root_certificates(mut self, pem: impl Into<PathBuf>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// PEM files with a certificate and its key, for servers that ask clients for one.
    pub fn with_client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// What a stream keeps that is not there yet. One that is there keeps its own limits.
    pub fn with_limits(mut self, limits: StreamLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The new stream is kept in the server's memory instead of in its files: a restart of the
    /// server starts another epoch.
    pub fn in_memory(mut self) -> Self {
        self.memory = true;
        self
    }

    /// How many servers of a cluster keep the new stream; 1 by default.
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas.clamp(1, 5);
        self
    }

    /// Says that the server syncs every message before it acknowledges it (`sync_interval: always`
    /// in its configuration, since server 2.10). No client can ask a server for this, so it is for
    /// the operator to say. A restart of the server is then no reason to start an epoch.
    ///
    /// Wrongly said, a power failure makes sequences stand for two events.
    pub fn with_synced_server(mut self) -> Self {
        self.synced = Some(Durability::Synced);
        self
    }

    /// The server's `sync_interval`, to be told by `Capabilities::durability`; 2 minutes, the
    /// server's default, unless said.
    pub fn with_sync_interval(mut self, interval: Duration) -> Self {
        self.synced = Some(Durability::Interval(interval));
        self
    }

    /// For how long an append waits for the server, and a read for an answer; 5 seconds by default.
    pub fn with_publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// How often an idle server gives a sign of life, at least 100 ms; without three of them the
    /// log is stalled. 1 second by default.
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat.max(Duration::from_millis(100));
        self
    }

    /// Within which time an idempotency key is known, at least 100 ms; 2 minutes by default. A
    /// stream that is there keeps its own.
    pub fn with_idempotency_window(mut self, window: Duration) -> Self {
        self.idempotency_window = window.max(Duration::from_millis(100));
        self
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn is_valid(&self) -> bool {
        let name = self.namespace.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=32).contains(&name.len()) && name.iter().all(allowed) && !self.servers.is_empty()
    }

    pub(crate) fn durability(&self) -> Durability {
        match self.synced {
            _ if self.memory => Durability::Process,
            Some(said) => said,
            None => Durability::Interval(Duration::from_secs(120)),
        }
    }

    pub(crate) fn stream(&self) -> String {
        format!("eventcast-{}", self.namespace)
    }

    pub(crate) fn lineage_stream(&self) -> String {
        format!("eventcast-{}-lineage", self.namespace)
    }

    pub(crate) fn lineage_subject(&self) -> String {
        format!("eventcast.{}.lineage", self.namespace)
    }

    pub(crate) fn broadcast_subject(&self) -> String {
        format!("eventcast.{}.broadcast", self.namespace)
    }
}

/// What the stream keeps. JetStream has these for a stream, not for a channel: the
/// [`Retention`](eventcast_core::Retention) of an append has no effect here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct StreamLimits {
    pub(crate) per_channel: i64,
    pub(crate) bytes: i64,
    pub(crate) age: Duration,
}

impl StreamLimits {
    /// The defaults: 10,000 messages of each channel, 1 GiB in all, 24 hours.
    pub fn new() -> Self {
        Self {
            per_channel: 10_000,
            bytes: 1 << 30,
            age: Duration::from_secs(24 * 3_600),
        }
    }

    /// At most so many messages of each channel, the same number for all; at least 1. A batch is
    /// one message, so of a channel with batches more events are kept.
    pub fn with_messages_per_channel(mut self, count: u32) -> Self {
        self.per_channel = i64::from(count.max(1));
        self
    }

    /// At most so many bytes of all channels together; the oldest go first, whatever their channel.
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = i64::try_from(bytes).unwrap_or(i64::MAX).max(1);
        self
    }

    /// For at most so long, all channels alike; at least 1 second.
    pub fn with_age(mut self, age: Duration) -> Self {
        self.age = age.max(Duration::from_secs(1));
        self
    }
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// Who we are to the server. `Debug` tells no secrets.
#[derive(Clone)]
#[non_exhaustive]
pub enum NatsAuth {
    /// Nobody.
    None,
    /// A name and a password.
    UserPassword(String, String),
    /// A token.
    Token(String),
    /// The seed of an nkey (`SU…`).
    NkeySeed(String),
    /// A file with a JWT and the seed of its nkey, read at each connection.
    CredentialsFile(PathBuf),
}

impl fmt::Debug for NatsAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::UserPassword(..) => "UserPassword",
            Self::Token(_) => "Token",
            Self::NkeySeed(_) => "NkeySeed",
            Self::CredentialsFile(_) => "CredentialsFile",
        })
    }
}
