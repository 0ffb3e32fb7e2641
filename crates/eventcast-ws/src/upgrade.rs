//! From an HTTP request to a WebSocket connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eventcast_core::{Session, Timer};
use http::header::{
    ALLOW, CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::config::{Mode, WsConfig};
use crate::connection::{Connection, serve};
use crate::end::WsEnd;
use crate::handler::ClientHandler;

/// Whether a request asks for a WebSocket; [`upgrade`] tells whether it does so properly.
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
    request.version() <= Version::HTTP_11
        && has_token(request.headers(), &UPGRADE, "websocket")
        && has_token(request.headers(), &CONNECTION, "upgrade")
}

/// Answers an opening handshake (RFC 6455 §4.2): the response to send, and the connection that
/// begins once it is sent.
///
/// The mode is that of the first subprotocol offered that is known. When none is, the response
/// names no subprotocol and the mode is JSON.
///
/// Who may connect is the caller's to decide first, the request's `Origin` above all: browsers let
/// every page connect to every server, with its cookies.
///
/// # Errors
/// [`UpgradeError`] when the request is no proper handshake; it knows the response to give.
pub fn upgrade<B>(request: &mut Request<B>) -> Result<(Response<()>, Upgrade), UpgradeError> {
    if request.method() != Method::GET {
        return Err(UpgradeError::Method);
    }
    if request.version() != Version::HTTP_11 {
        return Err(UpgradeError::HttpVersion);
    }
    if !is_upgrade(request) {
        return Err(UpgradeError::NotUpgrade);
    }
    let headers = request.headers();
    if single(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(UpgradeError::Version);
    }
    let key = single(headers, &SEC_WEBSOCKET_KEY)
        .filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16))
        .ok_or(UpgradeError::Key)?;
    let accept =
        HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| UpgradeError::Key)?;
    let chosen = tokens(headers, &SEC_WEBSOCKET_PROTOCOL).find_map(Mode::from_subprotocol);

    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(mode) = chosen {
        let name = HeaderValue::from_static(mode.subprotocol());
        answer.insert(SEC_WEBSOCKET_PROTOCOL, name);
    }
    let upgrade = Upgrade {
        stream: hyper::upgrade::on(request),
        mode: chosen.unwrap_or_default(),
    };
    Ok((response, upgrade))
}

/// A handshake that was answered.
#[derive(Debug)]
pub struct Upgrade {
    stream: OnUpgrade,
    mode: Mode,
}

impl Upgrade {
    /// The mode that the client asked for.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The same with another mode, for services that have other means to choose one.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The stream alone: done once the response is sent.
    #[must_use]
    pub fn into_stream(self) -> OnUpgrade {
        self.stream
    }

    /// Runs a session over the connection, in this handshake's mode: a future to spawn before the
    /// response is returned. See [`serve`](crate::serve()).
    pub fn serve(
        self,
        session: Session,
        handler: Arc<dyn ClientHandler>,
        timer: Arc<dyn Timer>,
        config: WsConfig,
    ) -> UpgradedConnection {
        let config = config.with_mode(self.mode);
        UpgradedConnection(Stage::Upgrading {
            stream: self.stream,
            parts: Some((session, handler, timer, config)),
        })
    }
}

/// A connection whose handshake is being finished; see [`Upgrade::serve`]. It is done when the
/// connection has ended.
#[must_use = "a connection does nothing unless it is polled"]
pub struct UpgradedConnection(Stage);

/// One after the other in the same place: an async function would keep room for both.
#[allow(
    clippy::large_enum_variant,
    reason = "the small one is left for good within milliseconds"
)]
enum Stage {
    Upgrading {
        stream: OnUpgrade,
        parts: Option<Parts>,
    },
    Open(Connection<TokioIo<Upgraded>>),
}

type Parts = (Session, Arc<dyn ClientHandler>, Arc<dyn Timer>, WsConfig);

impl Future for UpgradedConnection {
    type Output = WsEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<WsEnd> {
        if let Stage::Upgrading { stream, parts } = &mut self.0 {
            let stream = ready!(Pin::new(stream).poll(cx));
            let (Ok(stream), Some((session, handler, timer, config))) = (stream, parts.take())
            else {
                return Poll::Ready(WsEnd::PeerVanished);
            };
            let io = TokioIo::new(stream);
            self.0 = Stage::Open(serve(io, session, handler, timer, config));
        }
        match &mut self.0 {
            Stage::Open(connection) => Pin::new(connection).poll(cx),
            Stage::Upgrading { .. } => Poll::Pending,
        }
    }
}

impl fmt::Debug for UpgradedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Stage::Upgrading { .. } => f.write_str("UpgradedConnection(upgrading)"),
            Stage::Open(connection) => connection.fmt(f),
        }
    }
}

/// Why a request is no proper opening handshake. The client is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// It is not of HTTP/1.1.
    #[error("the handshake takes HTTP/1.1")]
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
