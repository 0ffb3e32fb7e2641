//! The service's figures for an administrator: `GET /stats` with its pages, and `GET /metrics` if it
//! is set up.

use std::collections::BTreeMap;

use eventcast_core::{ChannelName, ChannelStats, Outcome, Position};
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use crate::access::{Action, Denied, Permissions};
use crate::body::ResponseBody;
use crate::problem::Problem;
use crate::query::Query;
use crate::registry::{Listed, Transport};
use crate::service::{Shared, json_response};

/// Renders the metrics as text.
pub(crate) type MetricsPage = dyn Fn() -> String + Send + Sync;

pub(crate) fn stats(
    shared: &Shared,
    permissions: &Permissions,
) -> Result<Response<ResponseBody>, Problem> {
    check(permissions)?;
    let (hub, refused) = (shared.hub.stats(), shared.gate.refusals());
    let open = |transport| shared.registry.count(transport);
    let document = json!({
        "position": shared.hub.position().to_string(),
        "published": hub.published,
        "channels": { "count": hub.channels, "limit": hub.max_channels },
        "retained": {
            "events": hub.retained_events,
            "bytes": hub.retained_bytes,
            "bytes_limit": hub.max_bytes,
        },
        "sessions": {
            "poll": open(Transport::Poll),
            "sse": open(Transport::Sse),
            "stream": open(Transport::Stream),
            "websocket": open(Transport::WebSocket),
            "limit": shared.config.limits.sessions,
        },
        "refusals": refused.iter().collect::<BTreeMap<_, _>>(),
        "log": shared.hub.health().as_str(),
        "draining": shared.registry.ended().is_some(),
    });
    Ok(json_response(document.to_string()))
}

/// A page of the hub's channels, by their names.
pub(crate) fn channels(
    shared: &Shared,
    permissions: &Permissions,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    check(permissions)?;
    let after = query.after.as_deref().map(ChannelName::new).transpose()?;
    let limit = query.limit.clamp(1, MAX_PAGE);
    // One more tells whether there is another page.
    let mut page = shared.hub.channels(after.as_ref(), limit + 1);
    let is_last = page.len() <= limit;
    page.truncate(limit);
    let next = page.last().filter(|_| !is_last);
    let mut document = json!({
        "position": shared.hub.position().to_string(),
        "channels": page.iter().map(channel).collect::<Vec<_>>(),
    });
    if let Some(next) = next {
        document["next"] = json!(next.name.as_str());
    }
    Ok(json_response(document.to_string()))
}

fn channel(channel: &ChannelStats) -> Value {
    let id = |position: Option<Position>| position.map(|position| position.to_string());
    let mut document = json!({
        "channel": channel.name.as_str(),
        "subscribers": channel.subscribers,
        "events": channel.events,
        "bytes": channel.bytes,
    });
    let completed = channel.completed.as_ref().map(|outcome| match outcome {
        Outcome::Complete => "complete",
        Outcome::Failed(_) => "failed",
    });
    let known = [
        ("first", id(channel.first)),
        ("last", id(channel.last)),
        ("completed", completed.map(str::to_owned)),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            document[name] = value.into();
        }
    }
    document
}

/// A page of the open sessions, by their places.
pub(crate) fn sessions(
    shared: &Shared,
    permissions: &Permissions,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    check(permissions)?;
    let after = query.after.as_deref().map(str::parse).transpose();
    let after = after.map_err(|_| {
        Problem::bad_request("the parameter `after` takes the `next` of the page before")
    })?;
    let page = shared.registry.page(after, query.limit.clamp(1, MAX_PAGE));
    let position = shared.hub.position();
    let list = page.sessions.iter().map(|listed| session(listed, position));
    let mut document = json!({
        "position": position.to_string(),
        "sessions": list.collect::<Vec<_>>(),
    });
    if let Some(next) = page.next {
        document["next"] = json!(next.to_string());
    }
    Ok(json_response(document.to_string()))
}

/// Nothing of it lets anybody act for the session: its key is not here.
fn session(listed: &Listed, position: Position) -> Value {
    let progress = listed.handle.progress();
    let lag = match progress.is_behind {
        true => position.sequence().saturating_sub(progress.sequence),
        false => 0,
    };
    let mut document = json!({
        "number": listed.number,
        "transport": listed.transport.as_str(),
        "age": listed.age.as_secs(),
        "lag": lag,
        "channels": progress.channels,
    });
    if let Some(principal) = &listed.principal {
        document["principal"] = json!(&**principal);
    }
    document
}

pub(crate) fn metrics(
    shared: &Shared,
    permissions: &Permissions,
) -> Result<Response<ResponseBody>, Problem> {
    check(permissions)?;
    shared.refresh_figures();
    let page = shared.config.metrics_page.as_ref();
    let mut response = Response::new(ResponseBody::full(page.map_or_else(String::new, |p| p())));
    let headers = response.headers_mut();
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    headers.insert(CONTENT_TYPE, text);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn check(permissions: &Permissions) -> Result<(), Problem> {
    if permissions.may_everywhere(Action::Administer) {
        Ok(())
    } else {
        Err(Denied::Forbidden.into())
    }
}

/// How many a page has at most.
const MAX_PAGE: usize = 1_000;
