//! Subscribing: an event stream or a WebSocket, from one URL.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{ChannelSelector, End, Session, SubscriptionOptions};
use eventcast_sse::{SseConfig, SseFormat};
use eventcast_ws::{Mode, UpgradeError, WsConfig};
use http::header::{ACCEPT, HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};

use crate::access::{Denied, Permissions};
use crate::body::ResponseBody;
use crate::client::Client;
use crate::problem::Problem;
use crate::registry::Transport;
use crate::service::Shared;
use crate::target::{Format, Query};

/// Opens a session and answers with its transport.
pub(crate) fn subscribe(
    shared: &Arc<Shared>,
    permissions: Permissions,
    parts: Parts,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    if !query.channels.iter().all(|c| permissions.may_select(c)) {
        return Err(Denied::Forbidden.into());
    }
    let request = Request::from_parts(parts, ());
    if eventcast_ws::is_upgrade(&request) {
        return websocket(shared, permissions, request, query);
    }
    if query.channels.is_empty() {
        return Err(Problem::bad_request(
            "name at least one channel: /events?channel=NAME",
        ));
    }
    if !accepts_event_stream(request.headers()) {
        return Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "this resource is a text/event-stream or, with an upgrade, a WebSocket",
        ));
    }
    if request.method() == Method::HEAD {
        let response = eventcast_sse::head_response();
        return Ok(response.map(|_| ResponseBody::full("")));
    }
    event_stream(shared, query)
}

fn event_stream(shared: &Arc<Shared>, query: &Query) -> Result<Response<ResponseBody>, Problem> {
    let session = open(shared, query)?;
    if session.is_finished() {
        // The one answer after which an EventSource does not come back.
        let mut response = Response::new(ResponseBody::full(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let registered = match shared.registry.register(Transport::Sse, &session) {
        Ok(registered) => Some(registered),
        // An EventSource gives up on a 503. A stream that ends at once tells it to come back.
        Err(end @ End::Draining { .. }) => {
            session.handle().end(end);
            None
        }
        Err(_) => return Err(shared.unavailable()),
    };
    // One channel's payloads speak for themselves; of several each event has to name its own.
    let format = match query.format {
        Some(Format::Json) => SseFormat::Json,
        Some(Format::Plain) => SseFormat::Plain,
        None if is_one_channel(&session.channels()) => SseFormat::Plain,
        None => SseFormat::Json,
    };
    let config = SseConfig::new()
        .with_heartbeat(shared.config.heartbeat)
        .with_retry(shared.config.retry)
        .with_format(format);
    let response = eventcast_sse::response(session, config, shared.timer.clone());
    Ok(response.map(|body| ResponseBody::sse(body, registered)))
}

fn is_one_channel(channels: &[ChannelSelector]) -> bool {
    matches!(channels, [ChannelSelector::Channel(_)])
}

fn websocket(
    shared: &Arc<Shared>,
    permissions: Permissions,
    mut request: Request<()>,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    let (response, mut upgrade) = eventcast_ws::upgrade(&mut request).map_err(handshake_problem)?;
    let agreed = response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL);
    if !agreed && query.format == Some(Format::Plain) {
        upgrade = upgrade.with_mode(Mode::Plain);
    }
    if upgrade.mode() == Mode::Plain && query.channels.is_empty() {
        return Err(Problem::bad_request(
            "plain mode cannot subscribe later: name at least one channel",
        ));
    }
    let session = open(shared, query)?;
    let registered = shared
        .registry
        .register(Transport::WebSocket, &session)
        .map_err(|_| shared.unavailable())?;
    let config = WsConfig::new()
        .with_heartbeat(shared.config.heartbeat)
        .with_dead_after(shared.config.heartbeat.saturating_mul(5) / 2)
        .with_write_timeout(shared.config.write_timeout)
        .with_retry(spread(shared.config.retry))
        .with_max_message(shared.config.max_message);
    let client = Arc::new(Client::new(shared, permissions, request));
    let connection = upgrade.serve(session, client, shared.timer.clone(), config);
    tokio::spawn(async move {
        connection.await;
        drop(registered);
    });
    Ok(response.map(|()| ResponseBody::full("")))
}

fn open(shared: &Arc<Shared>, query: &Query) -> Result<Session, Problem> {
    let mut options = SubscriptionOptions::new()
        .with_start(query.start)
        .with_slow(query.slow);
    if !query.events.is_empty() {
        options = options.with_names(query.events.iter().cloned());
    }
    let mut builder = shared.hub.session().options(options);
    for channel in &query.channels {
        builder = builder.channel(channel);
    }
    if let Some(id) = &query.last_event_id {
        builder = builder.resume(id);
    }
    Ok(builder.open()?)
}

/// Between half and one and a half times as long, so that clients do not come back all at once.
fn spread(retry: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1_001;
    retry.saturating_mul(500 + random as u32) / 1_000
}

fn handshake_problem(error: UpgradeError) -> Problem {
    Problem::new(error.status(), error.to_string()).with_headers(error.response().headers())
}

/// Whether the client takes an event stream: it does unless it names only other types.
fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let mut ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .peekable();
    let is_refused = |parameters: &str| {
        let quality = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        quality.is_some_and(|quality| quality.parse() == Ok(0.0))
    };
    ranges.peek().is_none()
        || ranges.any(|range| {
            let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
            let kind = kind.trim().to_ascii_lowercase();
            matches!(kind.as_str(), "text/event-stream" | "text/*" | "*/*")
                && !is_refused(parameters)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn accept() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(value));
            accepts_event_stream(&headers)
        };
        assert!(accepts_event_stream(&HeaderMap::new()));
        assert!(accepts("text/event-stream"));
        assert!(accepts("application/json, Text/*;q=0.5"));
        assert!(accepts("*/*"));
        assert!(!accepts("application/json"));
        assert!(!accepts("text/event-stream;q=0, application/json"));
    }
}
