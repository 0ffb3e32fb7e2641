//! One connection at a time, over any transport.

mod poll;
mod sse;
mod stream;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::auth::Credentials;
use crate::backoff::Backoff;
use crate::dial::Connector;
use crate::ended::Ended;
use crate::error::Interruption;
use crate::exchange::{Http, Refused, is_of_type, send};
use crate::feed::Feed;
use crate::message::garbled;
use crate::state::State;
use crate::target::Target;
use crate::transport::Transport;

/// What every connection and request of a client needs.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) target: Arc<Target>,
    pub(crate) credentials: Credentials,
    pub(crate) connector: Connector,
    pub(crate) http: Http,
    pub(crate) state: Arc<State>,
    pub(crate) retry: Duration,
    pub(crate) min_retry: Duration,
    pub(crate) max_retry: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) request_attempts: u32,
    pub(crate) poll_wait: Duration,
    pub(crate) max_message: usize,
}

impl Context {
    /// The waits of one thing that is tried again.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.retry, self.min_retry, self.max_retry)
    }

    /// Makes a connection that resumes, and reads it to its end.
    pub(crate) async fn run(&self, transport: Transport, feed: &mut Feed) -> Ended {
        let headers = match self.credentials.renewed().await {
            Ok(headers) => headers,
            Err(error) => return Interruption::Token(error).into(),
        };
        let ended = match transport {
            Transport::WebSocket => Box::pin(websocket::run(self, headers, feed)).await,
            Transport::Sse => sse::run(self, headers, feed).await,
            Transport::Stream => stream::run(self, headers, feed).await,
            Transport::Poll => poll::run(self, headers, feed).await,
        };
        match ended {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    fn uri(&self, scheme: &str, feed: &Feed, own: &[(&str, &str)]) -> Result<Uri, Ended> {
        let channels = self.state.channels();
        let id = feed.position().map(|id| id.to_string());
        let channels = channels.iter().map(|name| ("channel", name.as_str()));
        let id = id.iter().map(|id| ("last_event_id", id.as_str()));
        let query = channels.chain(id).chain(own.iter().copied());
        let uri = self.target.events(scheme, query);
        uri.map_err(|error| garbled(error).into())
    }

    /// Asks for a subscription over HTTP.
    async fn get(
        &self,
        mut headers: HeaderMap,
        uri: Uri,
        accept: &'static str,
        patience: Duration,
    ) -> Result<Response<Incoming>, Ended> {
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let response = send(&self.http, request, patience).await?;
        match response.status() {
            StatusCode::OK if is_of_type(response.headers(), accept) => Ok(response),
            StatusCode::OK => Err(garbled("an answer of another type").into()),
            StatusCode::NO_CONTENT => Err(Ended::Completed),
            _ => Err(Ended::Refused(
                Refused::read(response, self.connect_timeout).await,
            )),
        }
    }

    /// More of a body. Its end without a word is a cut.
    async fn more(&self, body: &mut Incoming, feed: &Feed) -> Result<Bytes, Ended> {
        let patience = feed.patience(self.connect_timeout);
        match timeout(patience, body.frame()).await {
            Err(_) => Err(Interruption::Silent(patience).into()),
            Ok(None) => Err(Interruption::Cut(None).into()),
            Ok(Some(Err(error))) => Err(Interruption::Cut(Some(error.into())).into()),
            Ok(Some(Ok(frame))) => Ok(frame.into_data().unwrap_or_default()),
        }
    }
}

/// A session's key that nobody guesses.
fn new_key() -> Result<Arc<str>, Ended> {
    let bits = |_| getrandom::u64().map_err(|error| Ended::from(garbled(error)));
    let [high, low] = [bits(0)?, bits(1)?];
    Ok(format!("{high:016x}{low:016x}").into())
}
