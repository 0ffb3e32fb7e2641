//! Changing what a session carries, over another connection: `POST` and `DELETE /sessions/{key}`.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{
    ChangeError, ChannelSelector, End, Joined, Position, Start, SubscriptionOptions,
};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::access::{Denied, Grant};
use crate::attendance::may_watch;
use crate::body::ResponseBody;
use crate::history::page_document;
use crate::problem::Problem;
use crate::query::Query;
use crate::refresh::narrow;
use crate::service::{Shared, json_response};
use crate::sessions::{Connected, Left};
use crate::spread::around;

/// Adds the channels of the query to a session, or removes them, and answers with what it carries
/// now.
pub(crate) async fn change(
    shared: &Arc<Shared>,
    grant: &Grant,
    key: &str,
    method: &Method,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    let changed = make_change(shared, grant, key, method, query).await?;
    if method == Method::POST && shared.registry.was_revoked(grant) {
        // The session may have got what was taken from it a moment before.
        take_back(shared, grant, key, query).await;
        return Err(Denied::Unauthorized.into());
    }
    Ok(changed)
}

async fn take_back(shared: &Shared, grant: &Grant, key: &str, query: &Query) {
    let principal = grant.permissions.principal();
    let Some(place) = shared.sessions.find(key, principal) else {
        return;
    };
    for connection in place.connections {
        let channels = query.channels.clone();
        narrow(connection.handle, move |own| !channels.contains(own)).await;
    }
    // Where there was none, the channels come back with the key only if they are allowed then.
}

async fn make_change(
    shared: &Arc<Shared>,
    grant: &Grant,
    key: &str,
    method: &Method,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    let permissions = &grant.permissions;
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
    let mut answers = Answers::new();
    for _ in 0..ATTEMPTS {
        let place = shared
            .sessions
            .find(key, principal)
            .ok_or_else(Problem::unknown_session)?;
        if adds && place.terms.one_channel {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "the stream is plain, which tells no channel from another: open it with format=json",
            ));
        }
        let watches = place.terms.watches && may_watch(permissions, &query.channels);
        let options = place.terms.options.with_start(query.start);
        let options = options.with_presence(watches);
        let change = Change {
            adds,
            channels: &query.channels,
            options: &options,
        };
        let Some((newest, older)) = place.connections.split_last() else {
            match change_left(shared, key, adds, query)? {
                Some(response) => return Ok(response),
                // It came back just now.
                None => continue,
            }
        };
        if !change.make(newest, READ_TIMEOUT, &mut answers).await? {
            continue;
        }
        change.make_in_all(older, shared, key, &mut answers).await;
        // It may have gone on over yet another one meanwhile, which knows nothing of this.
        if shared.sessions.holds_change(key, newest.number) {
            return Ok(answer(query, latest(&answers), adds));
        }
    }
    Err(not_read())
}

/// What connections answered to the same change.
type Answers = Vec<(u64, Joined)>;

struct Change<'a> {
    adds: bool,
    channels: &'a [ChannelSelector],
    options: &'a SubscriptionOptions,
}

impl Change<'_> {
    /// Changes the session of one connection, unless it has answered before; `false` when it is
    /// gone.
    async fn make(
        &self,
        connection: &Connected,
        patience: Duration,
        answers: &mut Answers,
    ) -> Result<bool, Problem> {
        if answers.iter().any(|(other, _)| *other == connection.number) {
            return Ok(true);
        }
        let channels = self.channels.to_vec();
        let handle = &connection.handle;
        let asked = async {
            if self.adds {
                handle.subscribe(channels, self.options.clone()).await
            } else {
                handle.unsubscribe(channels).await
            }
        };
        let joined = tokio::time::timeout(patience, asked).await;
        match joined.map_err(|_| not_read())? {
            Ok(joined) => {
                answers.push((connection.number, joined));
                Ok(true)
            }
            Err(ChangeError::Gone) => Ok(false),
            Err(ChangeError::Refused(error)) => Err(error.into()),
            Err(_) => Err(not_read()),
        }
    }

    /// The same for the older connections of a key. Requests overtake each other: the client may
    /// read one of these, and the newest be the one that it has left. One that does not follow is
    /// told to come back.
    async fn make_in_all(
        &self,
        older: &[Connected],
        shared: &Shared,
        key: &str,
        answers: &mut Answers,
    ) {
        for connection in older {
            let made = self.make(connection, OLDER_TIMEOUT, answers).await;
            if !matches!(made, Ok(true)) {
                let retry = Some(around(shared.config.retry));
                connection.handle.end(End::Draining { retry });
                shared.sessions.let_go(key, connection.number);
            }
        }
    }
}

/// The answer that covers all others: what any connection brings follows it.
fn latest(answers: &Answers) -> &Joined {
    let joined = answers.iter().map(|(_, joined)| joined);
    let latest = joined.max_by_key(|joined| joined.position.map(Position::sequence));
    latest.expect("the newest connection has answered")
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
        Left::Unknown => Err(Problem::unknown_session()),
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

fn not_read() -> Problem {
    Problem::unavailable_because(
        "the session's client does not read, or the log does not answer: ask again later",
        READ_TIMEOUT.as_secs(),
    )
}

/// How long a change waits for the session to be read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long for a connection that a newer one has taken over from.
const OLDER_TIMEOUT: Duration = Duration::from_secs(1);
/// A session may be left, and come back, while it is being changed.
const ATTEMPTS: usize = 3;
