//! Publishing and asking, by requests of their own.

use bytes::Bytes;
use eventcast_core::{ChannelName, Event, EventName, Payload, PayloadKind, Position};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;

use super::Handle;
use crate::backoff::{Hint, random};
use crate::error::RequestError;
use crate::exchange::{Refused, Unread, is_of_type, read, send};

type Header<'a> = (HeaderName, &'a str);

impl Handle {
    /// Publishes an event and returns its id once it is stored. What fails for a while, or is not
    /// answered, is tried again
    /// ([`with_request_attempts`](crate::ClientBuilder::with_request_attempts)): the event's
    /// idempotency key, or one made for it, keeps it from being stored twice.
    ///
    /// # Errors
    /// [`RequestError`]. Only after [`NoAnswer`](RequestError::NoAnswer) it may be stored all the
    /// same; with an idempotency key of one's own publishing it again is safe even then.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the event may be stored or not.
    pub async fn publish(
        &self,
        channel: &ChannelName,
        event: &Event,
    ) -> Result<Position, RequestError> {
        let key = match event.idempotency_key() {
            Some(key) => key.as_str().to_owned(),
            None => new_key()?,
        };
        let mut headers = vec![(HeaderName::from_static("idempotency-key"), key.as_str())];
        if let Some(name) = event.name() {
            headers.push((HeaderName::from_static("event-type"), name.as_str()));
        }
        let uri = self
            .context
            .target
            .resource("channels", channel.as_str(), []);
        let uri = uri.map_err(RequestError::Invalid)?;
        let mut backoff = self.context.backoff();
        let mut tries = self.context.request_attempts;
        loop {
            let payload = Some(event.payload());
            tries -= 1;
            match self.ask(Method::POST, uri.clone(), payload, &headers).await {
                Ok((_, body)) => return published(&body),
                Err(error) if tries > 0 && error.is_temporary() => {
                    let hint = match &error {
                        RequestError::Refused {
                            retry_after: Some(after),
                            ..
                        } => Hint::NotBefore(*after),
                        _ => Hint::None,
                    };
                    tokio::time::sleep(backoff.wait(hint, random())).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks the server something and returns its answer. It is asked once: only the caller knows
    /// whether asking again does harm.
    ///
    /// # Errors
    /// [`RequestError`]. After [`NoAnswer`](RequestError::NoAnswer), 500 and 504 it is not known
    /// whether it took effect.
    ///
    /// # Cancel safety
    /// Dropped before it is done, it may take effect or not.
    pub async fn request(
        &self,
        name: &EventName,
        payload: &Payload,
    ) -> Result<Payload, RequestError> {
        let uri = self.context.target.resource("requests", name.as_str(), []);
        let uri = uri.map_err(RequestError::Invalid)?;
        let (headers, body) = self.ask(Method::POST, uri, Some(payload), &[]).await?;
        let garbled = |what: &dyn ToString| RequestError::Garbled(what.to_string());
        let text = |body: Bytes| String::from_utf8(body.into()).map_err(|error| garbled(&error));
        if is_of_type(&headers, "application/json") {
            return Payload::json_text(text(body)?).map_err(|error| garbled(&error));
        }
        if is_of_type(&headers, "text/plain") {
            return Ok(Payload::text(text(body)?));
        }
        Ok(Payload::binary(body))
    }

    /// Sends a request, with a new token if the old one is refused, and reads its answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        uri: Uri,
        payload: Option<&Payload>,
        own: &[Header<'_>],
    ) -> Result<(HeaderMap, Bytes), RequestError> {
        let credentials = &self.context.credentials;
        let mut headers = credentials
            .current()
            .await
            .map_err(RequestError::NoAnswer)?;
        let mut refreshed = !credentials.can_refresh();
        loop {
            let mut request = Request::new(Full::new(Bytes::new()));
            if let Some(payload) = payload {
                *request.body_mut() = Full::new(payload.as_bytes().clone());
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(type_of(payload)));
            }
            for (name, value) in own {
                let value = HeaderValue::from_bytes(value.as_bytes());
                let value = value.map_err(|error| RequestError::Invalid(error.to_string()))?;
                headers.insert(name, value);
            }
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = headers;
            let patience = self.context.request_timeout;
            let response = send(&self.context.http, request, patience).await;
            let response = response.map_err(|error| RequestError::NoAnswer(error.into()))?;
            if response.status() == StatusCode::UNAUTHORIZED && !refreshed {
                refreshed = true;
                headers = credentials
                    .renewed()
                    .await
                    .map_err(RequestError::NoAnswer)?;
                continue;
            }
            if response.status() != StatusCode::OK {
                let refused = Refused::read(response, self.context.connect_timeout).await;
                return Err(RequestError::Refused {
                    status: refused.status,
                    detail: refused.detail,
                    retry_after: refused.retry_after,
                });
            }
            let (parts, body) = response.into_parts();
            return match read(body, self.context.max_message, patience).await {
                Ok(body) => Ok((parts.headers, body)),
                Err(Unread::TooLarge) => Err(RequestError::Garbled("it is too large".to_owned())),
                Err(Unread::Failed(error)) => Err(RequestError::NoAnswer(error.into())),
            };
        }
    }
}

#[derive(Deserialize)]
struct Published<'a> {
    id: &'a str,
}

fn published(body: &[u8]) -> Result<Position, RequestError> {
    let read: Result<Published<'_>, _> = serde_json::from_slice(body);
    let id = read
        .map_err(|error| RequestError::Garbled(error.to_string()))?
        .id;
    id.parse()
        .map_err(|_| RequestError::Garbled("not an id".to_owned()))
}

fn type_of(payload: &Payload) -> &'static str {
    match payload.kind() {
        PayloadKind::Binary => "application/octet-stream",
        PayloadKind::Json => "application/json",
        PayloadKind::Text => "text/plain; charset=utf-8",
    }
}

fn new_key() -> Result<String, RequestError> {
    let bits = || getrandom::u64().map_err(|error| RequestError::Invalid(error.to_string()));
    Ok(format!("{:016x}{:016x}", bits()?, bits()?))
}
