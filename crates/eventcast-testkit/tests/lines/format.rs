//! The line of each delivery, payloads and names as hexadecimal digits.

use std::fmt::Write;

use eventcast_core::{Delivery, Format, FormatId, Outcome, PayloadKind, Position, StoredEvent};

use super::Flaw;

pub struct LineFormat(pub Flaw);

impl Format for LineFormat {
    fn id(&self) -> FormatId {
        FormatId::new("test.lines")
    }

    fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        let flaw = self.0;
        let line = match delivery {
            Delivery::Completed(_) if flaw == Flaw::CompletionUntold => return,
            Delivery::Completed(end) => {
                let failure = match &end.outcome {
                    Outcome::Complete => None,
                    Outcome::Failed(reason) => Some(hex(reason.as_bytes())),
                };
                format!(
                    "completed {} {} {}",
                    or_dash(end.position),
                    end.channel,
                    or_dash(failure)
                )
            }
            Delivery::End(_) if flaw == Flaw::EndUntold => return,
            Delivery::End(end) => format!("end {}", end.as_str()),
            Delivery::Event(event) => event_line(event, flaw),
            Delivery::Gap(_) if flaw == Flaw::IgnoresGaps => return,
            Delivery::Gap(gap) => {
                let reason = match flaw {
                    Flaw::OneReasonForAll => "slow",
                    _ => gap.reason.as_str(),
                };
                let line = format!(
                    "gap {} {} {reason} {}",
                    or_dash(gap.position),
                    gap.channel,
                    or_dash(gap.missed)
                );
                match gap.position {
                    Some(id) if flaw == Flaw::IdBeforeData => format!("position {id}\n{line}"),
                    _ => line,
                }
            }
            Delivery::Heartbeat => "alive".to_owned(),
            Delivery::Open(_) if flaw == Flaw::NoOpening => return,
            Delivery::Open(open) => {
                let channels: Vec<_> = open.channels.iter().map(|name| name.as_str()).collect();
                format!("open {} {}", or_dash(open.position), channels.join(","))
            }
            Delivery::Position(_) if flaw == Flaw::PositionUntold => "alive".to_owned(),
            Delivery::Position(position) => format!("position {position}"),
            _ => return,
        };
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
}

fn event_line(event: &StoredEvent, flaw: Flaw) -> String {
    let bytes = event.payload().as_bytes().to_vec();
    let (kind, payload) = match event.payload().kind() {
        PayloadKind::Binary if flaw == Flaw::BinaryAsText => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            ("binary", text.into_bytes())
        }
        PayloadKind::Binary => ("binary", bytes),
        PayloadKind::Json if flaw == Flaw::ReformatsJson => {
            let text = String::from_utf8(bytes).unwrap();
            ("json", text.replace(": ", ":").into_bytes())
        }
        PayloadKind::Json => ("json", bytes),
        PayloadKind::Text if flaw == Flaw::TrimsText => ("text", bytes.trim_ascii().to_vec()),
        PayloadKind::Text if flaw == Flaw::CutsLargeEvents => {
            ("text", bytes[..bytes.len().min(0xffff)].to_vec())
        }
        PayloadKind::Text => ("text", bytes),
    };
    let mut id = event.id();
    if flaw == Flaw::IdOfThePrevious {
        id = Position::new(id.epoch(), id.sequence() - 1);
    }
    let name = event.name().filter(|_| flaw != Flaw::LosesNames);
    let line = format!(
        "event {id} {} {} {kind} {}",
        event.channel(),
        or_dash(name.map(|name| hex(name.as_str().as_bytes()))),
        hex(&payload)
    );
    match flaw {
        Flaw::IdBeforeData => format!("position {id}\n{line}"),
        _ => line,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn or_dash(field: Option<impl ToString>) -> String {
    field.map_or_else(|| "-".to_owned(), |field| field.to_string())
}
