//! Counting what the service does. Without the feature `metrics` there is nothing of it.

#[cfg(feature = "metrics")]
mod on;

#[cfg(feature = "metrics")]
pub(crate) use on::Figures;

#[cfg(not(feature = "metrics"))]
pub(crate) use off::Figures;

use crate::target::Target;

/// What a rejected request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Other,
    Publish,
    Subscribe,
}

impl Resource {
    pub(crate) fn of(target: &Target) -> Self {
        match target {
            Target::Channel(_) => Self::Publish,
            Target::Events => Self::Subscribe,
            _ => Self::Other,
        }
    }

    /// Its name in figures and logs.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use std::sync::Arc;

    use eventcast_core::{Hub, Observer};
    use http::StatusCode;

    use super::Resource;
    use crate::disconnect::{DisconnectReason, TransportKind};
    use crate::limits::Limit;

    /// Nothing is counted.
    #[derive(Clone)]
    pub(crate) struct Figures;

    impl Figures {
        pub(crate) const ARE_KEPT: bool = false;

        pub(crate) fn new(_: &Hub) -> Self {
            Self
        }

        pub(crate) fn refused(&self, _: Limit) {}
        pub(crate) fn rejected(&self, _: Resource, _: StatusCode) {}
        pub(crate) fn handshake_failed(&self) {}
        pub(crate) fn opened(&self, _: TransportKind) -> Option<Arc<dyn Observer>> {
            None
        }

        pub(crate) fn ended(&self, _: TransportKind, _: Option<DisconnectReason>) {}
        pub(crate) fn sent(&self, _: TransportKind, _: usize) {}
        pub(crate) fn draining(&self) {}
        pub(crate) fn refresh(&self, _: &Hub, _: usize) {}
    }
}
