//! The same over TLS, with HTTP/2 on offer, and nothing for a server that is not trusted.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::sync::Arc;

use eventcast::Event;
use eventcast_client::rustls::crypto::ring;
use eventcast_client::rustls::pki_types::PrivateKeyDer;
use eventcast_client::rustls::{ClientConfig, RootCertStore, ServerConfig};
use support::{ALL, TestServer, connected, next, text};
use tokio::io::{copy_bidirectional, duplex};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

#[tokio::test]
async fn every_transport_goes_over_tls() {
    let made = rcgen::generate_simple_self_signed(["events.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth();
    let certificate = made.cert.der().clone();
    let mut config = config
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());

    for transport in ALL {
        let server = TestServer::open().await;
        server.hub.try_publish("a", Event::text("secret")).unwrap();
        let (address, acceptor) = (server.address, acceptor.clone());
        let dial = move |_, _| {
            let acceptor = acceptor.clone();
            async move {
                let (client, proxy) = duplex(1 << 16);
                tokio::spawn(async move {
                    // A client that does not trust the server goes away.
                    if let Ok(mut proxy) = acceptor.accept(proxy).await {
                        let mut onward = TcpStream::connect(address).await.unwrap();
                        let _ = copy_bidirectional(&mut proxy, &mut onward).await;
                    }
                });
                Ok(client)
            }
        };
        let url = "https://events.test/events?channel=a&start=earliest";
        let builder = || support::builder(url).with_transports([transport]);
        let trusting = builder()
            .with_dialer(dial.clone())
            .with_tls(Arc::clone(&config));
        let mut client = trusting.connect().unwrap();
        assert_eq!(next(&mut client, connected).await, transport);
        assert_eq!(next(&mut client, text).await, "secret");

        let mut client = builder().with_dialer(dial).connect().unwrap();
        let first = next(&mut client, Some).await;
        let refused = matches!(first, eventcast_client::Delivery::Reconnecting { .. });
        assert!(refused, "{first:?}");
    }
}
