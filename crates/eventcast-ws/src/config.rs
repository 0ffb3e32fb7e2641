//! A connection's settings.

use std::time::Duration;

use eventcast_core::Linger;

/// What the messages of a connection look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Every message is a JSON object: ids, gaps, requests and replies.
    #[default]
    Json,
    /// Every message is a payload and nothing else: no ids, so no resuming, and no requests; what
    /// the client sends is for [`ClientHandler::message`](crate::ClientHandler::message). Where a gap is due the connection closes with [`CloseCode::Gap`](crate::CloseCode::Gap).
    Plain,
}

impl Mode {
    /// The mode's name as a WebSocket subprotocol.
    #[must_use]
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "eventcast.v1+json",
            Self::Plain => "eventcast.v1+plain",
        }
    }

    /// The mode that a subprotocol names.
    #[must_use]
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        [Self::Json, Self::Plain]
            .into_iter()
            .find(|mode| mode.subprotocol() == name)
    }
}

/// A connection's settings. Every bound is finite by default.
///
/// ```
/// use std::time::Duration;
/// use eventcast_ws::WsConfig;
///
/// let config = WsConfig::new()
///     .with_heartbeat(Duration::from_secs(25))
///     .with_max_message(16 << 10);
/// assert_eq!(config.dead_after(), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct WsConfig {
    mode: Mode,
    heartbeat: Duration,
    dead_after: Option<Duration>,
    write_timeout: Duration,
    close_timeout: Duration,
    linger: Duration,
    retry: Option<Duration>,
    max_message: usize,
    max_queued: usize,
    read_buffer: usize,
}

impl WsConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            mode: Mode::default(),
            heartbeat: Duration::from_secs(15),
            dead_after: None,
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            linger: Duration::ZERO,
            retry: None,
            max_message: 64 << 10,
            max_queued: 64 << 10,
            read_buffer: 512,
        }
    }

    /// What the messages look like; [`Mode::Json`] by default. An [`Upgrade`](crate::Upgrade)
    /// overrides it with what the client asked for.
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How often the peer is sent a ping, 15 seconds by default; at least 1 ms.
    ///
    /// Too small costs wake-ups and traffic on every idle connection; too large lets proxies close
    /// connections that they take for dead, 30 to 60 seconds being common limits.
    pub fn with_heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval.max(Duration::from_millis(1));
        self
    }

    /// After how much silence, pings notwithstanding, a peer counts as dead: twice the heartbeat
    /// and 10 seconds by default. Noticed up to one heartbeat later.
    ///
    /// Too small ends connections of clients on slow networks; too large keeps connections whose
    /// client vanished. What is not above the heartbeat leaves no time for an answer and is taken
    /// as twice the heartbeat.
    pub fn with_dead_after(mut self, silence: Duration) -> Self {
        self.dead_after = Some(silence);
        self
    }

    /// How long a blocked write may make no progress, 30 seconds by default; noticed up to a
    /// quarter later.
    ///
    /// Too small ends connections over short outages; too large keeps the buffers of clients that
    /// do not read.
    pub fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout.max(Duration::from_millis(4));
        self
    }

    /// How long a closing handshake may take in all, 5 seconds by default.
    ///
    /// Too small cuts the last events of slow clients; too large keeps connections of clients that
    /// never answer.
    pub fn with_close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// For how long events wait for others after a batch, to be written with them; zero by default,
    /// at most a second. The first one after a pause is sent at once, and so are answers. See
    /// [`Linger`].
    ///
    /// Some milliseconds save most of the cost where many events a second come one by one; much
    /// more, and people notice.
    pub fn with_linger(mut self, window: Duration) -> Self {
        self.linger = window.min(Linger::LONGEST);
        self
    }

    /// How long the client should wait before it reconnects, told in the opening message; not told
    /// by default. Too small makes a herd after a restart, too large a visible pause.
    pub fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// The largest message of a client in bytes, fragments together; 64 KiB by default.
    ///
    /// A larger one closes the connection with [`CloseCode::TooLarge`](crate::CloseCode::TooLarge).
    /// Too small refuses publishes (base64 takes a third more than the payload); too large lets
    /// every client hold that much memory.
    pub fn with_max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How many bytes of replies and pongs may wait for a client that does not read, 64 KiB by
    /// default; past it nothing more is read from the client. Events wait in the log instead, but
    /// for the batch that is being written.
    ///
    /// Too small slows clients that send many requests at once; too large lets every client hold
    /// that much memory.
    pub fn with_max_queued(mut self, bytes: usize) -> Self {
        self.max_queued = bytes;
        self
    }

    /// How many bytes are read at once, 512 by default, taken as within 128 to 65,536. Every
    /// connection holds a buffer of this size.
    ///
    /// Clients send little more than pongs and subscriptions, so a larger one pays only where
    /// clients publish much: each read of a longer message is a system call.
    pub fn with_read_buffer(mut self, bytes: usize) -> Self {
        self.read_buffer = bytes.clamp(128, 64 << 10);
        self
    }

    /// See [`with_mode`](Self::with_mode).
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// See [`with_heartbeat`](Self::with_heartbeat).
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// See [`with_dead_after`](Self::with_dead_after).
    #[must_use]
    pub fn dead_after(&self) -> Duration {
        let twice = self.heartbeat.saturating_mul(2);
        match self.dead_after {
            None => twice.saturating_add(Duration::from_secs(10)),
            Some(silence) if silence <= self.heartbeat => twice,
            Some(silence) => silence,
        }
    }

    /// See [`with_write_timeout`](Self::with_write_timeout).
    #[must_use]
    pub fn write_timeout(&self) -> Duration {
        self.write_timeout
    }

    /// See [`with_close_timeout`](Self::with_close_timeout).
    #[must_use]
    pub fn close_timeout(&self) -> Duration {
        self.close_timeout
    }

    /// See [`with_linger`](Self::with_linger).
    #[must_use]
    pub fn linger(&self) -> Duration {
        self.linger
    }

    /// See [`with_retry`](Self::with_retry).
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// See [`with_max_message`](Self::with_max_message).
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.max_message
    }

    /// See [`with_max_queued`](Self::with_max_queued).
    #[must_use]
    pub fn max_queued(&self) -> usize {
        self.max_queued
    }

    /// See [`with_read_buffer`](Self::with_read_buffer).
    #[must_use]
    pub fn read_buffer(&self) -> usize {
        self.read_buffer
    }
}

impl Default for WsConfig {
    fn default() -> Self {
        Self::new()
    }
}
