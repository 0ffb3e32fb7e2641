//! The HTTP responses.

use std::sync::Arc;

use eventcast_core::{Session, Timer};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};

use crate::body::SseBody;
use crate::config::SseConfig;

/// The response to a GET: status 200 and an endless [`SseBody`].
///
/// - `Content-Type: text/event-stream`, without a charset: the format is UTF-8 by definition, and
///   the parameter changes nothing for those who accept it.
/// - `Cache-Control: no-store`: what a session is given is for nobody else.
/// - `X-Accel-Buffering: no`: nginx, and proxies that copied this from it, pass events on at once.
#[must_use]
pub fn response(
    session: Session,
    config: SseConfig,
    timer: Arc<dyn Timer>,
) -> http::Response<SseBody> {
    with_headers(SseBody::new(session, config, timer))
}

/// The response to a HEAD: the same status and headers, at once, without a session.
///
/// The body is empty; it claims no length, so that no server adds a `Content-Length` that the GET
/// would not have.
#[must_use]
pub fn head_response() -> http::Response<SseBody> {
    with_headers(SseBody::ended())
}

fn with_headers(body: SseBody) -> http::Response<SseBody> {
    let mut response = http::Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
