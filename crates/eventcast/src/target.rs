//! What a request asks for: its path and query.

use std::borrow::Cow;

use eventcast_core::{ChannelName, Start};
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// The resources of an event service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Channel(ChannelName),
    Events,
    Health,
}

impl Target {
    /// The resource at a path; `None` for paths that are not the service's.
    pub(crate) fn find(path: &str) -> Option<Result<Self, Problem>> {
        match path {
            "/events" => Some(Ok(Self::Events)),
            "/healthz" => Some(Ok(Self::Health)),
            _ => {
                let name = path.strip_prefix("/channels/")?;
                // A name's own slashes may come as they are.
                Some(channel(name))
            }
        }
    }
}

fn channel(encoded: &str) -> Result<Target, Problem> {
    let name = percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| Problem::bad_request("the channel's name is not UTF-8"))?;
    Ok(Target::Channel(ChannelName::new(&name)?))
}

/// The query of a subscription or publish. Parameters that are not known are left alone.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) channels: Vec<ChannelName>,
    pub(crate) last_event_id: Option<String>,
    pub(crate) format: Option<Format>,
    pub(crate) start: Start,
    pub(crate) event: Option<String>,
}

/// How events are written, where the client may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Plain,
}

impl Query {
    pub(crate) fn parse(request: &Parts) -> Result<Self, Problem> {
        let mut query = Self::default();
        let text = request.uri.query().unwrap_or("");
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "channel" => query.channels.push(ChannelName::new(text_of(&value)?)?),
                "last_event_id" => query.last_event_id = Some(value.into_owned()),
                "format" => query.format = Some(format(&value)?),
                "start" => query.start = start(&value)?,
                "event" => query.event = Some(text_of(&value)?.to_owned()),
                _ => {}
            }
        }
        // The header is what a reconnecting client has seen, the query what its page knew at first.
        if let Some(id) = request.headers.get("last-event-id") {
            query.last_event_id = Some(String::from_utf8_lossy(id.as_bytes()).into_owned());
        }
        query.last_event_id = query.last_event_id.filter(|id| !id.is_empty());
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

fn start(value: &str) -> Result<Start, Problem> {
    match value {
        "earliest" => Ok(Start::Earliest),
        "live" => Ok(Start::Live),
        _ => Err(choice("start", "`live` or `earliest`")),
    }
}

fn choice(name: &str, choices: &str) -> Problem {
    let detail: Cow<'static, str> = format!("the parameter `{name}` takes {choices}").into();
    Problem::bad_request(detail)
}

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
        let name = |path| match Target::find(path) {
            Some(Ok(Target::Channel(name))) => name.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(name("/channels/a%2Fb"), "a/b");
        assert_eq!(name("/channels/a/b"), "a/b");
        assert_eq!(name("/channels/%C3%A9"), "é");
        assert!(Target::find("/channels/").unwrap().is_err());
        assert!(Target::find("/channels/%0A").unwrap().is_err());
        assert!(Target::find("/channels/%ff").unwrap().is_err());
        assert!(Target::find("/channel").is_none());
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
