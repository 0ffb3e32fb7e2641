//! The four kinds of connection.

use std::sync::LazyLock;

use eventcast::rustls::pki_types::ServerName;
use eventcast::{EventService, ServerConfig, TlsConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::support::HOST;
use crate::support::tls::Identity;
use crate::wire::client::speak;
use crate::wire::{Ask, Half, Protocol, Serving, Speech};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http1Tls,
    Http2,
    Http2Tls,
}

impl Speaks {
    pub(crate) fn is_encrypted(self) -> bool {
        matches!(self, Self::Http1Tls | Self::Http2Tls)
    }

    fn protocol(self) -> Protocol {
        match self {
            Self::Http1 | Self::Http1Tls => Protocol::Http1,
            Self::Http2 | Self::Http2Tls => Protocol::Http2,
        }
    }
}

impl Speech for Speaks {
    fn serve<S>(self, service: EventService, io: S) -> Serving
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let tls = self.is_encrypted().then(|| KEYS.server.clone());
        Box::pin(eventcast::serve_connection(
            service,
            ServerConfig::new(),
            tls,
            io,
        ))
    }

    fn half(self, ask: Ask) -> Half {
        if !self.is_encrypted() {
            return self.protocol().half(ask);
        }
        let (agreed, connector) = match self.protocol() {
            Protocol::Http1 => (&b"http/1.1"[..], &KEYS.http1),
            Protocol::Http2 => (&b"h2"[..], &KEYS.http2),
        };
        Half::new(move |io, seen| async move {
            let name = ServerName::try_from(HOST).expect("a name");
            let stream = connector.connect(name, io).await;
            let stream = stream.map_err(|error| error.to_string())?;
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed));
            speak(stream, self.protocol(), ask, seen).await
        })
    }
}

/// Made once: a certificate costs more than a connection.
struct Keys {
    server: TlsConfig,
    http1: TlsConnector,
    http2: TlsConnector,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let identity = Identity::new();
    Keys {
        server: identity.config(),
        http1: identity.client(&["http/1.1"]),
        http2: identity.client(&["h2"]),
    }
});
