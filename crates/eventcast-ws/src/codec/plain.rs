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
        match delivery {
            Delivery::Event(event) => {
                let opcode = match event.payload().kind() {
                    PayloadKind::Binary => Opcode::Binary,
                    PayloadKind::Json | PayloadKind::Text => Opcode::Text,
                };
                frame::write(out, opcode, event.payload().as_bytes());
            }
            Delivery::Heartbeat => frame::write(out, Opcode::Ping, b""),
            _ => {}
        }
    }
}
