//! Deliveries in frames around JSON, and the objects that only WebSocket has.

use eventcast_core::{
    ChannelSelector, Delivery, End, Format, FormatId, HistoryPage, PayloadKind, Position,
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
            Delivery::Heartbeat => frame::write(out, Opcode::Ping, b""),
            // The close code tells it.
            Delivery::End(end) if !matches!(end, End::Draining { .. }) => {}
            _ => frame::write_text(out, expected_length(delivery), |out| {
                delivery.write_envelope(out);
            }),
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

    pub(crate) fn raw(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.out.extend_from_slice(value);
    }

    pub(crate) fn position(&mut self, key: &str, position: Option<Position>) {
        if let Some(position) = position {
            self.string(key, position.text().as_str());
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

/// Only the guess at the header hangs on it.
fn expected_length(delivery: &Delivery) -> usize {
    let Delivery::Event(event) = delivery else {
        return 0;
    };
    let payload = event.payload();
    let length = match payload.kind() {
        PayloadKind::Binary => payload.len() / 3 * 4,
        PayloadKind::Json | PayloadKind::Text => payload.len(),
    };
    length + EVENT_ENVELOPE
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is JSON and a vector takes it");
}

/// What id, keys and a short channel name come to.
const EVENT_ENVELOPE: usize = 60;
