//! Who is on a channel, and what they say of themselves, over HTTP.

use bytes::Buf;
use eventcast_core::{
    ChannelName, ChannelSelector, MemberId, Payload, PayloadKind, PresenceError, PresenceQuery,
    Present,
};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use serde_json::json;

use crate::access::{Action, Denied, Grant, Permissions};
use crate::body::ResponseBody;
use crate::problem::Problem;
use crate::query::Query;
use crate::service::{Shared, json_response};
use crate::upload::read_payload;

/// Answers with a page of a channel's members, or, for `count`, only with how many there are.
pub(crate) fn presence(
    shared: &Shared,
    permissions: &Permissions,
    channel: &ChannelName,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    if !permissions.may(Action::Presence, channel) {
        return Err(Denied::Forbidden.into());
    }
    let presence = shared.hub.presence();
    if query.count {
        let counts = presence.occupancy(channel)?;
        let document = json!({
            "channel": channel.as_str(),
            "members": counts.members,
            "connections": counts.connections,
        });
        return Ok(json_response(document.to_string()));
    }
    let mut members = PresenceQuery::new().with_limit(query.limit);
    if let Some(after) = &query.after {
        members = members.after(MemberId::new(after)?);
    }
    let page = presence.members(channel, members)?;
    let list: Vec<String> = page.members.iter().map(member).collect();
    let next = page
        .next
        .as_ref()
        .map(|next| format!(",\"next\":{}", json!(next.as_str())));
    // Put together by hand: states stay as they were given, to the byte.
    Ok(json_response(format!(
        "{{\"channel\":{},\"node\":\"{}\",\"revision\":{},\"members\":{},\"connections\":{},\"list\":[{}]{}}}",
        json!(channel.as_str()),
        page.node,
        page.revision,
        page.occupancy.members,
        page.occupancy.connections,
        list.join(","),
        next.unwrap_or_default(),
    )))
}

fn member(member: &Present) -> String {
    let state = match &member.state {
        Some(state) if state.kind() == PayloadKind::Json => {
            format!(",\"state\":{}", state.as_str().unwrap_or("null"))
        }
        Some(state) => format!(",\"state\":{}", json!(state.as_str())),
        None => String::new(),
    };
    format!(
        "{{\"member\":{}{state},\"connections\":{},\"since\":{}}}",
        json!(member.id.as_str()),
        member.connections,
        member.since.as_millis(),
    )
}

/// Sets the state of a live session's member on a channel to the body; an empty one takes it away.
pub(crate) async fn update<B>(
    shared: &Shared,
    grant: &Grant,
    key: &str,
    query: &Query,
    parts: &Parts,
    body: B,
) -> Result<Response<ResponseBody>, Problem>
where
    B: Body<Data: Buf + Send> + Send,
{
    let [ChannelSelector::Channel(channel)] = &query.channels[..] else {
        return Err(Problem::bad_request(
            "name one channel: /sessions/KEY/presence?channel=NAME",
        ));
    };
    if !grant.permissions.may(Action::Presence, channel) {
        return Err(Denied::Forbidden.into());
    }
    let principal = grant.permissions.principal();
    if shared.sessions.find(key, principal).is_none() {
        return Err(Problem::unknown_session());
    }
    let state = read_payload(&shared.config, parts, body).await?;
    let state: Option<Payload> = Some(state).filter(|state| !state.is_empty());
    let place = shared.sessions.find(key, principal);
    let place = place.ok_or_else(Problem::unknown_session)?;
    let updated = place.connections.iter().rev().find_map(|connection| {
        let attendance = connection.attendance.as_ref()?;
        attendance.update(channel, state.clone())
    });
    updated.ok_or_else(not_entered)??;
    Ok(json_response("{}".to_owned()))
}

fn not_entered() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "the session has not entered this channel, or has no connection now",
    )
}

impl From<PresenceError> for Problem {
    fn from(error: PresenceError) -> Self {
        eventcast_ws::Refusal::from(error).into()
    }
}
