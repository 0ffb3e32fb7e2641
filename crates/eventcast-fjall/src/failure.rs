//! What errors of the disk mean.

use std::error::Error;
use std::io;
use std::time::Duration;

use eventcast_core::{AppendError, BackplaneError, OutcomeKnown};

pub(crate) fn unreadable(error: fjall::Error) -> BackplaneError {
    BackplaneError::because("the log could not be read", error)
}

pub(crate) fn closed() -> BackplaneError {
    BackplaneError::new("the log is closed")
}

/// It failed, and could not be opened anew.
pub(crate) fn down() -> BackplaneError {
    BackplaneError::new("the log could not be opened again")
}

/// The time is set by who waited.
pub(crate) fn unavailable(outcome: OutcomeKnown, source: BackplaneError) -> AppendError {
    AppendError::Unavailable {
        outcome,
        waited: Duration::ZERO,
        source,
    }
}

/// Whether there is no room, be it on the disk, in a quota or below a limit.
pub(crate) fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
            );
        }
        next = error.source();
    }
    false
}
