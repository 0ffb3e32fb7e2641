//! Publishing by POST.

use bytes::Buf;
use eventcast_core::{ChannelName, Event, EventName};
use http::Response;
use http::request::Parts;
use http_body::Body;
use serde_json::json;

use crate::access::{Denied, Permissions};
use crate::body::ResponseBody;
use crate::problem::Problem;
use crate::query::Query;
use crate::service::{Shared, json_response};
use crate::upload::read_payload;

/// Publishes a request's body and answers with the event's id, once it is stored.
pub(crate) async fn publish<B>(
    shared: &Shared,
    permissions: &Permissions,
    channel: ChannelName,
    parts: &Parts,
    query: Query,
    body: B,
) -> Result<Response<ResponseBody>, Problem>
where
    B: Body<Data: Buf + Send> + Send,
{
    if !permissions.may_publish(&channel) {
        return Err(Denied::Forbidden.into());
    }
    let name = event_name(parts, query)?;
    let mut event = Event::new(read_payload(&shared.config, parts, body).await?);
    if let Some(name) = name {
        event = event.named(name)?;
    }
    if let Some(key) = parts.headers.get("idempotency-key") {
        event = event.with_idempotency_key(&*String::from_utf8_lossy(key.as_bytes()))?;
    }
    let id = shared.hub.publish(&channel, event).await?;
    let document = json!({ "id": id.text().as_str(), "channel": channel.as_str() });
    Ok(json_response(document.to_string()))
}

fn event_name(parts: &Parts, query: Query) -> Result<Option<EventName>, Problem> {
    let header = match parts.headers.get("event-type") {
        Some(name) => Some(
            std::str::from_utf8(name.as_bytes())
                .map_err(|_| Problem::bad_request("the event's name is not UTF-8"))?,
        ),
        None => None,
    };
    match header
        .map(str::to_owned)
        .or_else(|| query.events.into_iter().next())
    {
        Some(name) => Ok(Some(EventName::new(&name)?)),
        None => Ok(None),
    }
}
