//! TLS: a certificate for the server, and clients that trust it.

use std::error::Error;
use std::net::TcpStream;
use std::sync::Arc;

use eventcast::rustls::crypto::ring;
use eventcast::rustls::pki_types::{CertificateDer, ServerName};
use eventcast::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::server::{HOST, ServerProcess};

/// A certificate and what clients need to trust it.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) client: Arc<ClientConfig>,
}

impl Identity {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(made.cert.der().to_vec()))?;
        let provider = Arc::new(ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            client: Arc::new(client),
        })
    }
}

/// A connection whose handshake begins with the first write.
pub(crate) fn connect(
    server: &ServerProcess,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Box<dyn Error>> {
    let name = ServerName::try_from(HOST)?;
    let session = ClientConnection::new(server.identity().client.clone(), name)?;
    Ok(StreamOwned::new(session, server.connect_encrypted()?))
}
