//! Telling it.

use std::sync::Arc;
use std::time::Duration;

use ::tracing::{Instrument, Span, debug, debug_span, info};
use eventcast_core::{ChannelName, Delivery, Observer, Position, Session};
use http::StatusCode;

use crate::address::ClientAddress;
use crate::disconnect::{DisconnectReason, TransportKind};
use crate::figures::Resource;
use crate::limits::Limit;

pub(crate) const IS_ON: bool = true;

/// The span of a connection, for what is done for it elsewhere than in its task.
#[derive(Clone)]
pub(crate) struct Connection(Span);

impl Connection {
    pub(crate) fn current() -> Self {
        Self(Span::current())
    }

    pub(crate) fn run<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        work.instrument(self.0)
    }
}

/// Serves a connection in a span of its own. That it is closed is not told: its streams may go on in
/// tasks of their own, and each session tells its end.
pub(crate) fn connection<F: Future>(
    address: Option<ClientAddress>,
    is_encrypted: bool,
    work: F,
) -> impl Future<Output = F::Output> {
    let span = debug_span!(
        target: TARGET,
        "connection",
        address = address.map(|address| ::tracing::field::display(address.ip())),
        tls = is_encrypted,
    );
    let told = async move {
        debug!(target: TARGET, "connection opened");
        work.await
    };
    told.instrument(span)
}

/// A session's span.
pub(crate) struct OfSession(Span);

impl OfSession {
    pub(crate) fn none() -> Self {
        Self(Span::none())
    }

    /// Returns who is to be told what the session hands out.
    pub(crate) fn opened(
        &mut self,
        transport: TransportKind,
        number: u64,
        session: &Session,
        observer: Option<Arc<dyn Observer>>,
    ) -> Option<Arc<dyn Observer>> {
        let transport = transport.as_str();
        let span = debug_span!(target: TARGET, "session", number, transport);
        let resumed = session.is_resumed();
        span.in_scope(|| debug!(target: TARGET, resumed, "session opened"));
        self.0 = span.clone();
        if span.is_disabled() {
            return observer;
        }
        Some(Arc::new(Gaps { span, observer }))
    }

    /// Without a reason it was answered.
    pub(crate) fn ended(&self, reason: Option<DisconnectReason>, lasted: Duration) {
        let reason = reason.map_or("answered", DisconnectReason::as_str);
        let lasted_ms = lasted.as_millis() as u64;
        self.0
            .in_scope(|| debug!(target: TARGET, reason, lasted_ms, "session ended"));
    }
}

/// Tells a session's gaps, and passes on everything.
struct Gaps {
    span: Span,
    observer: Option<Arc<dyn Observer>>,
}

impl Observer for Gaps {
    fn published(&self, channel: &ChannelName, events: usize, took: Duration) {
        if let Some(observer) = &self.observer {
            observer.published(channel, events, took);
        }
    }

    fn delivered(&self, deliveries: &[Delivery], began: Position) {
        for delivery in deliveries {
            if let Delivery::Gap(gap) = delivery {
                let (reason, missed) = (gap.reason.as_str(), gap.missed);
                self.span
                    .in_scope(|| debug!(target: TARGET, reason, missed, "gap"));
            }
        }
        if let Some(observer) = &self.observer {
            observer.delivered(deliveries, began);
        }
    }
}

pub(crate) fn limited(limit: Limit) {
    debug!(target: TARGET, limit = limit.as_str(), "limit met");
}

pub(crate) fn refused(resource: Resource, status: StatusCode) {
    let (resource, status) = (resource.as_str(), status.as_u16());
    debug!(target: TARGET, resource, status, "request refused");
}

pub(crate) fn draining(window: Duration, sessions: usize) {
    let window_ms = window.as_millis() as u64;
    info!(target: TARGET, window_ms, sessions, "drain begun");
}

/// So many sessions are to end, and so many to go on without some channels.
pub(crate) fn revoked(ended: usize, narrowed: usize) {
    info!(target: TARGET, ended, narrowed, "revoked");
}

/// Of all spans and events.
const TARGET: &str = "eventcast";
