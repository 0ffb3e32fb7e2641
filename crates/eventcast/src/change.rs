//! Changing what a session carries, over another connection: `POST` and `DELETE /sessions/{key}`.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{ChangeError, ChannelSelector, Joined, Start};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::access::{Denied, Permissions};
use crate::body::ResponseBody;
use crate::history::page_document;
use crate::problem::Problem;
use crate::query::Query;
use crate::service::{Shared, json_response};
use crate::sessions::Place;
use crate::subscribe::options;

/// Adds the channels of the query to a session, or removes them, and answers with what it carries
/// now.
pub(crate) async fn change(
    shared: &Arc<Shared>,
    permissions: &Permissions,
    key: &str,
    method: &Method,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    if query.channels.is_empty() {
        return Err(Problem::bad_request(
            "name at least one channel: /sessions/KEY?channel=NAME",
        ));
    }
    let adds = method == Method::POST;
    if adds && !query.channels.iter().all(|c| permissions.may_select(c)) {
        return Err(Denied::Forbidden.into());
    }
    match shared.sessions.find(key) {
        Some(Place::OneChannel(_)) if adds => Err(Problem::new(
            StatusCode::CONFLICT,
            "the stream is plain, which tells no channel from another: open it with format=json",
        )),
        Some(Place::Live(handle) | Place::OneChannel(handle)) => {
            let asked = async {
                if adds {
                    handle
                        .subscribe(query.channels.clone(), options(query))
                        .await
                } else {
                    handle.unsubscribe(query.channels.clone()).await
                }
            };
            let joined = tokio::time::timeout(READ_TIMEOUT, asked).await;
            let joined = joined.map_err(|_| not_read())?;
            match joined {
                Ok(joined) => {
                    let removed = if adds { &[][..] } else { &query.channels };
                    shared.sessions.changed(key, &joined.channels, removed);
                    Ok(answer(query, &joined, adds))
                }
                // It was left just now.
                Err(ChangeError::Gone) => change_left(shared, key, adds, query),
                Err(ChangeError::Refused(error)) => Err(error.into()),
                Err(_) => Err(not_read()),
            }
        }
        Some(Place::Left) => change_left(shared, key, adds, query),
        None => Err(unknown()),
    }
}

/// Changes a session that has no connection now: what it carries when it comes back.
fn change_left(
    shared: &Shared,
    key: &str,
    adds: bool,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    if adds && query.start != Start::Live {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "the session is between two connections, where nothing has a start: come back first",
        ));
    }
    let limit = shared.hub.max_session_channels();
    let (added, removed) = if adds {
        (&query.channels[..], &[][..])
    } else {
        (&[][..], &query.channels[..])
    };
    let channels = shared
        .sessions
        .change_left(key, added, removed, limit)
        .ok_or_else(unknown)??;
    let channels = names(&channels);
    Ok(json_response(json!({ "channels": channels }).to_string()))
}

fn answer(query: &Query, joined: &Joined, adds: bool) -> Response<ResponseBody> {
    let mut document = format!("{{\"channels\":{}", names(&joined.channels));
    if let Some(position) = joined.position {
        document += &format!(",\"id\":\"{position}\"");
    }
    if adds && query.start != Start::Live {
        let pages = query.channels.iter().zip(&joined.history);
        let pages: Vec<_> = pages
            .map(|(channel, page)| page_document(channel.as_str(), page, ""))
            .collect();
        document += &format!(",\"history\":[{}]", pages.join(","));
    }
    document.push('}');
    json_response(document)
}

fn names(channels: &[ChannelSelector]) -> Value {
    channels.iter().map(ChannelSelector::as_str).collect()
}

fn unknown() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is no session of this key: it was left too long ago, or never was",
    )
}

fn not_read() -> Problem {
    Problem::unavailable_because(
        "the session's client does not read: ask again when it does",
        READ_TIMEOUT.as_secs(),
    )
}

/// How long a change waits for the session to be read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
