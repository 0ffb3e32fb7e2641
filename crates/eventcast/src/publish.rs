//! Publishing by POST.

use bytes::{Buf, Bytes};
use eventcast_core::{ChannelName, Event, EventName, Payload};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;

use crate::access::{Denied, Permissions};
use crate::body::ResponseBody;
use crate::problem::Problem;
use crate::service::{Shared, json_response};
use crate::target::Query;

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
    let read = read(parts, body, shared.config.max_message);
    let bytes = tokio::time::timeout(shared.config.body_timeout, read)
        .await
        .map_err(|_| {
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive in time",
            )
        })??;
    let mut event = Event::new(payload(parts, bytes)?);
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

async fn read<B>(parts: &Parts, body: B, limit: usize) -> Result<Bytes, Problem>
where
    B: Body<Data: Buf + Send> + Send,
{
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {limit} bytes"),
        )
    };
    let announced = parts.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let body = body.map_err(|_| Cut);
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Problem::bad_request("the body did not arrive whole")),
    }
}

/// The body's own error, which is not for the client, who is gone.
#[derive(Debug, thiserror::Error)]
#[error("the body was cut")]
struct Cut;

/// The content type decides what the body is. Text is also what nobody named, and what `curl -d`
/// sends: a form, which is taken as it is.
fn payload(parts: &Parts, bytes: Bytes) -> Result<Payload, Problem> {
    let text = |bytes: &Bytes| {
        String::from_utf8(bytes.to_vec())
            .map_err(|_| Problem::bad_request("the body is not UTF-8, as its content type says"))
    };
    let content_type = parts.headers.get(CONTENT_TYPE);
    let essence = content_type.map_or("", |value| {
        let value = value.to_str().unwrap_or("application/octet-stream");
        value.split(';').next().unwrap_or("").trim()
    });
    let essence = essence.to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        Payload::json_text(text(&bytes)?).map_err(|error| Problem::bad_request(error.to_string()))
    } else if essence.starts_with("text/") || essence == "application/x-www-form-urlencoded" {
        Ok(Payload::text(text(&bytes)?))
    } else if essence.is_empty() {
        Ok(text(&bytes).map_or_else(|_| Payload::binary(bytes), Payload::text))
    } else {
        Ok(Payload::binary(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eventcast_core::PayloadKind;

    #[test]
    fn content_types() {
        let kind = |content_type: Option<&str>, body: &'static [u8]| {
            let mut request = http::Request::post("/");
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            payload(&parts, Bytes::from_static(body))
                .map(|p| p.kind())
                .ok()
        };
        let form = Some("application/x-www-form-urlencoded");
        assert_eq!(kind(form, b"a=%41"), Some(PayloadKind::Text));
        assert_eq!(kind(None, b"hi"), Some(PayloadKind::Text));
        assert_eq!(kind(None, b"\xff"), Some(PayloadKind::Binary));
        assert_eq!(kind(Some("image/png"), b"hi"), Some(PayloadKind::Binary));
        assert_eq!(kind(Some("text/html; charset=utf-8"), b"\xff"), None);
        assert_eq!(
            kind(Some("application/JSON"), b"[1]"),
            Some(PayloadKind::Json)
        );
        assert_eq!(kind(Some("application/x+json;v=1"), b"{"), None);
    }
}
