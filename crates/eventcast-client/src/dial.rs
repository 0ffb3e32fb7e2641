//! Bytes to the server and back: TCP, or what the user connects by, and TLS over it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::proxy::Proxy;

/// Bytes both ways.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type BoxIo = Box<dyn Io>;

/// Connects to a host and a port.
pub(crate) type Dial = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<BoxIo>> + Send + Sync;

pub(crate) fn tcp() -> Arc<Dial> {
    Arc::new(|host, port| {
        Box::pin(async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxIo)
        })
    })
}

/// Makes the connections of HTTP's requests and of WebSockets.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) dial: Arc<Dial>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Arc<rustls::ClientConfig>,
    /// None leads through a dialer of the user's.
    pub(crate) proxy: Option<Arc<Proxy>>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Requests,
    WebSocket,
}

/// A connection, and what was found out about it.
pub(crate) struct Wire {
    io: BoxIo,
    http2: bool,
    /// It ends at a proxy that takes whole requests.
    pub(crate) forwards: bool,
}

impl Connector {
    /// Connects to the server; with HTTP/2, if both want it, for requests only.
    pub(crate) async fn connect(&self, uri: &Uri, purpose: Purpose) -> io::Result<Wire> {
        let may_be_http2 = purpose == Purpose::Requests;
        let Some(proxy) = &self.proxy else {
            return self.direct(uri, may_be_http2).await;
        };
        let websocket = purpose == Purpose::WebSocket;
        // Boxed, because proxies are connected to by a connector as well.
        let wire = Box::pin(proxy.connect(self.clone(), uri, websocket)).await?;
        if wire.forwards || !is_secure(uri) {
            return Ok(wire);
        }
        self.encrypt(Box::new(wire), host_of(uri), may_be_http2)
            .await
    }

    /// Connects to whatever the address names.
    pub(crate) async fn direct(&self, uri: &Uri, may_be_http2: bool) -> io::Result<Wire> {
        let io = (self.dial)(host_of(uri), port_of(uri)).await?;
        if !is_secure(uri) {
            return Ok(Wire {
                io,
                http2: false,
                forwards: false,
            });
        }
        self.encrypt(io, host_of(uri), may_be_http2).await
    }

    #[cfg(feature = "tls")]
    async fn encrypt(&self, io: BoxIo, host: String, may_be_http2: bool) -> io::Result<Wire> {
        let mut config = rustls::ClientConfig::clone(&self.tls);
        config.alpn_protocols = match may_be_http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        let name = rustls::pki_types::ServerName::try_from(host).map_err(io::Error::other)?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = Box::pin(connector.connect(name, io)).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = Box::new(stream);
        Ok(Wire {
            io,
            http2,
            forwards: false,
        })
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_async, reason = "with the feature it waits")]
    async fn encrypt(&self, _: BoxIo, _: String, _: bool) -> io::Result<Wire> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn is_secure(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("https" | "wss"))
}

fn host_of(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned()
}

pub(crate) fn port_of(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or_else(|| match uri.scheme_str() {
        Some("https" | "wss") => 443,
        Some("socks5" | "socks5h") => 1080,
        _ => 80,
    })
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Wire>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let wire = connector.connect(&uri, Purpose::Requests).await?;
            Ok(TokioIo::new(wire))
        })
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        match self.http2 {
            true => Connected::new().negotiated_h2(),
            false => Connected::new().proxy(self.forwards),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
