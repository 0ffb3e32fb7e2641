//! What clients ask, and who answers.

use async_trait::async_trait;
use bytes::Buf;
use eventcast_core::{Payload, PayloadKind};
use eventcast_ws::{ErrorCode, Refusal};
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http_body::Body;

use crate::access::Permissions;
use crate::body::ResponseBody;
use crate::config::ServiceConfig;
use crate::problem::Problem;
use crate::service::Shared;
use crate::upload::read_payload;

/// Answers what clients ask the server, over WebSocket (`{"type":"request"}`) or by
/// `POST /requests/{name}`; see [`ServiceConfig::with_request_handler`].
///
/// Whoever the [`Authenticator`](crate::Authenticator) lets in may ask, whatever else he may do: the
/// handler decides who is answered.
///
/// # Contract
/// - Requests of one WebSocket are handled one at a time, in order; those of different connections
///   at the same time. While a WebSocket's request is handled, its events flow, and nothing more is
///   read from it.
/// - A payload is at most [`ServiceConfig::with_max_message`] large. An answer has no bound but the
///   handler's.
/// - The future is dropped when the client goes away, or when it takes longer than
///   [`ServiceConfig::with_request_timeout`]: what has to be finished belongs into a task of its
///   own.
///
/// # Examples
/// ```
/// use async_trait::async_trait;
/// use eventcast::{
///     ClientRequest, ErrorCode, EventService, Hub, Payload, Refusal, RequestHandler, ServiceConfig,
/// };
///
/// struct Shout;
///
/// #[async_trait]
/// impl RequestHandler for Shout {
///     async fn answer(&self, request: ClientRequest<'_>) -> Result<Payload, Refusal> {
///         match (request.name, request.payload.as_str()) {
///             ("shout", Some(text)) => Ok(Payload::text(text.to_uppercase())),
///             ("shout", None) => Err(Refusal::new(ErrorCode::BadRequest, "a text is needed")),
///             _ => Err(Refusal::new(ErrorCode::NotFound, "there is no such request")),
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let config = ServiceConfig::new().with_request_handler(Shout);
/// let service = EventService::new(Hub::new(), config);
///
/// let request = http::Request::post("/requests/shout");
/// let request = request.body("hello".to_owned()).unwrap();
/// assert_eq!(service.handle(request).await.headers()["content-type"], "text/plain; charset=utf-8");
/// # }
/// ```
#[async_trait]
pub trait RequestHandler: Send + Sync + 'static {
    /// Answers a request.
    ///
    /// # Errors
    /// A [`Refusal`] reaches the client in place of the answer: as `error` with its code over
    /// WebSocket, as a problem document with the status that fits the code otherwise.
    async fn answer(&self, request: ClientRequest<'_>) -> Result<Payload, Refusal>;
}

/// One request of a client.
#[derive(Clone, Debug)]
pub struct ClientRequest<'a> {
    /// What is asked: 1 to 100 bytes, without control characters, not beginning with `eventcast.`.
    pub name: &'a str,
    /// What was sent along.
    pub payload: Payload,
    /// What the [`Authenticator`](crate::Authenticator) allows the client.
    pub permissions: &'a Permissions,
    /// The HTTP request that brought the client: this one, or a WebSocket's handshake. Who asks is
    /// in its headers, or in its extensions if the server put it there.
    pub http: &'a Parts,
}

/// Asks the service's handler, for as long as it may take.
pub(crate) async fn ask(
    config: &ServiceConfig,
    request: ClientRequest<'_>,
) -> Result<Payload, Refusal> {
    let Some(handler) = &config.request_handler else {
        return Err(no_handler());
    };
    let answer = tokio::time::timeout(config.request_timeout, handler.answer(request)).await;
    answer.unwrap_or_else(|_| {
        Err(Refusal::new(
            ErrorCode::Timeout,
            "the answer took too long: whether the request took effect is not known",
        ))
    })
}

pub(crate) fn no_handler() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "this server answers no requests")
}

/// Answers a request by POST: its body is the payload.
pub(crate) async fn answer<B>(
    shared: &Shared,
    permissions: &Permissions,
    name: &str,
    http: &Parts,
    body: B,
) -> Result<Response<ResponseBody>, Problem>
where
    B: Body<Data: Buf + Send> + Send,
{
    let request = ClientRequest {
        name,
        payload: read_payload(&shared.config, http, body).await?,
        permissions,
        http,
    };
    let answer = ask(&shared.config, request).await?;
    let content_type = match answer.kind() {
        PayloadKind::Binary => "application/octet-stream",
        PayloadKind::Json => "application/json",
        PayloadKind::Text => "text/plain; charset=utf-8",
    };
    let mut response = Response::new(ResponseBody::full(answer.as_bytes().clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
