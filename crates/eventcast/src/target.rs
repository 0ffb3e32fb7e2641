//! What a request is for: its path.

use std::borrow::Cow;

use eventcast_core::{ChannelName, EventName};
use http::Method;
use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// The resources of an event service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Channel(ChannelName),
    Events,
    History(ChannelName),
    Presence(ChannelName),
    /// The state of a session's member.
    State(String),
    Health,
    Metrics,
    Refresh(String),
    Request(String),
    Session(String),
    Stats,
    /// A page of the hub's channels.
    StatsOfChannels,
    /// A page of the open sessions.
    StatsOfSessions,
    Tickets,
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
            "/metrics" => Some(Ok(Self::Metrics)),
            "/stats" => Some(Ok(Self::Stats)),
            "/stats/channels" => Some(Ok(Self::StatsOfChannels)),
            "/stats/sessions" => Some(Ok(Self::StatsOfSessions)),
            "/tickets" => Some(Ok(Self::Tickets)),
            _ => {
                if let Some(name) = path.strip_prefix(REQUESTS) {
                    return Some(request_name(name).map(Self::Request));
                }
                if let Some(key) = path.strip_prefix(SESSIONS) {
                    return Some(Ok(match key.split_once('/') {
                        Some((key, "refresh")) => Self::Refresh(key.to_owned()),
                        Some((key, "presence")) => Self::State(key.to_owned()),
                        _ => Self::Session(key.to_owned()),
                    }));
                }
                let name = path.strip_prefix("/channels/")?;
                // A name's own slashes may come as they are, and it may even end like this.
                let is_post = method == Method::POST;
                Some(match name.rsplit_once('/').filter(|_| !is_post) {
                    Some((name, "history")) => channel(name).map(Self::History),
                    Some((name, "presence")) => channel(name).map(Self::Presence),
                    _ => channel(name).map(Self::Channel),
                })
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

const REQUESTS: &str = "/requests/";
const SESSIONS: &str = "/sessions/";

#[cfg(test)]
mod tests {
    use super::*;

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
}
