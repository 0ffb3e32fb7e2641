//! The event that tells a channel who joined and left.

use std::collections::BTreeMap;

use super::member::{NodeId, Occupancy};
use crate::ephemeral::MAX_BYTES;
use crate::event::{Event, Payload, PayloadKind};
use crate::name::{EventName, MemberId};

/// What is told of a channel.
pub(super) struct Announcement {
    pub(super) node: NodeId,
    pub(super) revision: u64,
    /// The revision that was told before; 0 for none.
    pub(super) previous: u64,
    pub(super) occupancy: Occupancy,
    /// What became of each member; `None` when there are too many to tell.
    pub(super) changes: Option<BTreeMap<MemberId, Change>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Join(Option<Payload>),
    Leave,
    Update(Option<Payload>),
}

impl Change {
    fn key(&self) -> &'static str {
        match self {
            Self::Join(_) => "joins",
            Self::Leave => "leaves",
            Self::Update(_) => "updates",
        }
    }
}

impl Announcement {
    /// The event: with the counts alone if the changes do not fit.
    pub(super) fn event(&self, limit: usize) -> Event {
        let limit = limit.min(MAX_BYTES);
        let text = self
            .changes
            .as_ref()
            .map(|changes| self.told(changes))
            .filter(|text| text.len() <= limit)
            .unwrap_or_else(|| self.counted());
        let payload = Payload::from_log(PayloadKind::Json, text.into());
        let event = Event::new(payload.unwrap_or_else(|| Payload::text("")));
        let name = EventName::presence();
        event.clone().named(name).unwrap_or(event)
    }

    fn told(&self, changes: &BTreeMap<MemberId, Change>) -> String {
        let mut text = self.head();
        for key in ["joins", "updates", "leaves"] {
            let mut first = true;
            for (member, change) in changes.iter().filter(|(_, change)| change.key() == key) {
                text.push_str(if first { ",\"" } else { "," });
                if first {
                    text.push_str(key);
                    text.push_str("\":[");
                    first = false;
                }
                text.push_str("{\"member\":");
                write_string(&mut text, member.as_str());
                if let Change::Join(Some(state)) | Change::Update(Some(state)) = change {
                    text.push_str(",\"state\":");
                    write_state(&mut text, state);
                }
                text.push('}');
            }
            if !first {
                text.push(']');
            }
        }
        text.push('}');
        text
    }

    fn counted(&self) -> String {
        let mut text = self.head();
        text.push_str(",\"incomplete\":true}");
        text
    }

    fn head(&self) -> String {
        format!(
            "{{\"node\":\"{}\",\"revision\":{},\"previous\":{},\"members\":{},\"connections\":{}",
            self.node,
            self.revision,
            self.previous,
            self.occupancy.members,
            self.occupancy.connections,
        )
    }
}

/// A text as a JSON string, JSON as it is.
fn write_state(out: &mut String, state: &Payload) {
    let text = state.as_str().unwrap_or_default();
    if state.kind() == PayloadKind::Json {
        out.push_str(text);
    } else {
        write_string(out, text);
    }
}

/// The core writes JSON without its feature `json` here alone.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
