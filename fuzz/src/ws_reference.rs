//! What a request means, read the long way: from a whole JSON document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eventcast_core::{ChannelName, ChannelSelector, EventName, PayloadKind, SlowPolicy, Start};
use serde_json::Value;

/// The most channels that one request may name.
pub(crate) const MAX_CHANNELS: usize = 256;
/// The longest reference that is a string, in bytes.
const MAX_REF: usize = 64;

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Wanted {
    Ping,
    Publish(Published),
    Subscribe(Vec<String>),
    Unsubscribe,
}

/// A publish: channel, name, kind and bytes of the payload.
pub(crate) type Published = (String, Option<String>, PayloadKind, Vec<u8>);

/// `None` for what is to be refused. No key may stand twice in the document's text.
pub(crate) fn wanted(document: &Value) -> Option<Wanted> {
    let fields = document.as_object()?;
    let text = |key: &str| match fields.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(value) => value.as_str().map(Some),
    };
    match fields.get("ref") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if text.len() <= MAX_REF => {}
        Some(number) if number.is_i64() => {}
        Some(_) => return None,
    }
    let channels = || {
        let names = fields.get("channels")?.as_array()?;
        let names: Option<Vec<String>> = names.iter().map(selector).collect();
        names.filter(|names| (1..=MAX_CHANNELS).contains(&names.len()))
    };
    match text("type")?? {
        "ping" => Some(Wanted::Ping),
        "publish" => {
            let name = match text("event")? {
                Some(name) => Some(EventName::new(name).ok()?.as_str().to_owned()),
                None => None,
            };
            let data = fields.get("data")?;
            let (kind, bytes) = match (text("encoding")?, data) {
                (None, Value::String(data)) => (PayloadKind::Text, data.clone().into_bytes()),
                (None | Some("json"), data) => (PayloadKind::Json, data.to_string().into_bytes()),
                (Some("base64"), data) => {
                    (PayloadKind::Binary, STANDARD.decode(data.as_str()?).ok()?)
                }
                (Some(_), _) => return None,
            };
            let channel = channel(fields.get("channel")?)?;
            Some(Wanted::Publish((channel, name, kind, bytes)))
        }
        "subscribe" => {
            let _: Start = text("start")?.unwrap_or("live").parse().ok()?;
            let _: SlowPolicy = text("slow")?.unwrap_or("gap").parse().ok()?;
            channels().map(Wanted::Subscribe)
        }
        "unsubscribe" => channels().map(|_| Wanted::Unsubscribe),
        _ => None,
    }
}

fn channel(name: &Value) -> Option<String> {
    let name = name.as_str()?;
    ChannelName::new(name).ok().map(|_| name.to_owned())
}

fn selector(name: &Value) -> Option<String> {
    let name = name.as_str()?;
    let selector: ChannelSelector = name.parse().ok()?;
    Some(selector.as_str().to_owned())
}
