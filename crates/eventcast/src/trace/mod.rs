//! Spans and events for `tracing`. Without the feature there is nothing of it.
//!
//! What a client can cause is told at `DEBUG`, so that no stranger fills a log that is kept at
//! `INFO`. No field holds anything that a client wrote, nor whom or what it is about.

#[cfg(feature = "tracing")]
mod on;

#[cfg(feature = "tracing")]
pub(crate) use on::*;

#[cfg(not(feature = "tracing"))]
pub(crate) use off::*;

#[cfg(not(feature = "tracing"))]
mod off {
    use std::sync::Arc;
    use std::time::Duration;

    use eventcast_core::{Observer, Session};
    use http::StatusCode;

    use crate::address::ClientAddress;
    use crate::disconnect::{DisconnectReason, TransportKind};
    use crate::figures::Resource;
    use crate::limits::Limit;

    pub(crate) const IS_ON: bool = false;

    /// Nothing is told.
    #[derive(Clone)]
    pub(crate) struct Connection;

    impl Connection {
        pub(crate) fn current() -> Self {
            Self
        }

        pub(crate) fn run<F: Future>(self, work: F) -> F {
            work
        }
    }

    pub(crate) fn connection<F: Future>(_: Option<ClientAddress>, _: bool, work: F) -> F {
        work
    }

    pub(crate) struct OfSession;

    impl OfSession {
        pub(crate) fn none() -> Self {
            Self
        }

        pub(crate) fn opened(
            &mut self,
            _: TransportKind,
            _: u64,
            _: &Session,
            observer: Option<Arc<dyn Observer>>,
        ) -> Option<Arc<dyn Observer>> {
            observer
        }

        pub(crate) fn ended(&self, _: Option<DisconnectReason>, _: Duration) {}
    }

    pub(crate) fn limited(_: Limit) {}
    pub(crate) fn refused(_: Resource, _: StatusCode) {}
    pub(crate) fn draining(_: Duration, _: usize) {}
    pub(crate) fn revoked(_: usize, _: usize) {}
}
