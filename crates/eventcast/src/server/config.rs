//! A server's settings.

use std::time::Duration;

/// A [`Server`](super::Server)'s settings.
///
/// ```
/// use std::time::Duration;
/// use eventcast::ServerConfig;
///
/// let config = ServerConfig::new().with_header_timeout(Duration::from_secs(5));
/// assert_eq!(config.header_timeout(), Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ServerConfig {
    header_timeout: Duration,
    write_timeout: Duration,
    shutdown_grace: Duration,
    unsent_bytes: u32,
}

impl ServerConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(10),
            unsent_bytes: 128 << 10,
        }
    }

    /// How long a request's head may take to arrive, and an idle connection may stay open between
    /// requests; 10 seconds by default. A slow client needs a few seconds; a hostile one gets no
    /// more.
    pub fn with_header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout.min(LONGEST);
        self
    }

    /// How long a write may make no progress before the connection is cut, 30 seconds by default.
    /// A reader that pauses for longer loses its connection, not its place.
    pub fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How long a shutdown waits for connections to end, 10 seconds by default.
    pub fn with_shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = grace;
        self
    }

    /// How many unsent bytes the kernel may hold for a connection (`TCP_NOTSENT_LOWAT`, where the
    /// system has it), 128 KiB by default. Much more, and a slow reader is far behind before
    /// anybody can tell; much less costs throughput.
    pub fn with_unsent_bytes(mut self, bytes: u32) -> Self {
        self.unsent_bytes = bytes;
        self
    }

    /// The bound on a request's head.
    #[must_use]
    pub fn header_timeout(&self) -> Duration {
        self.header_timeout
    }

    /// The bound on a write without progress.
    #[must_use]
    pub fn write_timeout(&self) -> Duration {
        self.write_timeout
    }

    /// The bound on a shutdown.
    #[must_use]
    pub fn shutdown_grace(&self) -> Duration {
        self.shutdown_grace
    }

    /// The bound on the kernel's unsent bytes.
    #[must_use]
    pub fn unsent_bytes(&self) -> u32 {
        self.unsent_bytes
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// What an instant can be moved on by without overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
