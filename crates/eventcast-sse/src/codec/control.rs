//! Blocks that are no events of a channel: named events in the reserved namespace.

use std::time::Duration;

use eventcast_core::{Delivery, End, EventName, Gap, Open, Position};

use super::field;

/// Writes everything but [`Delivery::Event`], the same in both formats.
pub(super) fn encode(delivery: &Delivery, out: &mut Vec<u8>) {
    match delivery {
        Delivery::End(end) => end_of_session(*end, out),
        Delivery::Gap(gap) => gap_in_place(gap, out),
        // No blank line: after it some clients dispatch an empty event.
        Delivery::Heartbeat => out.extend_from_slice(b":\n"),
        Delivery::Open(open) => opening(open, out),
        Delivery::Position(position) => block(out, "position", None, Some(*position), |out| {
            out.extend_from_slice(b"{}");
        }),
        _ => {}
    }
}

fn opening(open: &Open, out: &mut Vec<u8>) {
    block(out, "open", open.retry, open.position, |out| {
        out.extend_from_slice(b"{\"channels\":[");
        for (index, channel) in open.channels.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            field::json_string(out, channel.as_str());
        }
        out.push(b']');
        if let Some(heartbeat) = open.heartbeat {
            json_number(out, "heartbeat", field::millis(heartbeat));
        }
        out.push(b'}');
    });
}

fn gap_in_place(gap: &Gap, out: &mut Vec<u8>) {
    block(out, "gap", None, gap.position, |out| {
        out.extend_from_slice(b"{\"channel\":");
        field::json_string(out, gap.channel.as_str());
        out.extend_from_slice(b",\"reason\":");
        field::json_string(out, gap.reason.as_str());
        if let Some(missed) = gap.missed {
            json_number(out, "missed", missed);
        }
        out.push(b'}');
    });
}

fn end_of_session(end: End, out: &mut Vec<u8>) {
    let retry = match end {
        End::Draining { retry } => retry,
        _ => None,
    };
    block(out, end.as_str(), retry, None, |out| {
        out.extend_from_slice(b"{\"reason\":");
        field::json_string(out, end.as_str());
        out.push(b'}');
    });
}

/// Writes a named event whose data, one line of JSON, `json` writes.
fn block(
    out: &mut Vec<u8>,
    kind: &str,
    retry: Option<Duration>,
    position: Option<Position>,
    json: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(EventName::RESERVED_PREFIX.as_bytes());
    out.extend_from_slice(kind.as_bytes());
    out.push(b'\n');
    field::retry(out, retry);
    out.extend_from_slice(b"data: ");
    json(out);
    out.push(b'\n');
    field::end_block(out, position);
}

fn json_number(out: &mut Vec<u8>, key: &str, number: u64) {
    out.extend_from_slice(format!(",\"{key}\":{number}").as_bytes());
}
