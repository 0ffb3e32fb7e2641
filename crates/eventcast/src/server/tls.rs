//! TLS, by rustls.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::preface::Version;

/// A server's certificate, its key, and how it speaks TLS.
///
/// ```no_run
/// use eventcast::{EventService, Hub, Server, ServiceConfig, TlsConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = TlsConfig::from_pem(&std::fs::read("cert.pem")?, &std::fs::read("key.pem")?)?;
/// let service = EventService::new(Hub::new(), ServiceConfig::new());
/// let server = Server::bind("0.0.0.0:443", service).await?.with_tls(tls);
/// server.run(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct TlsConfig(TlsAcceptor);

impl TlsConfig {
    /// TLS 1.2 and 1.3 with a certificate, followed by those that vouch for it, and its key
    /// (PKCS#8, PKCS#1 or SEC1), both in PEM.
    ///
    /// They are read once: a renewed certificate takes a new server.
    ///
    /// # Errors
    /// [`TlsError`] when there is no certificate or no key, or they do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsError::Certificate(error.into()))?;
        if certificates.is_empty() {
            return Err(TlsError::Certificate("there is none".into()));
        }
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.into()))?;
        Self::from_der(certificates, key)
    }

    /// A certificate for these host names and addresses that is made here and now, and vouched for
    /// by nobody: for development. Clients have to be told to take it (`curl -k`).
    ///
    /// # Errors
    /// [`TlsError::Certificate`] when a name cannot be part of one.
    #[cfg(feature = "self-signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "self-signed")))]
    pub fn self_signed(names: impl IntoIterator<Item = String>) -> Result<Self, TlsError> {
        let names: Vec<String> = names.into_iter().collect();
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|error| TlsError::Certificate(error.into()))?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| TlsError::Key(error.into()))?;
        Self::from_der(vec![made.cert.into()], key)
    }

    fn from_der(
        certificates: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        // Named, because a process may link several and have no default.
        let provider = Arc::new(ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(certificates, key)
            })
            .map_err(|error| TlsError::Rejected(error.into()))?;
        Ok(config.into())
    }

    /// Done when the client and the server have agreed on everything.
    pub(super) async fn accept<S>(self, io: S) -> io::Result<(Version, TlsStream<S>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.0.accept(io).await?;
        let version = match stream.get_ref().1.alpn_protocol() {
            Some(HTTP2) => Version::Http2,
            _ => Version::Http1,
        };
        Ok((version, stream))
    }
}

/// One that the caller made, for client certificates, several names, or another provider. If it
/// names no application protocols (ALPN), HTTP/2 and HTTP/1.1 are offered.
impl From<rustls::ServerConfig> for TlsConfig {
    fn from(mut config: rustls::ServerConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        }
        Self(Arc::new(config).into())
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of the key.
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

/// Why a certificate and key cannot be served with. What was given is at fault; a retry with the
/// same does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate, or it is none.
    #[error("the certificate is missing or not valid")]
    Certificate(#[source] Box<dyn Error + Send + Sync>),
    /// There is no private key, or it is none.
    #[error("the private key is missing or not valid")]
    Key(#[source] Box<dyn Error + Send + Sync>),
    /// The certificate and the key do not belong together, or are of no kind that TLS has.
    #[error("the certificate and the key cannot be used")]
    Rejected(#[source] Box<dyn Error + Send + Sync>),
}

const HTTP2: &[u8] = b"h2";
