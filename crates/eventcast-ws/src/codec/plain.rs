//! Payloads alone.

use eventcast_core::{Delivery, Format, FormatId, PayloadKind};

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
        let opcode = match payload.kind() {
            PayloadKind::Binary => Opcode::Binary,
            PayloadKind::Json | PayloadKind::Text => Opcode::Text,
        };
        frame::write(out, opcode, payload.as_bytes());
    }
}
