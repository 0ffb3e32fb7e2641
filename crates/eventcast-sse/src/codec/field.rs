//! The lines that blocks are made of.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eventcast_core::{EventName, Position};

/// Writes an event's block: its name, the fields that `data` writes, its id if it has one, the
/// blank line.
pub(super) fn event_block(
    name: Option<&EventName>,
    id: Option<Position>,
    out: &mut Vec<u8>,
    data: impl FnOnce(&mut Vec<u8>),
) {
    if let Some(name) = name {
        line(out, "event", name.as_str().as_bytes());
    }
    data(out);
    end_block(out, id);
}

/// Writes a field whose value is known to hold no line end.
pub(super) fn line(out: &mut Vec<u8>, field: &str, value: &[u8]) {
    debug_assert!(!value.iter().copied().any(is_line_end));
    out.extend_from_slice(field.as_bytes());
    // Always with the space, so that a value that begins with one keeps it.
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Writes one `data` field for each line of a text, at least one.
pub(super) fn data_lines(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(end) = text.iter().position(|byte| is_line_end(*byte)) {
        line(out, "data", &text[..end]);
        let width = 1 + usize::from(text[end..].starts_with(b"\r\n"));
        text = &text[end + width..];
    }
    line(out, "data", text);
}

pub(super) fn retry(out: &mut Vec<u8>, retry: Option<Duration>) {
    if let Some(retry) = retry {
        line(out, "retry", millis(retry).to_string().as_bytes());
    }
}

/// Ends a block, with the id as its last field: some clients take an id over as soon as they read
/// its line, and must not be cut between that and the data.
pub(super) fn end_block(out: &mut Vec<u8>, position: Option<Position>) {
    if let Some(position) = position {
        line(out, "id", position.text().as_bytes());
    }
    out.push(b'\n');
}

pub(super) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("the room is that of padded base64");
}

pub(super) fn json_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes every string");
}

pub(super) fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

pub(super) fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}
