//! What errors of the disk mean.

use std::error::Error;
use std::io;
use std::time::Duration;

use eventcast_core::{AppendError, BackplaneError, OutcomeKnown};

pub(crate) fn unreadable(error: fjall::Error) -> BackplaneError {
    because("the log could not be read", error)
}

/// With the store's error, whose text has in it what is underneath: so it is one or the other.
pub(crate) fn because(context: &'static str, error: fjall::Error) -> BackplaneError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            BackplaneError::because(context, error)
        }
        error => BackplaneError::because(context, error.to_string()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_its_cause_once_and_that_there_is_no_room() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for error in [
            fjall::Error::Io(full()),
            fjall::Error::Storage(fjall::LsmError::Io(full())),
        ] {
            let error = because("it failed", error);
            let cause = error.source().unwrap();
            assert_eq!(cause.to_string(), full().to_string());
            assert!(cause.source().is_none());
            assert!(is_full(&error));
        }
        let other = because("it failed", fjall::Error::Poisoned);
        assert!(other.source().unwrap().source().is_none());
    }
}
