//! What the values of fields mean.

use std::time::Duration;

/// "UTF-8 decode": what is not UTF-8 becomes U+FFFD. Fields are decoded one by one, which is the
/// same, for their borders are ASCII.
pub(super) fn decode_utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Milliseconds, if they are ASCII digits only and at least one.
pub(super) fn parse_retry(value: &[u8]) -> Option<Duration> {
    if value.is_empty() {
        return None;
    }
    let mut millis = 0u64;
    for byte in value {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        millis = millis.saturating_mul(10).saturating_add(digit);
    }
    Some(Duration::from_millis(millis))
}
