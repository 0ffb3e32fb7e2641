//! Error documents, as RFC 9457 has them.

use std::borrow::Cow;

use eventcast_core::{HistoryError, NameError, PublishError, SubscribeError};
use eventcast_ws::{ErrorCode, Refusal};
use http::header::{
    ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use serde_json::json;

use crate::access::Denied;
use crate::body::ResponseBody;
use crate::limits::Limit;

/// A refused request: `application/problem+json` with a status, its title and one sentence.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    limit: Option<Limit>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            detail: detail.into(),
            headers: Vec::new(),
            limit: None,
        }
    }

    /// It is because of this limit, which is counted as the request is answered.
    pub(crate) fn past(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("this resource takes {allowed}"),
        )
        .with_header(ALLOW, HeaderValue::from_static(allowed))
    }

    pub(crate) fn upgrade_required() -> Self {
        Self::new(
            StatusCode::UPGRADE_REQUIRED,
            "`transport=websocket` takes a WebSocket's handshake",
        )
        .with_header(UPGRADE, HeaderValue::from_static("websocket"))
    }

    pub(crate) fn unavailable(retry_after_seconds: u64) -> Self {
        Self::unavailable_because(
            "the server is not taking new sessions: come back later",
            retry_after_seconds,
        )
    }

    pub(crate) fn unavailable_because(
        detail: impl Into<Cow<'static, str>>,
        retry_after_seconds: u64,
    ) -> Self {
        Self::later(StatusCode::SERVICE_UNAVAILABLE, detail, retry_after_seconds)
    }

    /// Not now, but after so long.
    pub(crate) fn later(
        status: StatusCode,
        detail: impl Into<Cow<'static, str>>,
        retry_after_seconds: u64,
    ) -> Self {
        Self::new(status, detail).with_header(RETRY_AFTER, HeaderValue::from(retry_after_seconds))
    }

    pub(crate) fn unknown_session() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "there is no session of this key: it was left too long ago, or never was",
        )
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn with_headers(self, headers: &HeaderMap) -> Self {
        headers.iter().fold(self, |problem, (name, value)| {
            problem.with_header(name.clone(), value.clone())
        })
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn limit(&self) -> Option<Limit> {
        self.limit
    }

    pub(crate) fn into_response(self) -> Response<ResponseBody> {
        let document = json!({
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = Response::new(ResponseBody::full(document.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.extend(self.headers);
        response
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Forbidden => Self::new(StatusCode::FORBIDDEN, "this is not allowed"),
            Denied::Unauthorized => Self::new(
                StatusCode::UNAUTHORIZED,
                "credentials are missing or not valid",
            )
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        }
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::TooManyChannels { .. } => full(),
            SubscribeError::Channel(error) => error.into(),
            SubscribeError::Unavailable => away(),
            SubscribeError::SessionFull { .. } => {
                Self::bad_request(error.to_string()).past(Limit::Channels)
            }
            _ => Self::bad_request(error.to_string()),
        }
    }
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Channel(error) => error.into(),
            _ => away(),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Completed => Self::new(StatusCode::CONFLICT, error.to_string()),
            PublishError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).past(Limit::Bodies)
            }
            PublishError::TooManyChannels { .. } => full(),
            PublishError::Unavailable { .. } => away(),
            PublishError::Full(_) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "the log has no room: the event was not stored",
            ),
            PublishError::OutcomeUnknown { .. } => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "the log did not answer: the event may be stored or not; a retry is safe with the \
                 idempotency key that the request had",
            ),
            PublishError::Channel(error) => error.into(),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the event was not stored",
            ),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code() {
            ErrorCode::BadChannel
            | ErrorCode::BadEvent
            | ErrorCode::BadRequest
            | ErrorCode::TooManyChannels => StatusCode::BAD_REQUEST,
            ErrorCode::Completed => StatusCode::CONFLICT,
            ErrorCode::Forbidden => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let problem = Self::new(status, refusal.message().to_owned());
        match refusal.code() {
            ErrorCode::RateLimited | ErrorCode::Unavailable => {
                problem.with_header(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS))
            }
            _ => problem,
        }
    }
}

fn away() -> Problem {
    Problem::unavailable_because("the log cannot be reached: come back later", RETRY_SECONDS)
}

fn full() -> Problem {
    Problem::unavailable_because(
        "the hub has as many channels as it may: come back later",
        RETRY_SECONDS,
    )
}

const RETRY_SECONDS: u64 = 5;
