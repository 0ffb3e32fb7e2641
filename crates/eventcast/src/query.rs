//! What a request asks for: its query.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use eventcast_core::{
    ChannelSelector, HistoryQuery, ParseOptionError, Payload, Position, SlowPolicy, Start,
};
use http::request::Parts;

use crate::problem::Problem;
use crate::registry::Transport;

/// The query of a subscription or publish. Parameters that are not known are left alone.
pub(crate) struct Query {
    pub(crate) channels: Vec<ChannelSelector>,
    pub(crate) last_event_id: Option<String>,
    pub(crate) format: Option<Format>,
    pub(crate) start: Start,
    pub(crate) slow: Option<SlowPolicy>,
    /// A publish's event name; the names that a subscription lets through.
    pub(crate) events: Vec<String>,
    pub(crate) history: HistoryQuery,
    /// The transport that the client wants, whatever its headers say.
    pub(crate) transport: Option<Transport>,
    /// How long a poll may wait.
    pub(crate) wait: Option<Duration>,
    /// The key of the session that it continues, or gives.
    pub(crate) session: Option<String>,
    /// In place of credentials.
    pub(crate) ticket: Option<String>,
    pub(crate) presence: Option<PresenceMode>,
    /// As whom a client enters channels that says so itself.
    pub(crate) member: Option<String>,
    /// With which state.
    pub(crate) state: Option<Payload>,
    /// The name that the page before ended with, of whatever is listed.
    pub(crate) after: Option<String>,
    /// How many a page has.
    pub(crate) limit: usize,
    /// Only how many there are.
    pub(crate) count: bool,
}

/// What a subscription has to do with presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PresenceMode {
    /// It enters its channels, and is told who else does.
    Enter,
    /// It is only told.
    Watch,
}

/// How events are written, where the client may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Plain,
}

impl Query {
    pub(crate) fn parse(request: &Parts) -> Result<Self, Problem> {
        let mut query = Self {
            channels: Vec::new(),
            last_event_id: None,
            format: None,
            start: Start::default(),
            slow: None,
            events: Vec::new(),
            history: HistoryQuery::oldest_first(),
            transport: None,
            wait: None,
            session: None,
            ticket: None,
            presence: None,
            member: None,
            state: None,
            after: None,
            limit: PAGE,
            count: false,
        };
        let (mut order, mut from) = (None, None);
        let text = request.uri.query().unwrap_or("");
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "channel" => query.channels.push(text_of(&value)?.parse()?),
                "last_event_id" => query.last_event_id = Some(value.into_owned()),
                "format" => query.format = Some(format(&value)?),
                "start" => query.start = option("start", &value)?,
                "slow" => query.slow = Some(option("slow", &value)?),
                "event" => query.events.push(text_of(&value)?.to_owned()),
                "order" => order = Some(value.into_owned()),
                "from" => from = Some(position(&value)?),
                "limit" => query.limit = count(&value)?,
                "transport" => query.transport = Some(transport(&value)?),
                "wait" => query.wait = Some(seconds(&value)?),
                "session" => query.session = Some(session_key(&value)?),
                "ticket" => query.ticket = Some(value.into_owned()),
                "presence" => query.presence = presence(&value)?,
                "member" => query.member = Some(text_of(&value)?.to_owned()),
                "state" => query.state = Some(state(&value)?),
                "after" => query.after = Some(text_of(&value)?.to_owned()),
                "count" => query.count = flag("count", &value)?,
                _ => {}
            }
        }
        // The header is what a reconnecting client has seen, the query what its page knew at first.
        if let Some(id) = request
            .headers
            .get("last-event-id")
            .filter(|id| !id.is_empty())
        {
            query.last_event_id = Some(String::from_utf8_lossy(id.as_bytes()).into_owned());
        }
        query.last_event_id = query.last_event_id.filter(|id| !id.is_empty());
        query.history = match order.as_deref() {
            None | Some("oldest") => HistoryQuery::oldest_first(),
            Some("newest") => HistoryQuery::newest_first(),
            Some(_) => return Err(choice("order", "`oldest` or `newest`")),
        };
        query.history = query.history.with_limit(query.limit);
        if let Some(from) = from {
            query.history = query.history.from(from);
        }
        Ok(query)
    }
}

/// A name that is text. The decoder puts U+FFFD in the place of what is none, so a name that holds
/// it was none, or is of no use to anybody.
fn text_of(value: &str) -> Result<&str, Problem> {
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Problem::bad_request("a name in the query is not UTF-8"));
    }
    Ok(value)
}

fn format(value: &str) -> Result<Format, Problem> {
    match value {
        "json" => Ok(Format::Json),
        "plain" => Ok(Format::Plain),
        _ => Err(choice("format", "`json` or `plain`")),
    }
}

fn transport(value: &str) -> Result<Transport, Problem> {
    match value {
        "poll" => Ok(Transport::Poll),
        "sse" => Ok(Transport::Sse),
        "stream" => Ok(Transport::Stream),
        "websocket" => Ok(Transport::WebSocket),
        _ => Err(choice(
            "transport",
            "`sse`, `stream`, `poll` or `websocket`",
        )),
    }
}

fn presence(value: &str) -> Result<Option<PresenceMode>, Problem> {
    match value {
        "watch" => Ok(Some(PresenceMode::Watch)),
        _ => flag("presence", value)
            .map(|enters| enters.then_some(PresenceMode::Enter))
            .map_err(|_| choice("presence", "`1`, `0` or `watch`")),
    }
}

/// `?count` says as much as `?count=1`.
fn flag(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(choice(name, "`1` or `0`")),
    }
}

/// JSON, or a text where it is none.
fn state(value: &str) -> Result<Payload, Problem> {
    let text = text_of(value)?;
    match serde_json::from_str(text) {
        Ok(serde_json::Value::String(text)) => Ok(Payload::text(text)),
        Ok(_) => Payload::json_text(text).map_err(|error| Problem::bad_request(error.to_string())),
        Err(_) => Ok(Payload::text(text)),
    }
}

fn seconds(value: &str) -> Result<Duration, Problem> {
    let seconds: u32 = value
        .parse()
        .map_err(|_| choice("wait", "a whole number of seconds"))?;
    Ok(Duration::from_secs(seconds.into()))
}

/// A key that its client made is as good as one of the server's, if it cannot be guessed, which
/// only its length tells.
fn session_key(value: &str) -> Result<String, Problem> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (MIN_KEY..=MAX_KEY).contains(&value.len()) && value.bytes().all(is_plain) {
        Ok(value.to_owned())
    } else {
        Err(choice(
            "session",
            "22 to 64 letters, digits, `-` and `_` that nobody can guess",
        ))
    }
}

fn option<T: FromStr<Err = ParseOptionError>>(name: &str, value: &str) -> Result<T, Problem> {
    value
        .parse()
        .map_err(|error| Problem::bad_request(format!("the parameter `{name}`: {error}")))
}

fn position(value: &str) -> Result<Position, Problem> {
    value
        .parse()
        .map_err(|_| Problem::bad_request("the parameter `from` takes an event id"))
}

fn count(value: &str) -> Result<usize, Problem> {
    value
        .parse()
        .map_err(|_| Problem::bad_request("the parameter `limit` takes a number"))
}

fn choice(name: &str, choices: &str) -> Problem {
    let detail: Cow<'static, str> = format!("the parameter `{name}` takes {choices}").into();
    Problem::bad_request(detail)
}

/// How many a page has, unless the client says.
const PAGE: usize = 100;
/// 128 bits take 22 characters.
const MIN_KEY: usize = 22;
const MAX_KEY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn query(uri: &str, header: Option<&str>) -> Result<Query, Problem> {
        let mut request = http::Request::get(uri);
        if let Some(id) = header {
            request = request.header("last-event-id", id);
        }
        Query::parse(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_header_wins_over_the_query() {
        let both = query("/events?last_event_id=x", Some("y")).unwrap();
        assert_eq!(both.last_event_id.as_deref(), Some("y"));
        let first = query("/events?channel=a+b&last_event_id=x", None).unwrap();
        assert_eq!(first.last_event_id.as_deref(), Some("x"));
        assert_eq!(first.channels[0].as_str(), "a b");
        assert!(
            query("/events?last_event_id=", None)
                .unwrap()
                .last_event_id
                .is_none()
        );
        assert!(query("/events?format=xml", None).is_err());
        assert!(query("/events?channel=%0d%0a", None).is_err());
    }
}
