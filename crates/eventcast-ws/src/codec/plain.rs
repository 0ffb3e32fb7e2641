//! Payloads alone.

use bytes::Bytes;
use eventcast_core::{Delivery, Format, FormatId, Payload, PayloadKind};

use super::frame::{self, Opcode};

/// Events as whole WebSocket frames around their payloads: text frames for text and JSON, binary
/// frames for bytes.
///
/// It has no form for ids and gaps: a connection in this format closes where a gap is due.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainFormat;

impl Format for PlainFormat {
    fn id(&self) -> FormatId {
        FormatId::new("ws.plain")
    }

    fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        let payload = match delivery {
            Delivery::Ephemeral(event) => event.payload(),
            Delivery::Event(event) => event.payload(),
            Delivery::Heartbeat => return frame::write(out, Opcode::Ping, b""),
            _ => return,
        };
        frame::write(out, opcode(payload), payload.as_bytes());
    }
}

/// A payload's frame as header and payload, which is not copied.
pub(crate) fn plain_frame(payload: &Payload) -> [Bytes; 2] {
    let header = frame::header(opcode(payload), payload.len());
    [header, payload.as_bytes().clone()]
}

fn opcode(payload: &Payload) -> Opcode {
    match payload.kind() {
        PayloadKind::Binary => Opcode::Binary,
        PayloadKind::Json | PayloadKind::Text => Opcode::Text,
    }
}
