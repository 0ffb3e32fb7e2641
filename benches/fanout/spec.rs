//! What is measured: which server, and what its clients subscribe to.

use serde::{Deserialize, Serialize};

/// A server, and what its clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// The floor: one thread, one `write(2)` of ready bytes for each client and event.
    Epoll,
    /// The same with sixteen events in a write.
    Epoll16,
    /// The floor of tokio: a task for each connection, woken by a notify, one `writev` for all that
    /// is new.
    Notify,
    /// axum's SSE over tokio's broadcast channel.
    AxumSse,
    /// axum's WebSocket over tokio's broadcast channel.
    AxumWs,
    Sse,
    /// eventcast's service in a plain hyper server, which keeps the socket.
    SseHyper,
    Stream,
    Ws,
    WsJson,
    Poll,
    SseHttp2,
    WsHttp2,
}

impl Kind {
    pub(crate) const ALL: [Self; 13] = [
        Self::Epoll,
        Self::Epoll16,
        Self::Notify,
        Self::AxumSse,
        Self::AxumWs,
        Self::Sse,
        Self::SseHyper,
        Self::Stream,
        Self::Ws,
        Self::WsJson,
        Self::Poll,
        Self::SseHttp2,
        Self::WsHttp2,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Epoll => "floor: epoll",
            Self::Epoll16 => "floor: epoll, 16 a write",
            Self::Notify => "floor: tokio notify",
            Self::AxumSse => "axum SSE",
            Self::AxumWs => "axum WebSocket",
            Self::Sse => "eventcast SSE",
            Self::SseHyper => "eventcast SSE in hyper",
            Self::Stream => "eventcast stream",
            Self::Ws => "eventcast WebSocket",
            Self::WsJson => "eventcast WebSocket, JSON",
            Self::Poll => "eventcast poll",
            Self::SseHttp2 => "eventcast SSE, HTTP/2",
            Self::WsHttp2 => "eventcast WebSocket, HTTP/2",
        }
    }

    /// How many sessions share a connection.
    pub(crate) fn sessions(self) -> usize {
        match self {
            Self::SseHttp2 | Self::WsHttp2 => 100,
            _ => 1,
        }
    }

    /// The publisher is given so many events at once to send.
    pub(crate) fn grain(self) -> u64 {
        match self {
            Self::Epoll16 => 16,
            _ => 1,
        }
    }

    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Self::AxumWs | Self::Ws | Self::WsJson | Self::WsHttp2)
    }

    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Self::SseHttp2 | Self::WsHttp2)
    }
}

/// Who subscribes to what. Event `n` goes to channel `n % (groups * channels)`, and so to the
/// sessions of group `n % groups`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) sessions: usize,
    /// Session `s` is in group `s % groups`.
    pub(crate) groups: usize,
    /// Each group has channels of its own, and its sessions have all of them.
    pub(crate) channels: usize,
}

impl Shape {
    /// Everybody has one channel.
    pub(crate) fn one_channel(sessions: usize) -> Self {
        Self {
            sessions,
            groups: 1,
            channels: 1,
        }
    }

    pub(crate) fn all_channels(self) -> usize {
        self.groups * self.channels
    }

    /// The channels of a group.
    pub(crate) fn channels_of(self, group: usize) -> impl Iterator<Item = usize> {
        (0..self.channels).map(move |k| k * self.groups + group)
    }

    /// How many sessions get an event.
    pub(crate) fn audience(self) -> u64 {
        (self.sessions / self.groups) as u64
    }
}

/// What a server process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ServerSpec {
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) core: usize,
    pub(crate) workers: usize,
    /// Events that a channel retains, where that is a matter of settings.
    pub(crate) retained: Option<usize>,
    pub(crate) linger_millis: u64,
    /// Whether a recorder of metrics is installed; it counts with the feature `metrics` only.
    pub(crate) prometheus: bool,
}

/// What a load generator is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoadSpec {
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) core: usize,
    pub(crate) address: String,
    pub(crate) control: String,
}

/// What a load generator is to do for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Turn {
    /// So many events at each of so many ticks a second.
    Paced {
        ticks: f64,
        events: u64,
        seconds: f64,
    },
    /// As fast as it goes, the publisher at most so many events ahead of the slowest client.
    Flat { window: u64, seconds: f64 },
    /// So many events, for those who come later.
    Fill { events: u64 },
    /// So many clients, one after the other, that read so many retained events.
    CatchUp { events: u64, clients: usize },
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) published: u64,
    pub(crate) deliveries: u64,
    pub(crate) wall_micros: u64,
    pub(crate) server_user_micros: u64,
    pub(crate) server_system_micros: u64,
    pub(crate) client_micros: u64,
    /// From the publish to the client, in nanoseconds.
    pub(crate) latency_p50: u64,
    pub(crate) latency_p99: u64,
    /// What the call takes that publishes, in nanoseconds.
    pub(crate) publish_p50: u64,
    pub(crate) publish_p99: u64,
}

impl Outcome {
    pub(crate) fn server_micros(&self) -> f64 {
        (self.server_user_micros + self.server_system_micros) as f64
    }

    /// CPU of the server for a delivery, in microseconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.server_micros() / self.deliveries as f64
    }

    /// Deliveries in a second of the wall clock.
    pub(crate) fn rate(&self) -> f64 {
        self.deliveries as f64 / self.wall_micros as f64 * 1e6
    }

    pub(crate) fn client_cpu(&self) -> f64 {
        self.client_micros as f64 / self.deliveries as f64
    }
}
