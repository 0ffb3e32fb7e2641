//! Whose certificates are trusted.

use std::path::Path;
use std::sync::Arc;

use eventcast_client::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use eventcast_client::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use eventcast_client::rustls::pki_types::pem::PemObject as _;
use eventcast_client::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use eventcast_client::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::exit::{Exit, Result, chain};

/// Mozilla's roots and those of a file, or whatever a server shows.
pub(crate) fn config(ca: Option<&Path>, insecure: bool) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Exit::failed(chain(&error)))?;
    if insecure {
        let anybody = Arc::new(Anybody(provider));
        let config = config.dangerous().with_custom_certificate_verifier(anybody);
        return Ok(config.with_no_client_auth());
    }
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = ca {
        let unusable = |why: String| Exit::failed(format!("--ca {}: {why}", path.display()));
        let mut any = false;
        let certificates = CertificateDer::pem_file_iter(path);
        for certificate in certificates.map_err(|error| unusable(chain(&error)))? {
            let certificate = certificate.map_err(|error| unusable(chain(&error)))?;
            let added = roots.add(certificate);
            added.map_err(|error| unusable(chain(&error)))?;
            any = true;
        }
        if !any {
            return Err(unusable("no certificate in it".to_owned()));
        }
    }
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Trusts every certificate; that the server has its key is still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
