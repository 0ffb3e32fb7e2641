//! Blocks that are no events of a channel: named events in the reserved namespace.

use std::time::Duration;

use eventcast_core::{
    ChannelSelector, Completed, Delivery, End, EventName, Gap, Open, Outcome, Position, Subscribed,
};

use super::field;

/// Writes everything but events, the same in both formats.
pub(super) fn encode(delivery: &Delivery, out: &mut Vec<u8>) {
    match delivery {
        Delivery::Completed(end) => end_of_channel(end, out),
        Delivery::Conflated(run) => block(out, "conflated", None, None, |out| {
            out.extend_from_slice(b"{\"channel\":");
            field::json_string(out, run.channel.as_str());
            json_number(out, "count", run.count);
            out.push(b'}');
        }),
        Delivery::End(end) => end_of_session(*end, out),
        Delivery::Gap(gap) => gap_in_place(gap, out),
        // No blank line: after it some clients dispatch an empty event.
        Delivery::Heartbeat => out.extend_from_slice(b":\n"),
        Delivery::Open(open) => opening(open, out),
        Delivery::Subscribed(now) => subscribed(now, out),
        Delivery::Position(position) => block(out, "position", None, Some(*position), |out| {
            out.extend_from_slice(b"{}");
        }),
        Delivery::Recovered => block(out, "recovered", None, None, |out| {
            out.extend_from_slice(b"{}");
        }),
        Delivery::Stalled => block(out, "stalled", None, None, |out| {
            out.extend_from_slice(b"{}");
        }),
        _ => {}
    }
}

fn opening(open: &Open, out: &mut Vec<u8>) {
    block(out, "open", open.retry, open.position, |out| {
        out.push(b'{');
        json_channels(out, &open.channels);
        if let Some(key) = &open.session {
            out.extend_from_slice(b",\"session\":");
            field::json_string(out, key);
        }
        if let Some(heartbeat) = open.heartbeat {
            json_number(out, "heartbeat", field::millis(heartbeat));
        }
        out.push(b'}');
    });
}

fn subscribed(now: &Subscribed, out: &mut Vec<u8>) {
    block(out, "subscribed", None, now.position, |out| {
        out.push(b'{');
        json_channels(out, &now.channels);
        out.push(b'}');
    });
}

fn json_channels(out: &mut Vec<u8>, channels: &[ChannelSelector]) {
    out.extend_from_slice(b"\"channels\":[");
    for (index, channel) in channels.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        field::json_string(out, channel.as_str());
    }
    out.push(b']');
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

fn end_of_channel(end: &Completed, out: &mut Vec<u8>) {
    block(out, "completed", None, end.position, |out| {
        out.extend_from_slice(b"{\"channel\":");
        field::json_string(out, end.channel.as_str());
        match &end.outcome {
            Outcome::Complete => out.extend_from_slice(b",\"outcome\":\"complete\"}"),
            Outcome::Failed(reason) => {
                out.extend_from_slice(b",\"outcome\":\"failed\",\"reason\":");
                field::json_string(out, reason);
                out.push(b'}');
            }
        }
    });
}

/// A drain has its own name, because clients act on it; all else is the end, for a reason.
fn end_of_session(end: End, out: &mut Vec<u8>) {
    let (kind, retry) = match end {
        End::Draining { retry } => (end.as_str(), retry),
        _ => ("closed", None),
    };
    block(out, kind, retry, None, |out| {
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
