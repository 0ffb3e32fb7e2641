//! The HTTP responses.

use std::sync::Arc;

use eventcast_core::{Session, Timer};
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};

use crate::config::{PollConfig, StreamConfig};
use crate::document::PollBody;
use crate::polling::Polling;
use crate::stream::StreamBody;

/// The response to a GET that streams: status 200 and a [`StreamBody`], which goes on until its
/// session ends.
///
/// - `Content-Type: application/x-ndjson`.
/// - `Cache-Control: no-store`: what a session is given is for nobody else.
/// - `X-Accel-Buffering: no`: nginx, and proxies that copied this from it, pass lines on at once.
#[must_use]
pub fn stream(
    session: Session,
    config: StreamConfig,
    timer: Arc<dyn Timer>,
) -> Response<StreamBody> {
    with_stream_headers(StreamBody::new(session, config, timer))
}

/// The response to a HEAD where a GET would [`stream`]: the same status and headers, at once,
/// without a session.
///
/// The body is empty; it claims no length, so that no server adds a `Content-Length` that the GET
/// would not have.
#[must_use]
pub fn stream_head() -> Response<StreamBody> {
    with_stream_headers(StreamBody::ended())
}

/// Answers one poll: a future of the response, which is 200 with one JSON document whose length is
/// known, `Content-Type: application/json` and `Cache-Control: no-store`.
///
/// The session is opened as for any other transport, resumed with the id that the client came back
/// with; it ends with the answer. A client without an id is answered at once, because it could not
/// be cut without loss before it has one. The crate's documentation says what the document holds.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// use eventcast_core::{Event, Hub};
/// # use eventcast_core::{Sleep, Timer};
/// use eventcast_poll::{PollConfig, poll};
/// use http_body_util::BodyExt;
/// # struct TokioTimer;
/// # impl Timer for TokioTimer {
/// #     fn sleep(&self, duration: std::time::Duration) -> Sleep {
/// #         Box::pin(tokio::time::sleep(duration))
/// #     }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new();
/// let start = hub.position();
/// let id = hub.publish("news", Event::text("hello")).await?;
///
/// let session = hub.session().channel("news").resume(&start.to_string()).open()?;
/// let response = poll(session, PollConfig::new(), Arc::new(TokioTimer)).await;
/// let document = response.into_body().collect().await?.to_bytes();
/// let event = format!("{{\"id\":\"{id}\",\"channel\":\"news\",\"data\":\"hello\"}}");
/// assert_eq!(document, format!("{{\"position\":\"{id}\",\"events\":[{event}]}}"));
/// # Ok(())
/// # }
/// ```
pub fn poll(session: Session, config: PollConfig, timer: Arc<dyn Timer>) -> Polling {
    Polling::new(session, config, timer)
}

/// The response to a HEAD where a GET would [`poll`](poll()): the same status and headers, at
/// once, without a session.
///
/// The body is empty and claims no length.
#[must_use]
pub fn poll_head() -> Response<PollBody> {
    document_response(PollBody::ended())
}

pub(crate) fn document_response(body: PollBody) -> Response<PollBody> {
    with_headers(body, "application/json")
}

fn with_stream_headers(body: StreamBody) -> Response<StreamBody> {
    let mut response = with_headers(body, "application/x-ndjson");
    let headers = response.headers_mut();
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn with_headers<B>(body: B, content_type: &'static str) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
