//! What the values of fields mean.

use std::time::Duration;

/// "UTF-8 decode": what is not UTF-8 becomes U+FFFD; `None` when that takes more than `room`
/// bytes. Fields are decoded one by one, which is the same, for their borders are ASCII.
pub(super) fn decode_utf8(bytes: Vec<u8>, room: usize) -> Option<String> {
    String::from_utf8(bytes).map_or_else(
        |error| {
            let replacement = char::REPLACEMENT_CHARACTER.len_utf8();
            let sizes = error.as_bytes().utf8_chunks().map(|chunk| {
                let wrong = if chunk.invalid().is_empty() {
                    0
                } else {
                    replacement
                };
                chunk.valid().len() + wrong
            });
            // Measured first: up to three times the bytes must not be taken only to be refused.
            (sizes.sum::<usize>() <= room)
                .then(|| String::from_utf8_lossy(error.as_bytes()).into_owned())
        },
        |text| (text.len() <= room).then_some(text),
    )
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
