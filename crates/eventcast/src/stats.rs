//! The service's figures for an administrator: `GET /stats`, and `GET /metrics` if it is set up.

use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::json;

use crate::access::{Action, Denied, Permissions};
use crate::body::ResponseBody;
use crate::problem::Problem;
use crate::registry::Transport;
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
        "refusals": {
            "connections": refused.connections,
            "messages": refused.messages,
            "opened": refused.opened,
            "sessions": refused.sessions,
            "tickets": refused.tickets,
            "writes": refused.writes,
        },
        "draining": shared.registry.ended().is_some(),
    });
    Ok(json_response(document.to_string()))
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
