//! What a client uploads: a request's body as a payload.

use bytes::{Buf, Bytes};
use eventcast_core::Payload;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::config::ServiceConfig;
use crate::limits::Limit;
use crate::problem::Problem;

/// Reads a body whole, within the service's bounds on its size and time.
pub(crate) async fn read_payload<B>(
    config: &ServiceConfig,
    parts: &Parts,
    body: B,
) -> Result<Payload, Problem>
where
    B: Body<Data: Buf + Send> + Send,
{
    let read = collect(parts, body, config.max_message);
    let bytes = tokio::time::timeout(config.body_timeout, read)
        .await
        .map_err(|_| {
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive in time",
            )
            .past(Limit::BodyTimeouts)
        })??;
    payload(parts, bytes)
}

async fn collect<B>(parts: &Parts, body: B, limit: usize) -> Result<Bytes, Problem>
where
    B: Body<Data: Buf + Send> + Send,
{
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {limit} bytes"),
        )
        .past(Limit::Bodies)
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
