//! What a request asks for: its path and query.

use std::borrow::Cow;
use std::str::FromStr;

use eventcast_core::{
    ChannelName, ChannelSelector, EventName, HistoryQuery, ParseOptionError, Position, SlowPolicy,
    Start,
};
use http::Method;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// The resources of an event service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Channel(ChannelName),
    Events,
    History(ChannelName),
    Health,
    Request(String),
}

impl Target {
    /// Whether a path is that of a request, valid or not.
    pub(crate) fn is_request(path: &str) -> bool {
        path.starts_with(REQUESTS)
    }

    /// The resource at a path; `None` for paths that are not the service's.
    pub(crate) fn find(method: &Method, path: &str) -> Option<Result<Self, Problem>> {
        match path {
            "/events" => Some(Ok(Self::Events)),
            "/healthz" => Some(Ok(Self::Health)),
            _ => {
                if let Some(name) = path.strip_prefix(REQUESTS) {
                    return Some(request_name(name).map(Self::Request));
                }
                let name = path.strip_prefix("/channels/")?;
                // A name's own slashes may come as they are, and it may even end like this.
                match name.strip_suffix("/history") {
                    Some(name) if method != Method::POST => Some(channel(name).map(Self::History)),
                    _ => Some(channel(name).map(Self::Channel)),
                }
            }
        }
    }
}

fn channel(encoded: &str) -> Result<ChannelName, Problem> {
    Ok(ChannelName::new(&decoded(encoded)?)?)
}

fn request_name(encoded: &str) -> Result<String, Problem> {
    let name = decoded(encoded)?;
    // The same rules, so that names of the hub's own stay free.
    EventName::new(&name)?;
    Ok(name.into_owned())
}

fn decoded(encoded: &str) -> Result<Cow<'_, str>, Problem> {
    percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| Problem::bad_request("the name in the path is not UTF-8"))
}

/// The query of a subscription or publish. Parameters that are not known are left alone.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) channels: Vec<ChannelSelector>,
    pub(crate) last_event_id: Option<String>,
    pub(crate) format: Option<Format>,
    pub(crate) start: Start,
    pub(crate) slow: SlowPolicy,
    /// A publish's event name; the names that a subscription lets through.
    pub(crate) events: Vec<String>,
    pub(crate) history: HistoryQuery,
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
            slow: SlowPolicy::default(),
            events: Vec::new(),
            history: HistoryQuery::oldest_first(),
        };
        let (mut order, mut from, mut limit) = (None, None, PAGE);
        let text = request.uri.query().unwrap_or("");
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "channel" => query.channels.push(text_of(&value)?.parse()?),
                "last_event_id" => query.last_event_id = Some(value.into_owned()),
                "format" => query.format = Some(format(&value)?),
                "start" => query.start = option("start", &value)?,
                "slow" => query.slow = option("slow", &value)?,
                "event" => query.events.push(text_of(&value)?.to_owned()),
                "order" => order = Some(value.into_owned()),
                "from" => from = Some(position(&value)?),
                "limit" => limit = count(&value)?,
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
        query.history = query.history.with_limit(limit);
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

const REQUESTS: &str = "/requests/";
/// How many events a page of history has, unless the client says.
const PAGE: usize = 100;

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
    fn paths() {
        let name = |path| match Target::find(&Method::POST, path) {
            Some(Ok(Target::Channel(name))) => name.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(name("/channels/a%2Fb"), "a/b");
        assert_eq!(name("/channels/a/b"), "a/b");
        assert_eq!(name("/channels/%C3%A9"), "é");
        assert_eq!(name("/channels/a/history"), "a/history");
        let history = Target::find(&Method::GET, "/channels/a/history");
        assert!(matches!(history, Some(Ok(Target::History(name))) if name.as_str() == "a"));
        assert!(Target::find(&Method::GET, "/channels/").unwrap().is_err());
        assert!(
            Target::find(&Method::GET, "/channels/%0A")
                .unwrap()
                .is_err()
        );
        assert!(
            Target::find(&Method::GET, "/channels/%ff")
                .unwrap()
                .is_err()
        );
        assert!(Target::find(&Method::GET, "/channel").is_none());
        let request = Target::find(&Method::POST, "/requests/a%20b/c").unwrap();
        assert!(matches!(request, Ok(Target::Request(name)) if name == "a b/c"));
        for bad in ["", "%ff", "%0A", "eventcast.x"] {
            let path = format!("/requests/{bad}");
            assert!(Target::find(&Method::POST, &path).unwrap().is_err());
        }
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
