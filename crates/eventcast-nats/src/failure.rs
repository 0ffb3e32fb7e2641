//! What went wrong, for the hub.

use std::fmt::Display;

use eventcast_core::BackplaneError;

/// With the client's error as a text, which has in it what is underneath: as a source it would be told
/// twice.
pub(crate) fn because(context: &'static str, error: impl Display) -> BackplaneError {
    BackplaneError::because(context, error.to_string())
}
