//! What a connection is told and how often.

use std::time::Duration;

use eventcast_core::{Linger, Pull};

use crate::codec::SseFormat;

/// The settings of a response; the same for any number of connections.
///
/// ```
/// use std::time::Duration;
/// use eventcast_sse::{SseConfig, SseFormat};
///
/// let config = SseConfig::new()
///     .with_format(SseFormat::Json)
///     .with_heartbeat(Duration::from_secs(25));
/// assert_eq!(config.retry(), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct SseConfig {
    heartbeat: Duration,
    retry: Duration,
    linger: Duration,
    format: SseFormat,
}

impl SseConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            linger: Duration::ZERO,
            format: SseFormat::default(),
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

    /// The format of the events, plain by default.
    pub fn with_format(mut self, format: SseFormat) -> Self {
        self.format = format;
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

    /// The format of the events.
    #[must_use]
    pub fn format(self) -> SseFormat {
        self.format
    }
}

impl Default for SseConfig {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_of_zero_does_not_spin() {
        let config = SseConfig::new().with_heartbeat(Duration::ZERO);
        assert_eq!(config.heartbeat(), Pull::SHORTEST_HEARTBEAT);
    }
}
