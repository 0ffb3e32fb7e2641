//! What a client is given, how much of it, and how long it waits.

use std::time::Duration;

use eventcast_core::{Linger, Pull};

/// The settings of a stream; the same for any number of connections.
///
/// ```
/// use std::time::Duration;
/// use eventcast_poll::StreamConfig;
///
/// let config = StreamConfig::new().with_heartbeat(Duration::from_secs(25));
/// assert_eq!(config.retry(), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct StreamConfig {
    heartbeat: Duration,
    retry: Duration,
    linger: Duration,
}

impl StreamConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            linger: Duration::ZERO,
        }
    }

    /// How long a connection may be silent, 15 seconds by default; at least 10 ms.
    ///
    /// Too long, and proxies cut idle connections (many after 60 seconds, some after 30) and a
    /// client that vanished is noticed late; too short only costs traffic.
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat.max(Pull::SHORTEST_HEARTBEAT);
        self
    }

    /// How long clients wait before they reconnect, 2 seconds by default. Each connection is told
    /// a time between half of it and one and a half, so that clients that lost the same server do
    /// not come back all at once.
    ///
    /// Too short, and a restart brings a rush; too long, and clients miss what happens meanwhile.
    pub fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = retry;
        self
    }

    /// For how long events wait for others after a batch, to be written with them; zero by default,
    /// at most a second. The first one after a pause is sent at once. See [`Linger`].
    ///
    /// Some milliseconds save most of the cost where many events a second come one by one; much
    /// more, and people notice.
    pub fn with_linger(mut self, window: Duration) -> Self {
        self.linger = window.min(Linger::LONGEST);
        self
    }

    /// How long a connection may be silent.
    #[must_use]
    pub fn heartbeat(self) -> Duration {
        self.heartbeat
    }

    /// How long clients wait before they reconnect, in the middle.
    #[must_use]
    pub fn retry(self) -> Duration {
        self.retry
    }

    /// For how long events wait for others after a batch.
    #[must_use]
    pub fn linger(self) -> Duration {
        self.linger
    }
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// The settings of an answer to a poll; the same for any number of clients.
///
/// ```
/// use std::time::Duration;
/// use eventcast_poll::PollConfig;
///
/// let config = PollConfig::new().with_wait(Duration::from_secs(50));
/// // A client's wish can shorten the wait, not lengthen it.
/// assert_eq!(config.wait_at_most(Duration::from_secs(5)).wait(), Duration::from_secs(5));
/// assert_eq!(config.wait_at_most(Duration::from_secs(500)).wait(), Duration::from_secs(50));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct PollConfig {
    wait: Duration,
    max_events: usize,
    max_bytes: usize,
}

impl PollConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            wait: Duration::from_secs(25),
            max_events: 256,
            max_bytes: 256 << 10,
        }
    }

    /// How long an answer is held back while there is nothing to tell, 25 seconds by default. With
    /// zero it never is, and no timer is used: plain polling.
    ///
    /// Too long, and proxies give up before (many after 60 seconds, some after 30), and a client
    /// that is cut as it waits may come back with a position so old that it gives a false gap; too
    /// short, and idle clients cost requests.
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The same with a wait of no more than what a client asked for.
    pub fn wait_at_most(self, asked: Duration) -> Self {
        self.with_wait(self.wait.min(asked))
    }

    /// How many objects an answer holds at most, 256 by default; at least one. Gaps come on top,
    /// and the ends that a session begins with come together, however many they are.
    ///
    /// Too few, and a client that is behind needs many requests, and may be told of a gap in each
    /// of them; too many delay others while they are written, and cost the client memory.
    pub fn with_max_events(mut self, count: usize) -> Self {
        self.max_events = count.max(1);
        self
    }

    /// From how many bytes on nothing further is put into an answer, 256 KiB by default. Nothing
    /// is ever cut: an answer may exceed it by what was read together, which is one event, or
    /// events whose payloads come to no more than 64 KiB.
    ///
    /// Too small or too large is the same as for [the count](Self::with_max_events).
    pub fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes.max(1);
        self
    }

    /// How long an answer is held back while there is nothing to tell.
    #[must_use]
    pub fn wait(self) -> Duration {
        self.wait
    }

    /// How many objects an answer holds at most.
    #[must_use]
    pub fn max_events(self) -> usize {
        self.max_events
    }

    /// From how many bytes on nothing further is put into an answer.
    #[must_use]
    pub fn max_bytes(self) -> usize {
        self.max_bytes
    }
}

impl Default for PollConfig {
    fn default() -> Self {
        Self::new()
    }
}
