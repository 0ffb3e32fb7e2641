//! The service's figures, by the `metrics` facade: what there is, under which names.
//!
//! Install a recorder, then make the service: the handles are made once, with it. Labels have few
//! values, known beforehand: never a channel or a principal.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations, in seconds, in [`BUCKETS`].
    Histogram,
}

/// One metric; see [`ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

macro_rules! list {
    ($($constant:ident $name:literal $kind:ident [$($label:literal)*] $help:literal)*) => {
        $(pub(crate) const $constant: &str = $name;)*
        /// Every metric. Those of parts that are added have their place here.
        pub const ALL: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        }),*];
    };
}

list! {
    REFUSALS "eventcast_refusals_total" Counter ["limit"]
        "How often clients met a limit"
    REJECTED "eventcast_requests_rejected_total" Counter ["resource" "reason"]
        "Requests that were answered with a problem document"
    HANDSHAKES "eventcast_handshakes_failed_total" Counter ["protocol"]
        "WebSocket handshakes that were not valid"
    SESSIONS "eventcast_sessions" Gauge ["transport"]
        "Sessions that are open"
    SESSIONS_LIMIT "eventcast_sessions_limit" Gauge []
        "How many sessions may be open"
    OPENED "eventcast_sessions_opened_total" Counter ["transport"]
        "Sessions that were opened"
    ENDED "eventcast_sessions_ended_total" Counter ["transport" "reason"]
        "Sessions that are over"
    EVENTS "eventcast_delivered_events_total" Counter ["transport"]
        "Events that were handed to a transport"
    BYTES "eventcast_delivered_bytes_total" Counter ["transport"]
        "Encoded bytes that were handed to a transport, openings and heartbeats included"
    LATENCY "eventcast_delivery_latency_seconds" Histogram ["transport"]
        "From an event's publish time until it is handed to a transport, exact to a millisecond"
    GAPS "eventcast_gaps_total" Counter ["reason"]
        "Gaps that sessions were told of"
    MISSED "eventcast_missed_events_total" Counter ["reason"]
        "Events that gaps stand for, where that is known"
    SLOW "eventcast_slow_consumers_total" Counter ["outcome"]
        "Readers that were slower than the log: with a gap, disconnected, or stalled"
    PUBLISHED "eventcast_published_events_total" Counter []
        "Events that were published, completions and repeats of an idempotency key included"
    PUBLISH "eventcast_publish_duration_seconds" Histogram []
        "From the call of a publish until it is stored"
    PUBLISH_FAILURES "eventcast_publish_failures_total" Counter ["reason"]
        "Publishes that a log outside the hub failed"
    LOG_STALLED "eventcast_log_stalled" Gauge []
        "1 while a log outside the hub does not answer"
    LOG_STALLS "eventcast_log_stalls_total" Counter []
        "How often a log outside the hub stopped answering"
    LOG_SEQUENCE "eventcast_log_sequence" Gauge []
        "The sequence up to which the hub has its log"
    CHANNELS "eventcast_channels" Gauge []
        "Channels that there are"
    CHANNELS_LIMIT "eventcast_channels_limit" Gauge []
        "How many channels there may be"
    RETAINED_EVENTS "eventcast_retained_events" Gauge []
        "Events that are retained"
    RETAINED_BYTES "eventcast_retained_bytes" Gauge []
        "What retained events are charged for"
    RETAINED_LIMIT "eventcast_retained_bytes_limit" Gauge []
        "What retained events may be charged for"
    DRAINING "eventcast_draining" Gauge []
        "1 once the service sends its clients elsewhere"
}

/// The upper bounds of the histograms' buckets, in seconds: a recorder has to be given them.
pub const BUCKETS: &[f64] = &[
    0.000_001, 0.000_01, 0.000_1, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0,
];
