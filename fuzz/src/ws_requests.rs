//! What WebSocket clients send.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use eventcast_core::{
    ChannelName, ChannelPattern, Epoch, Event, EventName, Hub, HubConfig, Position,
};
use eventcast_ws::{ClientHandler, Refusal, WsEnd};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ws_reference::{MAX_CHANNELS, Published, Wanted, wanted};
use crate::ws_wire::{Said, talk, text_frame};

/// The first byte says what the rest is: bytes as they come over the wire, or a request a line.
/// Each line that is a JSON object is sent once more, written anew, and has to be understood then
/// as the reference reads it.
///
/// # Panics
/// When a request has not one answer, is misunderstood, or reaches the handler beyond its bounds.
pub fn ws_requests(bytes: &[u8]) {
    let Some((&mode, rest)) = bytes.split_first() else {
        return;
    };
    let calls = Arc::new(Calls::default());
    if mode == 0 {
        let said = connect(&calls, rest);
        said.frames.iter().for_each(check_frame);
        return;
    }
    let Ok(text) = std::str::from_utf8(rest) else {
        let said = connect(&calls, &text_frame(rest));
        assert!(said.end.is_some() || said.frames.last().is_some_and(|frame| frame.0 == 8));
        return;
    };
    for line in text.lines().take(MAX_LINES) {
        check_request(line, &ask(&calls, line), &calls.take());
        if let Some(document) = object(line) {
            let reply = ask(&calls, &document.to_string());
            check_meaning(&document, &reply, &calls.take());
        }
    }
}

/// The answer to a request on a connection of its own.
fn ask(calls: &Arc<Calls>, request: &str) -> Value {
    let Said { frames, end } = connect(calls, &text_frame(request.as_bytes()));
    assert!(end.is_none(), "{end:?} after {request}");
    frames.iter().for_each(check_frame);
    let is_reply = |message: &Value| {
        let kind = message["type"].as_str();
        matches!(
            kind,
            Some("error" | "pong" | "published" | "subscribed" | "unsubscribed")
        )
    };
    let messages = frames.iter().filter(|(opcode, _)| *opcode == 1);
    let messages = messages.filter_map(|(_, text)| serde_json::from_slice(text).ok());
    let mut replies: Vec<Value> = messages.filter(is_reply).collect();
    assert_eq!(replies.len(), 1, "{request} was answered {replies:?}");
    replies.remove(0)
}

fn connect(calls: &Arc<Calls>, input: &[u8]) -> Said {
    let hub = Hub::with_config(HubConfig::new().with_epoch(Epoch::from_bits(7)));
    let session = hub.session().channel("a").open();
    let handler = Arc::new(Recording(hub, Arc::clone(calls)));
    let said = talk(session.expect("a valid name"), handler, input);
    let ours = matches!(said.end, None | Some(WsEnd::PeerClosed { .. }));
    assert!(ours || !said.frames.is_empty());
    said
}

/// Whatever comes in, what goes out is well-formed.
fn check_frame((opcode, payload): &(u8, Vec<u8>)) {
    match opcode {
        1 => {
            // By its grammar only: a published document may hold half a surrogate pair.
            let message: &RawValue = serde_json::from_slice(payload).expect("a message is JSON");
            assert!(message.get().starts_with('{'));
        }
        8 => assert!(payload.len() != 1 && payload.len() <= 125),
        9 | 10 => assert!(payload.len() <= 125),
        other => panic!("a frame of kind {other}"),
    }
}

/// Bounds, and what holds for every text.
fn check_request(request: &str, reply: &Value, calls: &[Call]) {
    let asked = calls
        .iter()
        .filter(|call| matches!(call, Call::Subscribe(_)));
    assert!(asked.count() <= MAX_CHANNELS);
    let is_object = request.trim_ascii_start().starts_with('{')
        && serde_json::from_str::<&RawValue>(request).is_ok();
    if !is_object {
        assert_eq!(reply["code"], "bad_request", "{request}");
        assert!(calls.is_empty());
    }
    if reply["type"] == "error" {
        let code = reply["code"].as_str().expect("an error has a code");
        let client_errors = [
            "bad_request",
            "bad_channel",
            "bad_event",
            "too_many_channels",
        ];
        assert!(client_errors.contains(&code), "{request}: {reply}");
        let message = reply["message"].as_str().expect("and a message");
        assert!(message.len() < 200, "it repeats what was sent: {message}");
    }
    match &reply["ref"] {
        Value::Null => {}
        Value::String(text) => assert!(text.len() <= 64),
        number => assert!(number.is_i64(), "{number}"),
    }
}

/// A document in which no key stands twice is understood as the reference does.
fn check_meaning(document: &Value, reply: &Value, calls: &[Call]) {
    let Some(wanted) = wanted(document) else {
        assert_eq!(reply["type"], "error", "{document}");
        return;
    };
    assert_eq!(reply["ref"], document["ref"], "{document}");
    let (kind, expected) = match wanted {
        Wanted::Ping => ("pong", Vec::new()),
        Wanted::Publish(published) => ("published", vec![Call::Publish(published)]),
        Wanted::Subscribe(channels) => {
            let calls = channels.into_iter().map(Call::Subscribe).collect();
            ("subscribed", calls)
        }
        Wanted::Unsubscribe => ("unsubscribed", Vec::new()),
    };
    assert_eq!(reply["type"], kind, "{document}");
    assert_eq!(calls, expected, "{document}");
}

fn object(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(Value::is_object)
}

/// What reached the handler.
#[derive(Debug, PartialEq)]
enum Call {
    Publish(Published),
    Subscribe(String),
}

#[derive(Debug, Default)]
struct Calls(Mutex<Vec<Call>>);

impl Calls {
    fn push(&self, call: Call) {
        self.0.lock().expect("nobody panics with it").push(call);
    }

    fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }
}

/// Allows everything, and remembers it.
struct Recording(Hub, Arc<Calls>);

#[async_trait]
impl ClientHandler for Recording {
    async fn authorize_subscribe(&self, channel: &ChannelName) -> Result<(), Refusal> {
        assert!(channel.as_str().len() <= ChannelName::MAX_LEN);
        self.1.push(Call::Subscribe(channel.as_str().to_owned()));
        Ok(())
    }

    async fn authorize_pattern(&self, pattern: &ChannelPattern) -> Result<(), Refusal> {
        assert!(pattern.as_str().len() <= ChannelName::MAX_LEN);
        self.1.push(Call::Subscribe(pattern.as_str().to_owned()));
        Ok(())
    }

    async fn publish(&self, channel: ChannelName, event: Event) -> Result<Position, Refusal> {
        let payload = event.payload();
        let name = event.name().map(|name| name.as_str().to_owned());
        let name_length = name.as_ref().map_or(0, String::len);
        assert!(channel.as_str().len() <= ChannelName::MAX_LEN);
        assert!(name_length <= EventName::MAX_LEN);
        self.1.push(Call::Publish((
            channel.as_str().to_owned(),
            name,
            payload.kind(),
            payload.as_bytes().to_vec(),
        )));
        Ok(self.0.publish(channel, event).await?)
    }
}

const MAX_LINES: usize = 8;
