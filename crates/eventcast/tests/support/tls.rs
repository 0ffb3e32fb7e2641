//! A server behind TLS, and clients that trust it.

use std::net::SocketAddr;
use std::sync::Arc;

use eventcast::rustls::crypto::ring;
use eventcast::rustls::pki_types::pem::PemObject;
use eventcast::rustls::pki_types::{CertificateDer, ServerName};
use eventcast::rustls::{ClientConfig, RootCertStore};
use eventcast::{EventService, Hub, Server, ServerConfig, ServiceConfig, TlsConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::Client;
use super::http2::{Http2, wide};
use super::stream::EventStream;
use super::{HOST, TestServer, get, known_ids, quiet, within};

/// A certificate of its own and the key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    pub(crate) fn config(&self) -> TlsConfig {
        TlsConfig::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }

    /// A client that trusts it and nobody else.
    pub(crate) fn client(&self, protocols: &[&str]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes());
        roots.add(certificate.unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Arc::new(config).into()
    }
}

/// A server, and what its clients have to know.
pub(crate) struct Secure {
    pub(crate) server: TestServer,
    pub(crate) identity: Identity,
}

impl Secure {
    pub(crate) async fn start(config: ServerConfig) -> Self {
        let identity = Identity::new();
        let server = serve(identity.config(), config).await;
        Self { server, identity }
    }

    pub(crate) async fn connect(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        let stream = within(TcpStream::connect(self.server.address))
            .await
            .unwrap();
        self.handshake(stream, protocols).await
    }

    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        protocols: &[&str],
    ) -> TlsStream<TcpStream> {
        let name = ServerName::try_from(HOST).unwrap();
        let connecting = self.identity.client(protocols).connect(name, stream);
        within(connecting).await.unwrap()
    }

    pub(crate) async fn http2(&self) -> Http2 {
        let stream = self.connect(&["h2", "http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Http2::over(stream, "https", &wide()).await
    }

    /// A client of HTTP/1.1: its bytes go through a tunnel, so that it need not know of TLS.
    pub(crate) async fn http1(&self, protocols: &[&str]) -> Client {
        let mut encrypted = self.connect(protocols).await;
        let agreed = encrypted.get_ref().1.alpn_protocol();
        assert_eq!(agreed, protocols.last().map(|name| name.as_bytes()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::connect(listener.local_addr().unwrap()).await;
        let (mut near, _) = listener.accept().await.unwrap();
        tokio::spawn(async move { copy_bidirectional(&mut near, &mut encrypted).await });
        client
    }

    pub(crate) async fn stream(
        &self,
        target: &str,
        protocols: &[&str],
        headers: &[(&str, &str)],
    ) -> EventStream {
        let mut client = self.http1(protocols).await;
        client.send(get(target, headers)).await;
        EventStream::read_from(client).await
    }

    pub(crate) async fn assert_serves(&self) {
        let mut client = self.http1(&["http/1.1"]).await;
        client.send(get("/healthz", &[])).await;
        assert_eq!(client.response().await.head.status, 200);
    }
}

/// A client whose kernel takes little that is not read.
pub(crate) async fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    within(socket.connect(address)).await.unwrap()
}

pub(crate) async fn serve(tls: TlsConfig, config: ServerConfig) -> TestServer {
    serve_with(quiet(), tls, config).await
}

pub(crate) async fn serve_with(
    service: ServiceConfig,
    tls: TlsConfig,
    config: ServerConfig,
) -> TestServer {
    let service = EventService::new(Hub::with_config(known_ids()), service);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(any, service.clone()).await.unwrap();
    let config = config.with_drain_window(std::time::Duration::ZERO);
    TestServer::run(server.with_config(config).with_tls(tls), service)
}
