//! Where the server is and how it is used.

use std::time::Duration;

use eventcast_core::{BackplaneError, Durability};
use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::failure::because;

/// Where the server is, and how much may be waited for, queued and kept.
///
/// ```
/// use std::time::Duration;
/// use eventcast_redis::RedisConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = RedisConfig::new("redis://user:secret@127.0.0.1:6379/0")?
///     .with_namespace("shop")?
///     .with_publish_timeout(Duration::from_secs(2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisConfig {
    pub(crate) server: ConnectionInfo,
    #[cfg(feature = "tls")]
    pub(crate) certificates: Option<redis::TlsCertificates>,
    pub(crate) namespace: String,
    pub(crate) publish_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) silence: Duration,
    pub(crate) window: Duration,
    pub(crate) max_append: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) queue_count: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) replicas: usize,
    pub(crate) declared: Option<Durability>,
    pub(crate) ends: usize,
    pub(crate) idle: Duration,
}

impl RedisConfig {
    /// A server by its URL: `redis://`, with TLS `rediss://` (feature `tls`), or `redis+unix://`;
    /// with user, password and number of the database where they are needed.
    ///
    /// # Errors
    /// [`BackplaneError`] when it is no such URL.
    pub fn new(url: &str) -> Result<Self, BackplaneError> {
        let server = url
            .into_connection_info()
            .map_err(|error| because("the server's URL is not valid", error))?;
        // Answers and pushes on one connection are in one order only with the later protocol.
        let settings = server
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        let sockets = server.tcp_settings().clone().set_nodelay(true);
        Ok(Self {
            server: server
                .set_redis_settings(settings)
                .set_tcp_settings(sockets),
            #[cfg(feature = "tls")]
            certificates: None,
            namespace: "eventcast".to_owned(),
            publish_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            window: Duration::from_secs(300),
            max_append: 16 << 20,
            max_in_flight: 1024,
            queue_count: 16_384,
            queue_bytes: 64 << 20,
            replicas: 0,
            declared: None,
            ends: 10_000,
            idle: Duration::from_secs(3600),
        })
    }

    /// What the hub's keys and topics begin with, in braces: `eventcast` by default. Hubs with one
    /// namespace share a log; others on the same server see nothing of it.
    ///
    /// # Errors
    /// [`BackplaneError`] when it is not 1 to 64 letters, digits and `-_.:/`.
    pub fn with_namespace(mut self, namespace: &str) -> Result<Self, BackplaneError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        if !(1..=64).contains(&namespace.len()) || !namespace.bytes().all(is_plain) {
            return Err(BackplaneError::new(
                "a namespace has 1 to 64 letters, digits and `-_.:/`",
            ));
        }
        namespace.clone_into(&mut self.namespace);
        Ok(self)
    }

    /// How long an append tries and waits before it fails: 5 s by default. Shorter than a failover
    /// takes, and publishers see it; longer, and they hang.
    pub fn with_publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// How long it may take to connect and to prove that nothing was lost: 5 s by default.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How often the server is asked whether it is there, and how long its answer may take before
    /// the hub counts as [stalled](eventcast_core::Sink::stalled): 1 s and 3 s by default. Too
    /// short, and a busy server is taken for a dead one; too long, and subscribers wait unaware.
    pub fn with_ping(mut self, interval: Duration, silence: Duration) -> Self {
        self.ping_interval = interval.max(Duration::from_millis(1));
        self.silence = silence;
        self
    }

    /// For how long an idempotency key is known: 5 minutes by default, at least 1 s. Each key costs
    /// the server about 150 bytes for so long; a retry that comes later is stored again.
    pub fn with_idempotency_window(mut self, window: Duration) -> Self {
        self.window = window.max(Duration::from_secs(1));
        self
    }

    /// How many bytes one append may have: 16 MiB by default. All nodes should agree.
    pub fn with_max_append(mut self, bytes: usize) -> Self {
        self.max_append = bytes;
        self
    }

    /// How many appends and reads wait for the server at once; more wait for their turn, within
    /// their time. 1024 by default, at least 1.
    pub fn with_max_in_flight(mut self, count: usize) -> Self {
        self.max_in_flight = count.max(1);
        self
    }

    /// How much of what the server sends may wait for the hub, by messages and bytes: 16,384 and
    /// 64 MiB by default. What finds no room is read again from the log. The same bounds hold for
    /// what is read after an outage; who missed more is told to read pages.
    pub fn with_queue(mut self, count: usize, bytes: usize) -> Self {
        self.queue_count = count.max(1);
        self.queue_bytes = bytes;
        self
    }

    /// How many replicas have to have a record before it is acknowledged: 0 by default. Redis
    /// promises no more than that they were given it; a failover starts an epoch all the same.
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// What the server's settings promise, for servers that do not let them be read (`CONFIG GET`);
    /// it is ignored where they do. [`Durability::Synced`] stands for `appendfsync always`: it
    /// must be true, since a restart then counts as lossless.
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.declared = Some(durability);
        self
    }

    /// Of how many completed channels the end is remembered when all their events are too old:
    /// 10,000 by default.
    pub fn with_ends(mut self, count: usize) -> Self {
        self.ends = count;
        self
    }

    /// How long a channel is remembered of which all events are too old: 1 h by default, and about
    /// 300 bytes of the server's memory. What is forgotten is covered by one floor for all: a client
    /// that comes back from before it, to a channel that was forgotten or never was, finds a gap.
    pub fn with_idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// The certificates that the server's may be signed by, as PEM, instead of those that the
    /// system trusts.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn with_root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates().root_cert = Some(pem.into());
        self
    }

    /// This node's own certificate and its key, as PEM, for servers that ask for one.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn with_client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.certificates().client_tls = Some(redis::ClientTlsConfig {
            client_cert: certificate.into(),
            client_key: key.into(),
        });
        self
    }

    #[cfg(feature = "tls")]
    fn certificates(&mut self) -> &mut redis::TlsCertificates {
        self.certificates.get_or_insert(redis::TlsCertificates {
            client_tls: None,
            root_cert: None,
        })
    }
}
