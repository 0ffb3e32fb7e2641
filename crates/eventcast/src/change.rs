//! Changing what a session carries, over another connection: `POST` and `DELETE /sessions/{key}`.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{
    ChangeError, ChannelSelector, Joined, SessionHandle, Start, SubscriptionOptions,
};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::access::{Denied, Permissions};
use crate::body::ResponseBody;
use crate::history::page_document;
use crate::problem::Problem;
use crate::query::Query;
use crate::service::{Shared, json_response};
use crate::sessions::Left;

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
    if query.slow.is_some() || !query.events.is_empty() {
        return Err(Problem::bad_request(
            "`event` and `slow` are the session's, from the URL that opened it",
        ));
    }
    let principal = permissions.principal();
    for _ in 0..ATTEMPTS {
        let place = shared.sessions.find(key, principal).ok_or_else(unknown)?;
        if adds && place.terms.one_channel {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "the stream is plain, which tells no channel from another: open it with format=json",
            ));
        }
        let answered = match place.connection {
            Some((connection, handle)) => {
                let answered = change_live(&handle, place.terms.options, adds, query).await?;
                answered.filter(|_| shared.sessions.holds_change(key, connection))
            }
            None => change_left(shared, key, adds, query)?,
        };
        // Otherwise it was left, or came back, just now.
        if let Some(response) = answered {
            return Ok(response);
        }
    }
    Err(not_read())
}

/// Changes a session through its connection; `None` when that is gone.
async fn change_live(
    handle: &SessionHandle,
    options: SubscriptionOptions,
    adds: bool,
    query: &Query,
) -> Result<Option<Response<ResponseBody>>, Problem> {
    let channels = query.channels.clone();
    let asked = async {
        if adds {
            let options = options.with_start(query.start);
            handle.subscribe(channels, options).await
        } else {
            handle.unsubscribe(channels).await
        }
    };
    let joined = tokio::time::timeout(READ_TIMEOUT, asked).await;
    match joined.map_err(|_| not_read())? {
        Ok(joined) => Ok(Some(answer(query, &joined, adds))),
        Err(ChangeError::Gone) => Ok(None),
        Err(ChangeError::Refused(error)) => Err(error.into()),
        Err(_) => Err(not_read()),
    }
}

/// Changes a session that has no connection now: what it carries when it comes back. `None` when it
/// has come back.
fn change_left(
    shared: &Shared,
    key: &str,
    adds: bool,
    query: &Query,
) -> Result<Option<Response<ResponseBody>>, Problem> {
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
    match shared.sessions.change_left(key, added, removed, limit) {
        Left::Changed(channels) => {
            let document = json!({ "channels": names(&channels) });
            Ok(Some(json_response(document.to_string())))
        }
        Left::Connected => Ok(None),
        Left::Refused(error) => Err(error.into()),
        Left::Unknown => Err(unknown()),
    }
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
/// A session may be left, and come back, while it is being changed.
const ATTEMPTS: usize = 3;
