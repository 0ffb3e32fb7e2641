//! A certificate for everything here, and clients that trust it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// The name in the certificate by which the proxies verify the hub.
pub(crate) const HUB: &str = "events.internal";

#[derive(Clone, Debug)]
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
}

impl Identity {
    /// Makes one and writes `certificate.pem`, `key.pem` and `both.pem`.
    pub(crate) fn write(folder: &Path) -> Result<Self, String> {
        let names = ["127.0.0.1".to_owned(), HUB.to_owned()];
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|error| format!("no certificate: {error}"))?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let both = format!("{certificate}{key}");
        for (name, text) in [
            ("certificate.pem", &certificate),
            ("key.pem", &key),
            ("both.pem", &both),
        ] {
            fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(Self {
            certificate: made.cert.der().clone(),
        })
    }

    /// A client that trusts it, nobody else, and wants this protocol.
    pub(crate) fn client(&self, protocol: &str) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.clone())
            .expect("a certificate that was just made");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(config).into()
    }
}
