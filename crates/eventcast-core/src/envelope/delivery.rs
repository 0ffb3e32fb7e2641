//! Everything else that a session hands out, as JSON.

use super::object::Object;
use crate::delivery::{Completed, Conflated, Delivery, End, Gap, Open, Outcome, Subscribed};
use crate::id::Position;

impl Delivery {
    /// Appends the delivery as a JSON object on one line, the same on every transport that speaks
    /// JSON; `false` when it has no such form, as a heartbeat, and nothing was appended.
    ///
    /// An event is its [envelope](crate::StoredEvent::write_envelope). Everything else has `type`
    /// as its first member; `?` marks what may be absent, and times are in milliseconds:
    ///
    /// ```text
    /// {"type":"completed","id"?,"channel","outcome","reason"?}
    /// {"type":"conflated","channel","count"}
    /// {"type":"draining","retry"?}
    /// {"type":"end","reason"}
    /// {"type":"ephemeral","channel","event"?,"encoding"?,"data"}
    /// {"type":"gap","id"?,"channel","reason","missed"?}
    /// {"type":"open","id"?,"channels","session"?,"heartbeat"?,"retry"?}
    /// {"type":"position","id"}
    /// {"type":"subscribed","channels","id"?}
    /// ```
    ///
    /// ```
    /// use eventcast_core::{ChannelName, Delivery, Gap, GapReason};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gap = Gap::new(ChannelName::new("news")?, GapReason::Slow, Some(3), None);
    /// let mut json = Vec::new();
    /// assert!(Delivery::Gap(gap).write_envelope(&mut json));
    /// assert_eq!(json, br#"{"type":"gap","channel":"news","reason":"slow","missed":3}"#);
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_envelope(&self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Completed(end) => completed(end, out),
            Self::Conflated(run) => conflated(run, out),
            Self::End(end) => ended(*end, out),
            Self::Ephemeral(event) => event.write_envelope(out),
            Self::Event(event) => event.write_envelope(out),
            Self::Gap(gap) => missing(gap, out),
            Self::Heartbeat => return false,
            Self::Open(open) => opened(open, out),
            Self::Position(position) => moved(*position, out),
            Self::Recovered => Object::of_type("recovered", out).end(),
            Self::Stalled => Object::of_type("stalled", out).end(),
            Self::Subscribed(now) => subscribed(now, out),
        }
        true
    }
}

fn completed(end: &Completed, out: &mut Vec<u8>) {
    let mut object = Object::of_type("completed", out);
    object.position("id", end.position);
    object.string("channel", end.channel.as_str());
    match &end.outcome {
        Outcome::Complete => object.string("outcome", "complete"),
        Outcome::Failed(reason) => {
            object.string("outcome", "failed");
            object.string("reason", reason);
        }
    }
    object.end();
}

fn conflated(run: &Conflated, out: &mut Vec<u8>) {
    let mut object = Object::of_type("conflated", out);
    object.string("channel", run.channel.as_str());
    object.number("count", Some(run.count));
    object.end();
}

/// A drain has its own type, because clients act on it; all else is the end, for a reason.
fn ended(end: End, out: &mut Vec<u8>) {
    let object = if let End::Draining { retry } = end {
        let mut object = Object::of_type(end.as_str(), out);
        object.millis("retry", retry);
        object
    } else {
        let mut object = Object::of_type("end", out);
        object.string("reason", end.as_str());
        object
    };
    object.end();
}

fn missing(gap: &Gap, out: &mut Vec<u8>) {
    let mut object = Object::of_type("gap", out);
    object.position("id", gap.position);
    object.string("channel", gap.channel.as_str());
    object.string("reason", gap.reason.as_str());
    object.number("missed", gap.missed);
    object.end();
}

fn moved(position: Position, out: &mut Vec<u8>) {
    let mut object = Object::of_type("position", out);
    object.position("id", Some(position));
    object.end();
}

fn opened(open: &Open, out: &mut Vec<u8>) {
    let mut object = Object::of_type("open", out);
    object.position("id", open.position);
    object.strings("channels", open.channels.iter().map(|name| name.as_str()));
    if let Some(key) = &open.session {
        object.string("session", key);
    }
    object.millis("heartbeat", open.heartbeat);
    object.millis("retry", open.retry);
    object.end();
}

fn subscribed(now: &Subscribed, out: &mut Vec<u8>) {
    let mut object = Object::of_type("subscribed", out);
    object.strings("channels", now.channels.iter().map(|name| name.as_str()));
    object.position("id", now.position);
    object.end();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::id::Epoch;
    use crate::name::ChannelName;
    use crate::{EphemeralEvent, Event, GapReason};

    fn json(delivery: &Delivery) -> String {
        let mut out = b"before".to_vec();
        assert!(delivery.write_envelope(&mut out));
        String::from_utf8(out).expect("UTF-8")["before".len()..].to_owned()
    }

    fn position() -> Option<Position> {
        Some(Position::new(Epoch::from_bits(7), 42))
    }

    fn channel() -> ChannelName {
        ChannelName::new("a \"b\"").expect("a name")
    }

    #[test]
    fn what_happens_in_a_channel() {
        let completed = |position, outcome| {
            Delivery::Completed(Completed {
                channel: channel(),
                outcome,
                position,
            })
        };
        let gap = |missed, position| {
            Delivery::Gap(Gap::new(channel(), GapReason::Trimmed, missed, position))
        };
        let event = Event::text("é");
        let ephemeral = EphemeralEvent {
            channel: channel(),
            event,
        };
        let run = Conflated {
            channel: channel(),
            count: u64::MAX,
        };
        for (delivery, expected) in [
            (
                completed(position(), Outcome::Complete),
                r#"{"type":"completed","id":"00000007-b42","channel":"a \"b\"","outcome":"complete"}"#,
            ),
            (
                completed(None, Outcome::Failed("line\nline".into())),
                r#"{"type":"completed","channel":"a \"b\"","outcome":"failed","reason":"line\nline"}"#,
            ),
            (
                gap(Some(3), position()),
                r#"{"type":"gap","id":"00000007-b42","channel":"a \"b\"","reason":"trimmed","missed":3}"#,
            ),
            (
                gap(None, None),
                r#"{"type":"gap","channel":"a \"b\"","reason":"trimmed"}"#,
            ),
            (
                Delivery::Ephemeral(Arc::new(ephemeral)),
                r#"{"type":"ephemeral","channel":"a \"b\"","data":"é"}"#,
            ),
            (
                Delivery::Conflated(run),
                r#"{"type":"conflated","channel":"a \"b\"","count":18446744073709551615}"#,
            ),
        ] {
            assert_eq!(json(&delivery), expected);
        }
    }

    #[test]
    fn what_happens_to_the_session() {
        let retry = Some(Duration::from_millis(1_500));
        let bare = Open {
            position: None,
            channels: Vec::new(),
            session: None,
            heartbeat: None,
            retry: None,
        };
        let full = Open {
            position: position(),
            channels: vec![
                channel().into(),
                ChannelName::new("c").expect("a name").into(),
            ],
            session: Some("k".into()),
            heartbeat: Some(Duration::from_secs(15)),
            retry,
        };
        for (delivery, expected) in [
            (
                Delivery::Open(full),
                r#"{"type":"open","id":"00000007-b42","channels":["a \"b\"","c"],"session":"k","heartbeat":15000,"retry":1500}"#,
            ),
            (Delivery::Open(bare), r#"{"type":"open","channels":[]}"#),
            (
                Delivery::Position(position().expect("one")),
                r#"{"type":"position","id":"00000007-b42"}"#,
            ),
            (
                Delivery::End(End::Draining { retry }),
                r#"{"type":"draining","retry":1500}"#,
            ),
            (
                Delivery::End(End::Draining { retry: None }),
                r#"{"type":"draining"}"#,
            ),
            (
                Delivery::End(End::Completed),
                r#"{"type":"end","reason":"completed"}"#,
            ),
            (
                Delivery::End(End::Closed),
                r#"{"type":"end","reason":"closed"}"#,
            ),
            (
                Delivery::End(End::Slow),
                r#"{"type":"end","reason":"slow"}"#,
            ),
        ] {
            assert_eq!(json(&delivery), expected);
        }
        let mut out = Vec::new();
        assert!(!Delivery::Heartbeat.write_envelope(&mut out));
        assert_eq!(out, b"");
    }
}
