//! The handles, made once, and what turns events into figures.

use std::sync::Arc;
use std::time::Duration;

use ::metrics::{Counter, Gauge, Histogram, Unit, counter, gauge, histogram};
use eventcast_core::{
    ChannelName, Delivery, End, GapReason, Health, Hub, Observer, Position, PublishError, Timestamp,
};
use http::StatusCode;

use super::Resource;
use crate::disconnect::{DisconnectReason, TransportKind};
use crate::limits::Limit;
use crate::metrics::{self as names, Kind};

/// What is counted. Clones share the handles.
#[derive(Clone)]
pub(crate) struct Figures(Arc<Handles>);

struct Handles {
    transports: [OfTransport; TRANSPORTS.len()],
    refusals: Vec<Counter>,
    rejected: [[Counter; REASONS.len()]; RESOURCES.len()],
    handshakes: Counter,
    stalled: Counter,
    draining: Gauge,
    log_stalled: Gauge,
    log_sequence: Gauge,
    channels: [Gauge; 2],
    retained_events: Gauge,
    retained_bytes: [Gauge; 2],
    sessions_limit: Gauge,
}

struct OfTransport {
    open: Gauge,
    opened: Counter,
    ended: [Counter; ENDS.len()],
    bytes: Counter,
    observer: Arc<Delivered>,
}

impl Figures {
    pub(crate) const ARE_KEPT: bool = true;

    /// Makes the handles with the recorder that is installed, and observes the hub.
    pub(crate) fn new(hub: &Hub) -> Self {
        describe();
        let slow = |outcome| counter!(names::SLOW, "outcome" => outcome);
        // A second service of the hub leaves its publishes to the first one.
        hub.observe(Published {
            events: counter!(names::PUBLISHED),
            took: histogram!(names::PUBLISH),
            failures: FAILURES.map(|reason| counter!(names::PUBLISH_FAILURES, "reason" => reason)),
            stalls: counter!(names::LOG_STALLS),
        });
        Self(Arc::new(Handles {
            transports: TRANSPORTS.map(|transport| OfTransport {
                open: gauge!(names::SESSIONS, "transport" => transport),
                opened: counter!(names::OPENED, "transport" => transport),
                ended: ENDS.map(
                    |reason| counter!(names::ENDED, "transport" => transport, "reason" => reason),
                ),
                bytes: counter!(names::BYTES, "transport" => transport),
                observer: Arc::new(Delivered {
                    hub: hub.clone(),
                    events: counter!(names::EVENTS, "transport" => transport),
                    latency: histogram!(names::LATENCY, "transport" => transport),
                    gaps: GAPS.map(|reason| counter!(names::GAPS, "reason" => reason)),
                    missed: GAPS.map(|reason| counter!(names::MISSED, "reason" => reason)),
                    slow: ["gap", "disconnect"].map(slow),
                }),
            }),
            refusals: Limit::ALL
                .iter()
                .map(|limit| counter!(names::REFUSALS, "limit" => limit.as_str()))
                .collect(),
            rejected: RESOURCES.map(|resource| {
                REASONS.map(
                    |reason| counter!(names::REJECTED, "resource" => resource.as_str(), "reason" => reason),
                )
            }),
            handshakes: counter!(names::HANDSHAKES, "protocol" => "websocket"),
            stalled: slow("stalled"),
            draining: gauge!(names::DRAINING),
            log_stalled: gauge!(names::LOG_STALLED),
            log_sequence: gauge!(names::LOG_SEQUENCE),
            channels: [gauge!(names::CHANNELS), gauge!(names::CHANNELS_LIMIT)],
            retained_events: gauge!(names::RETAINED_EVENTS),
            retained_bytes: [gauge!(names::RETAINED_BYTES), gauge!(names::RETAINED_LIMIT)],
            sessions_limit: gauge!(names::SESSIONS_LIMIT),
        }))
    }

    pub(crate) fn refused(&self, limit: Limit) {
        self.0.refusals[limit as usize].increment(1);
    }

    pub(crate) fn rejected(&self, resource: Resource, status: StatusCode) {
        let reason = match status {
            StatusCode::UNAUTHORIZED => 1,
            StatusCode::FORBIDDEN => 2,
            StatusCode::NOT_FOUND => 3,
            StatusCode::CONFLICT => 4,
            StatusCode::PAYLOAD_TOO_LARGE => 5,
            StatusCode::TOO_MANY_REQUESTS => 6,
            StatusCode::SERVICE_UNAVAILABLE => 7,
            status if status.is_server_error() => 8,
            _ => 0,
        };
        self.0.rejected[resource as usize][reason].increment(1);
    }

    pub(crate) fn handshake_failed(&self) {
        self.0.handshakes.increment(1);
    }

    /// A session is open, and is counted until it has ended; who is to be told what it hands out.
    pub(crate) fn opened(&self, transport: TransportKind) -> Option<Arc<dyn Observer>> {
        let figures = self.of(transport);
        figures.open.increment(1);
        figures.opened.increment(1);
        Some(Arc::clone(&figures.observer) as Arc<dyn Observer>)
    }

    /// A session is over; without a reason, it was answered.
    pub(crate) fn ended(&self, transport: TransportKind, reason: Option<DisconnectReason>) {
        let name = reason.map_or("answered", DisconnectReason::as_str);
        let figures = self.of(transport);
        figures.open.decrement(1);
        if let Some(index) = ENDS.iter().position(|known| *known == name) {
            figures.ended[index].increment(1);
        }
        if reason == Some(DisconnectReason::Stalled) {
            self.0.stalled.increment(1);
        }
    }

    pub(crate) fn sent(&self, transport: TransportKind, bytes: usize) {
        self.of(transport).bytes.increment(bytes as u64);
    }

    pub(crate) fn draining(&self) {
        self.0.draining.set(1);
    }

    /// Sets what is not counted as it happens.
    pub(crate) fn refresh(&self, hub: &Hub, sessions_limit: usize) {
        let (stats, handles) = (hub.stats(), &self.0);
        let is_stalled = hub.health() == Health::Stalled;
        handles.log_stalled.set(f64::from(u8::from(is_stalled)));
        handles.log_sequence.set(hub.position().sequence() as f64);
        handles.channels[0].set(stats.channels as f64);
        handles.channels[1].set(stats.max_channels as f64);
        handles.retained_events.set(stats.retained_events as f64);
        handles.retained_bytes[0].set(stats.retained_bytes as f64);
        handles.retained_bytes[1].set(stats.max_bytes as f64);
        handles.sessions_limit.set(sessions_limit as f64);
    }

    fn of(&self, transport: TransportKind) -> &OfTransport {
        &self.0.transports[transport as usize]
    }
}

/// It must not hold the hub, which holds it.
struct Published {
    events: Counter,
    took: Histogram,
    failures: [Counter; FAILURES.len()],
    stalls: Counter,
}

impl Observer for Published {
    fn published(&self, _: &ChannelName, events: usize, took: Duration) {
        self.events.increment(events as u64);
        self.took.record(took);
    }

    fn publish_failed(&self, _: &ChannelName, error: &PublishError) {
        let reason = match error {
            PublishError::Full(_) => 0,
            PublishError::OutcomeUnknown { .. } => 1,
            PublishError::Unavailable { .. } => 2,
            // The publisher is at fault.
            _ => return,
        };
        self.failures[reason].increment(1);
    }

    fn log_stalled(&self) {
        self.stalls.increment(1);
    }
}

/// What the sessions of one transport hand out.
struct Delivered {
    hub: Hub,
    events: Counter,
    latency: Histogram,
    gaps: [Counter; GAPS.len()],
    missed: [Counter; GAPS.len()],
    slow: [Counter; 2],
}

impl Delivered {
    fn record(&self, now: Timestamp, time: Timestamp, count: usize) {
        let millis = now.as_millis().saturating_sub(time.as_millis());
        let latency = Duration::from_millis(millis);
        self.latency.record_many(latency, count);
    }
}

impl Observer for Delivered {
    fn delivered(&self, deliveries: &[Delivery], began: Position) {
        let mut events = 0;
        let mut now = None;
        // Events of the same millisecond are recorded together.
        let mut run: Option<(Timestamp, usize)> = None;
        for delivery in deliveries {
            match delivery {
                Delivery::Event(event) => {
                    events += 1;
                    if event.sequence() <= began.sequence() {
                        continue;
                    }
                    match &mut run {
                        Some((time, count)) if *time == event.time() => *count += 1,
                        other => {
                            let now = *now.get_or_insert_with(|| self.hub.now());
                            if let Some((time, count)) = other.replace((event.time(), 1)) {
                                self.record(now, time, count);
                            }
                        }
                    }
                }
                Delivery::Ephemeral(_) => events += 1,
                Delivery::Gap(gap) => {
                    let name = gap.reason.as_str();
                    if let Some(index) = GAPS.iter().position(|known| *known == name) {
                        self.gaps[index].increment(1);
                        self.missed[index].increment(gap.missed.unwrap_or(0));
                    }
                    if gap.reason == GapReason::Slow {
                        self.slow[0].increment(1);
                    }
                }
                Delivery::End(End::Slow) => self.slow[1].increment(1),
                _ => {}
            }
        }
        if let (Some((time, count)), Some(now)) = (run, now) {
            self.record(now, time, count);
        }
        if events > 0 {
            self.events.increment(events);
        }
    }
}

fn describe() {
    for metric in names::ALL {
        let unit = match metric.name {
            name if name.contains("bytes") => Unit::Bytes,
            name if name.ends_with("_seconds") => Unit::Seconds,
            _ => Unit::Count,
        };
        match metric.kind {
            Kind::Counter => ::metrics::describe_counter!(metric.name, unit, metric.help),
            Kind::Gauge => ::metrics::describe_gauge!(metric.name, unit, metric.help),
            Kind::Histogram => ::metrics::describe_histogram!(metric.name, unit, metric.help),
        }
    }
}

/// In the order of `TransportKind`.
const TRANSPORTS: [&str; 4] = ["poll", "sse", "stream", "websocket"];
/// In the order of `Resource`.
const RESOURCES: [Resource; 3] = [Resource::Other, Resource::Publish, Resource::Subscribe];
const REASONS: [&str; 9] = [
    "bad_request",
    "unauthorized",
    "forbidden",
    "not_found",
    "conflict",
    "too_large",
    "limited",
    "unavailable",
    "error",
];
const FAILURES: [&str; 3] = ["full", "outcome_unknown", "unavailable"];
const GAPS: [&str; 4] = ["epoch", "slow", "trimmed", "unknown"];
const ENDS: [&str; 14] = [
    "answered",
    "closed",
    "completed",
    "cut",
    "draining",
    "expired",
    "gap",
    "left",
    "revoked",
    "slow",
    "stalled",
    "too_many_channels",
    "vanished",
    "violation",
];
