//! Keys that nobody guesses.

use std::fmt::Write as _;
use std::sync::Arc;

/// 128 bits of the operating system's entropy.
pub(crate) fn random_key() -> Arc<str> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has entropy");
    let mut key = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    key.into()
}
