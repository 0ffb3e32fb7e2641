//! A server's settings.

use std::time::Duration;

/// A [`Server`](super::Server)'s settings.
///
/// Some bounds are fixed: a request's head has at most 16 KiB, in either version of HTTP. Over
/// HTTP/2 a client may send 64 KiB on a stream and 1 MiB on a connection before they are read, and
/// one that opens streams only to reset them is cut after 20 that were not even looked at.
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
    drain_window: Duration,
    shutdown_grace: Duration,
    unsent_bytes: u32,
    max_streams: u32,
    ping_interval: Duration,
    stream_buffer: u32,
    max_connections: usize,
    max_connections_per_address: usize,
}

impl ServerConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            drain_window: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(10),
            unsent_bytes: 128 << 10,
            max_streams: 1_000,
            ping_interval: Duration::from_secs(20),
            stream_buffer: 64 << 10,
            max_connections: 10_000,
            max_connections_per_address: 1_000,
        }
    }

    /// How long a request's head may take to arrive, and an idle connection may stay open between
    /// requests; 10 seconds by default. A slow client needs a few seconds; a hostile one gets no
    /// more. A TLS handshake has as long before that. An HTTP/2 connection is idle while it has no
    /// stream.
    pub fn with_header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout.min(LONGEST);
        self
    }

    /// How long a write may make no progress before the connection is cut, 30 seconds by default.
    /// A reader that pauses for longer loses its connection, not its place. Over HTTP/2 it loses its
    /// stream, and the others of the connection go on. The whole connection is cut when its socket
    /// takes nothing.
    ///
    /// A client that vanished without a word is noticed by what it does not acknowledge, at the
    /// latest the next heartbeat: 1¼ times this after it was sent, where the system has
    /// `TCP_USER_TIMEOUT` (Linux). Elsewhere that takes as long as the system's own patience, often
    /// a quarter of an hour. A WebSocket's client is also noticed by its silence, after two and a
    /// half heartbeats, and an HTTP/2 client by its [pings](Self::with_ping_interval).
    pub fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Over how long a shutdown spreads the ends of its sessions, 10 seconds by default; zero ends
    /// all at once. See [`EventService::drain`](crate::EventService::drain).
    ///
    /// Shorter than a load balancer takes to notice that `/healthz` fails, and clients are sent back
    /// here and refused for a while; much longer only holds up the restart.
    pub fn with_drain_window(mut self, window: Duration) -> Self {
        self.drain_window = window;
        self
    }

    /// How long a shutdown waits for connections to end once its drain is over, 10 seconds by
    /// default.
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

    /// How many requests of one HTTP/2 connection may be open at a time, 1,000 by default: its
    /// event streams and WebSockets together. Few, and a proxy that carries many clients over one
    /// connection has them wait; many, and one connection can hold that many sessions.
    pub fn with_max_streams(mut self, streams: u32) -> Self {
        self.max_streams = streams;
        self
    }

    /// How often an HTTP/2 client is asked whether it is there, 20 seconds by default; one that
    /// does not answer within as long again is cut. Seldom, and the sessions of a client that
    /// vanished without a word stay for that long; often, and sleeping phones are woken. HTTP/1.1
    /// has nothing like it: there, vanished clients are noticed by the
    /// [writes](Self::with_write_timeout) that are not acknowledged.
    pub fn with_ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval.min(LONGEST);
        self
    }

    /// How many bytes an HTTP/2 stream takes from its session before they are sent, 64 KiB by
    /// default; up to two batches of events (64 KiB or one event each) may come on top. The bytes
    /// are the log's own, shared by all streams, as long as the log retains them. Much more, and a
    /// slow reader is far behind before anybody can tell; much less costs throughput over long
    /// distances.
    pub fn with_stream_buffer(mut self, bytes: u32) -> Self {
        self.stream_buffer = bytes;
        self
    }

    /// How many connections may be open together, 10,000 by default. One more is answered 503 and
    /// closed, over TLS only closed. The system's own limit of open files has to be higher
    /// (`ulimit -n`).
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// How many from one address, 1,000 by default; an IPv6 address stands for its network of 64
    /// bits. The machine's own addresses and
    /// [trusted proxies](crate::ServiceConfig::with_trusted_proxies) are not counted.
    pub fn with_max_connections_per_address(mut self, connections: usize) -> Self {
        self.max_connections_per_address = connections;
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

    /// Over how long a shutdown spreads the ends of sessions.
    #[must_use]
    pub fn drain_window(&self) -> Duration {
        self.drain_window
    }

    /// The bound on a shutdown, after its drain.
    #[must_use]
    pub fn shutdown_grace(&self) -> Duration {
        self.shutdown_grace
    }

    /// The bound on the kernel's unsent bytes.
    #[must_use]
    pub fn unsent_bytes(&self) -> u32 {
        self.unsent_bytes
    }

    /// The bound on an HTTP/2 connection's streams.
    #[must_use]
    pub fn max_streams(&self) -> u32 {
        self.max_streams
    }

    /// The time between an HTTP/2 connection's pings.
    #[must_use]
    pub fn ping_interval(&self) -> Duration {
        self.ping_interval
    }

    /// The bound on connections.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// The bound on connections from one address.
    #[must_use]
    pub fn max_connections_per_address(&self) -> usize {
        self.max_connections_per_address
    }

    /// The bound on what an HTTP/2 stream takes before it is sent.
    #[must_use]
    pub fn stream_buffer(&self) -> u32 {
        self.stream_buffer
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// The largest request head.
pub(super) const MAX_HEAD: usize = 16 << 10;
/// What an instant can be moved on by without overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
