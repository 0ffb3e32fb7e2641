//! What goes wrong with a log.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A log could not be reached, or did not do what it was asked. Cheap to clone.
#[derive(Clone)]
pub struct BackplaneError {
    context: &'static str,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl BackplaneError {
    /// What was tried, as "the records could not be read".
    #[must_use]
    pub fn new(context: &'static str) -> Self {
        Self {
            context,
            source: None,
        }
    }

    /// The same with what went wrong underneath.
    #[must_use]
    pub fn because(
        context: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync + 'static>>,
    ) -> Self {
        Self {
            context,
            source: Some(source.into().into()),
        }
    }
}

impl fmt::Display for BackplaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.context)
    }
}

impl fmt::Debug for BackplaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "BackplaneError({}: {source:?})", self.context),
            None => write!(f, "BackplaneError({})", self.context),
        }
    }
}

/// The same error, not merely the same text.
impl PartialEq for BackplaneError {
    fn eq(&self, other: &Self) -> bool {
        let is_same = match (&self.source, &other.source) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        is_same && self.context == other.context
    }
}

impl Eq for BackplaneError {}

impl Error for BackplaneError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

/// Whether it is known what became of an append that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeKnown {
    /// Nothing was stored.
    NotStored,
    /// It may have been stored: only a retry with the same idempotency key is safe.
    Unknown,
}

/// Why an append failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The channel is completed. Nothing was stored.
    #[error("the channel is completed")]
    Completed,
    /// The records are larger than the log takes. Nothing was stored.
    #[error("the log takes records of at most {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The log has no room: a disk is full, a limit is reached. Nothing was stored.
    #[error("the log has no room")]
    Full(#[source] BackplaneError),
    /// The log did not answer in time, or could not be reached.
    #[error("the log could not be reached")]
    Unavailable {
        /// Whether the records may have been stored.
        outcome: OutcomeKnown,
        /// For how long it was tried.
        waited: Duration,
        /// What went wrong.
        source: BackplaneError,
    },
}
