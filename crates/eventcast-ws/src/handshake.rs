//! What a proper opening handshake is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ALLOW, CONNECTION, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::config::Mode;

/// Whether a request asks for a WebSocket, with `Upgrade: websocket` over HTTP/1.1 or with
/// `:protocol` over HTTP/2; [`upgrade`](crate::upgrade()) tells whether it does so properly.
///
/// ```
/// let request = http::Request::get("/events")
///     .header("connection", "keep-alive, Upgrade")
///     .header("upgrade", "websocket")
///     .body(())
///     .unwrap();
/// assert!(eventcast_ws::is_upgrade(&request));
/// ```
#[must_use]
pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    if request.method() == Method::CONNECT {
        return connects_websocket(request);
    }
    request.version() <= Version::HTTP_11
        && has_token(request.headers(), &UPGRADE, "websocket")
        && has_token(request.headers(), &CONNECTION, "upgrade")
}

/// Why a request is no proper opening handshake. The client is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// It is of no version of HTTP that has the handshake, or has it in this way.
    #[error("the handshake takes HTTP/1.1, or CONNECT over HTTP/2")]
    HttpVersion,
    /// `Sec-WebSocket-Key` is not there once, or is not base64 of 16 bytes.
    #[error("`Sec-WebSocket-Key` is missing or not valid")]
    Key,
    /// The method is not GET.
    #[error("the handshake takes the method GET")]
    Method,
    /// It does not ask for a WebSocket.
    #[error("`Upgrade: websocket` or `Connection: upgrade` is missing")]
    NotUpgrade,
    /// A `CONNECT` to another protocol than `websocket`, or without one.
    #[error("the only `:protocol` here is `websocket`")]
    Protocol,
    /// `Sec-WebSocket-Version` is not 13.
    #[error("`Sec-WebSocket-Version` is not 13")]
    Version,
}

impl UpgradeError {
    /// The status to answer with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::HttpVersion | Self::Key => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            // As RFC 9220, section 3, has it for HTTP/3; RFC 8441 does not say.
            Self::Protocol => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// The response to answer with: the status, and the headers that tell what would do.
    #[must_use]
    pub fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if *self == Self::Method {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        response
    }
}

/// Checks a handshake over HTTP/1.1: the key's answer.
pub(crate) fn check_get<B>(request: &Request<B>) -> Result<HeaderValue, UpgradeError> {
    if request.method() != Method::GET {
        return Err(UpgradeError::Method);
    }
    if request.version() != Version::HTTP_11 {
        return Err(UpgradeError::HttpVersion);
    }
    if !is_upgrade(request) {
        return Err(UpgradeError::NotUpgrade);
    }
    check_version(request.headers())?;
    let key = single(request.headers(), &SEC_WEBSOCKET_KEY)
        .filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16))
        .ok_or(UpgradeError::Key)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| UpgradeError::Key)
}

/// Checks a handshake over HTTP/2.
pub(crate) fn check_connect<B>(request: &Request<B>) -> Result<(), UpgradeError> {
    if request.version() != Version::HTTP_2 {
        return Err(UpgradeError::HttpVersion);
    }
    if !connects_websocket(request) {
        return Err(UpgradeError::Protocol);
    }
    check_version(request.headers())
}

/// The mode of the first subprotocol offered that is known.
pub(crate) fn offered_mode(headers: &HeaderMap) -> Option<Mode> {
    tokens(headers, &SEC_WEBSOCKET_PROTOCOL).find_map(Mode::from_subprotocol)
}

fn connects_websocket<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

fn check_version(headers: &HeaderMap) -> Result<(), UpgradeError> {
    match single(headers, &SEC_WEBSOCKET_VERSION) {
        Some("13") => Ok(()),
        _ => Err(UpgradeError::Version),
    }
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|other| other.eq_ignore_ascii_case(token))
}

/// The members of a header that is a list, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}

/// The value of a header that is there exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value.trim())
}
