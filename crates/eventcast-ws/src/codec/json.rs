//! The JSON envelope, from server to client.

use std::time::Duration;

use eventcast_core::{
    ChannelSelector, Completed, Delivery, End, Format, FormatId, Gap, HistoryPage, Open, Outcome,
    PayloadKind, Position, StoredEvent,
};

use super::frame::{self, Opcode};

/// Deliveries as whole WebSocket frames around JSON objects: see the crate's documentation.
///
/// The frame is part of the bytes, so connections share it all and copy nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonFormat;

impl Format for JsonFormat {
    fn id(&self) -> FormatId {
        FormatId::new("ws.json")
    }

    fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        match delivery {
            Delivery::Completed(end) => message(out, |object| encode_completed(end, object)),
            Delivery::Conflated(run) => message(out, |object| {
                object.string("type", "conflated");
                object.string("channel", run.channel.as_str());
                object.number("count", Some(run.count));
            }),
            Delivery::Ephemeral(event) => {
                frame::write_text(out, event.payload().len(), |out| event.write_envelope(out));
            }
            Delivery::Event(event) => encode_event(event, out),
            Delivery::Open(open) => message(out, |object| encode_open(open, object)),
            Delivery::Gap(gap) => message(out, |object| encode_gap(gap, object)),
            Delivery::Position(position) => {
                message(out, |object| {
                    object.string("type", "position");
                    object.position("id", Some(*position));
                });
            }
            Delivery::End(End::Draining { retry }) => {
                message(out, |object| {
                    object.string("type", "draining");
                    object.millis("retry", *retry);
                });
            }
            Delivery::Heartbeat => frame::write(out, Opcode::Ping, b""),
            _ => {}
        }
    }
}

/// A JSON object in the making.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    separator: u8,
}

impl Object<'_> {
    pub(crate) fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        write_string(self.out, value);
    }

    /// Keys and values that hold nothing to escape.
    fn verbatim(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    pub(crate) fn raw(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.out.extend_from_slice(value);
    }

    pub(crate) fn position(&mut self, key: &str, position: Option<Position>) {
        if let Some(position) = position {
            self.verbatim(key, position.text().as_bytes());
        }
    }

    pub(crate) fn channels(&mut self, key: &str, channels: &[ChannelSelector]) {
        self.key(key);
        self.out.push(b'[');
        for (index, channel) in channels.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write_string(self.out, channel.as_str());
        }
        self.out.push(b']');
    }

    /// Pages of channels, each with its events in envelopes.
    pub(crate) fn history(&mut self, key: &str, pages: &[(ChannelSelector, HistoryPage)]) {
        self.key(key);
        for (index, (channel, page)) in pages.iter().enumerate() {
            self.out.push(if index == 0 { b'[' } else { b',' });
            let mut object = Object {
                out: self.out,
                separator: b'{',
            };
            object.string("channel", channel.as_str());
            object.key("events");
            object.out.push(b'[');
            for (index, event) in page.events.iter().enumerate() {
                if index > 0 {
                    object.out.push(b',');
                }
                event.write_envelope(object.out);
            }
            object.out.push(b']');
            object.position("next", page.next);
            let trimmed: &[u8] = if page.trimmed { b"true" } else { b"false" };
            object.raw("trimmed", trimmed);
            object.out.push(b'}');
        }
        self.out.push(b']');
    }

    fn number(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.raw(key, number.to_string().as_bytes());
        }
    }

    fn millis(&mut self, key: &str, duration: Option<Duration>) {
        self.number(key, duration.map(|duration| duration.as_millis() as u64));
    }

    fn key(&mut self, key: &str) {
        self.out.push(self.separator);
        self.separator = b',';
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Appends a text frame with one JSON object of at least one field.
pub(crate) fn message(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    frame::write_text(out, 0, |out| {
        let mut object = Object {
            out,
            separator: b'{',
        };
        fill(&mut object);
        object.out.push(b'}');
    });
}

fn encode_event(event: &StoredEvent, out: &mut Vec<u8>) {
    let payload = event.payload();
    let length = match payload.kind() {
        PayloadKind::Binary => payload.len() / 3 * 4,
        PayloadKind::Json | PayloadKind::Text => payload.len(),
    };
    frame::write_text(out, length + EVENT_ENVELOPE, |out| {
        event.write_envelope(out)
    });
}

fn encode_open(open: &Open, object: &mut Object<'_>) {
    object.string("type", "open");
    object.position("id", open.position);
    object.channels("channels", &open.channels);
    object.millis("heartbeat", open.heartbeat);
    object.millis("retry", open.retry);
}

fn encode_completed(end: &Completed, object: &mut Object<'_>) {
    object.string("type", "completed");
    object.position("id", end.position);
    object.string("channel", end.channel.as_str());
    match &end.outcome {
        Outcome::Complete => object.string("outcome", "complete"),
        Outcome::Failed(reason) => {
            object.string("outcome", "failed");
            object.string("reason", reason);
        }
    }
}

fn encode_gap(gap: &Gap, object: &mut Object<'_>) {
    object.string("type", "gap");
    object.position("id", gap.position);
    object.string("channel", gap.channel.as_str());
    object.string("reason", gap.reason.as_str());
    object.number("missed", gap.missed);
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is JSON and a vector takes it");
}

/// What id, keys and a short channel name come to: only the guess at the header hangs on it.
const EVENT_ENVELOPE: usize = 60;
