//! From an HTTP request to a WebSocket connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use eventcast_core::{Session, Timer};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use crate::config::{Mode, WsConfig};
use crate::connection::{Connection, serve};
use crate::end::WsEnd;
use crate::handler::ClientHandler;
use crate::handshake::{UpgradeError, check_connect, check_get, offered_mode};

/// Answers an opening handshake: the response to send, and the connection that begins once it is
/// sent.
///
/// Over HTTP/1.1 that is RFC 6455 §4.2. Over HTTP/2 it is RFC 8441: a `CONNECT` whose `:protocol`
/// is `websocket`, which a server gets if it allows it
/// ([`enable_connect_protocol`](hyper::server::conn::http2::Builder::enable_connect_protocol)),
/// answered with 200 and without a key; the WebSocket is then one stream of the connection.
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
    let mut response = Response::new(());
    if request.method() == Method::CONNECT {
        check_connect(request)?;
    } else {
        let accept = check_get(request)?;
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let answer = response.headers_mut();
        answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
        answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    let chosen = offered_mode(request.headers());
    if let Some(mode) = chosen {
        let name = HeaderValue::from_static(mode.subprotocol());
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
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
