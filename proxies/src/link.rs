//! One connection to a proxy: HTTP/1.1, the same over TLS, or HTTP/2 over TLS.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use http::request::Builder;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::certificate::Identity;
use crate::cut::Cut;

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http1Tls,
    Http2,
}

impl Protocol {
    pub(crate) const ALL: [Self; 3] = [Self::Http1, Self::Http1Tls, Self::Http2];
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http1Tls => "HTTP/1.1, TLS",
            Self::Http2 => "HTTP/2, TLS",
        })
    }
}

/// Where a proxy listens.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) plain: SocketAddr,
    pub(crate) encrypted: SocketAddr,
    pub(crate) identity: Identity,
}

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The connection broke.
    Cut(String),
    /// The answer is not what it has to be.
    Wrong(String),
}

impl Trouble {
    pub(crate) fn cut(error: impl fmt::Display) -> Self {
        Self::Cut(error.to_string())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(how) => write!(f, "cut: {how}"),
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

/// A connection.
pub(crate) struct Link {
    requests: Requests,
    pub(crate) protocol: Protocol,
    pub(crate) authority: String,
}

enum Requests {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Link {
    /// Connects; the connection breaks once `bytes` have come over it.
    pub(crate) async fn open(
        door: &Door,
        protocol: Protocol,
        bytes: usize,
    ) -> Result<Self, Trouble> {
        let address = match protocol {
            Protocol::Http1 => door.plain,
            Protocol::Http1Tls | Protocol::Http2 => door.encrypted,
        };
        let stream = TcpStream::connect(address).await.map_err(Trouble::cut)?;
        let _ = stream.set_nodelay(true);
        let stream = Cut {
            stream,
            left: bytes,
        };
        let requests = match protocol {
            Protocol::Http1 => http1(stream).await?,
            Protocol::Http1Tls => http1(encrypt(door, stream, "http/1.1").await?).await?,
            Protocol::Http2 => {
                let stream = TokioIo::new(encrypt(door, stream, "h2").await?);
                let handshake = http2::handshake(TokioExecutor::new(), stream);
                let (requests, connection) = handshake.await.map_err(Trouble::cut)?;
                tokio::spawn(connection);
                Requests::Http2(requests)
            }
        };
        Ok(Self {
            requests,
            protocol,
            authority: address.to_string(),
        })
    }

    pub(crate) fn origin(&self) -> String {
        let scheme = match self.protocol {
            Protocol::Http1 => "http",
            Protocol::Http1Tls | Protocol::Http2 => "https",
        };
        format!("{scheme}://{}", self.authority)
    }

    /// The answer to a request for `target`.
    pub(crate) async fn send(
        &mut self,
        target: &str,
        request: Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, Trouble> {
        let broken = |error| Trouble::Wrong(format!("no such request: {error}"));
        let response = match &mut self.requests {
            Requests::Http1(requests) => {
                let request = request.uri(target).header("host", &self.authority);
                let request: Request<_> = request.body(Full::new(body)).map_err(broken)?;
                requests.ready().await.map_err(Trouble::cut)?;
                requests.send_request(request).await
            }
            Requests::Http2(requests) => {
                let request = request.uri(format!("https://{}{target}", self.authority));
                let request = request.body(Full::new(body)).map_err(broken)?;
                requests.ready().await.map_err(Trouble::cut)?;
                requests.send_request(request).await
            }
        };
        response.map_err(Trouble::cut)
    }

    /// Asks and reads the whole answer.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<(StatusCode, Bytes), Trouble> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Bytes::copy_from_slice(body.as_bytes());
        let (head, body) = self.send(target, request, body).await?.into_parts();
        let body = body.collect().await.map_err(Trouble::cut)?;
        Ok((head.status, body.to_bytes()))
    }
}

async fn http1<S>(stream: S) -> Result<Requests, Trouble>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream));
    let (requests, connection) = handshake.await.map_err(Trouble::cut)?;
    tokio::spawn(connection.with_upgrades());
    Ok(Requests::Http1(requests))
}

async fn encrypt(
    door: &Door,
    stream: Cut,
    protocol: &str,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>, Trouble> {
    let name = ServerName::from(door.encrypted.ip());
    let connecting = door.identity.client(protocol).connect(name, stream);
    let stream = connecting.await.map_err(Trouble::cut)?;
    if stream.get_ref().1.alpn_protocol() != Some(protocol.as_bytes()) {
        return Err(Trouble::Wrong(format!(
            "the proxy does not speak {protocol}"
        )));
    }
    Ok(stream)
}
