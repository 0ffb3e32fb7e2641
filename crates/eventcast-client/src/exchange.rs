//! Requests and their answers, with bounds.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, PROXY_AUTHORIZATION, RETRY_AFTER,
};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use tokio::time::timeout;

use crate::dial::Connector;
use crate::error::Interruption;
use crate::message::shortened;
use crate::proxy::Proxy;

/// Sends requests over connections that are used again.
#[derive(Clone)]
pub(crate) struct Http {
    client: legacy::Client<Connector, Full<Bytes>>,
    /// For the proxy that takes the requests.
    authorization: Option<HeaderValue>,
}

pub(crate) fn client(connector: Connector) -> Http {
    let proxy = connector.proxy.as_deref();
    let authorization = proxy.and_then(Proxy::authorization);
    let client = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(2)
        .http1_max_buf_size(MAX_HEAD)
        .http2_max_header_list_size(MAX_HEAD as u32)
        .build(connector);
    Http {
        client,
        authorization,
    }
}

/// Sends a request and waits for the answer's head.
pub(crate) async fn send(
    http: &Http,
    mut request: Request<Full<Bytes>>,
    patience: Duration,
) -> Result<Response<Incoming>, Interruption> {
    if let Some(authorization) = &http.authorization {
        let headers = request.headers_mut();
        headers.insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    match timeout(patience, http.client.request(request)).await {
        Err(_) => Err(Interruption::Silent(patience)),
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) if error.is_connect() => Err(Interruption::Unreachable(error.into())),
        Ok(Err(error)) => Err(Interruption::Cut(Some(error.into()))),
    }
}

/// Why a body was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    TooLarge,
    Failed(Interruption),
}

/// Reads a body whole.
pub(crate) async fn read(
    body: Incoming,
    limit: usize,
    patience: Duration,
) -> Result<Bytes, Unread> {
    let collected = timeout(patience, Limited::new(body, limit).collect()).await;
    match collected {
        Err(_) => Err(Unread::Failed(Interruption::Silent(patience))),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(error)) => Err(Unread::Failed(Interruption::Cut(Some(error)))),
    }
}

/// An answer that is none of those hoped for.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// It is the service that speaks, and not something on the way to it.
    pub(crate) by_service: bool,
    pub(crate) detail: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let kind = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
        let by_service = kind.is_some_and(|kind| kind.starts_with(b"application/problem+json"));
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let detail = problem.filter(|_| by_service).and_then(|told| told.detail);
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let detail = detail.or_else(|| {
            let elsewhere = text(LOCATION).filter(|_| status.is_redirection())?;
            Some(format!(
                "redirects are not followed; connect to {elsewhere}"
            ))
        });
        let seconds = text(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok());
        Self {
            status,
            by_service,
            detail: shortened(detail.unwrap_or_default()),
            retry_after: seconds.map(Duration::from_secs),
        }
    }

    pub(crate) async fn read(response: Response<Incoming>, patience: Duration) -> Self {
        let (parts, body) = response.into_parts();
        let body = read(body, MAX_PROBLEM, patience).await.unwrap_or_default();
        Self::new(parts.status, &parts.headers, &body)
    }
}

#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
}

/// Whether the answer is of this type.
pub(crate) fn is_of_type(headers: &HeaderMap, wanted: &str) -> bool {
    let told = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let told = told
        .and_then(|told| told.split(';').next())
        .unwrap_or_default();
    told.trim().eq_ignore_ascii_case(wanted)
}

const IDLE: Duration = Duration::from_secs(30);
/// Of an answer's head, and of what is read ahead of a body.
const MAX_HEAD: usize = 64 << 10;
const MAX_PROBLEM: usize = 16 << 10;
