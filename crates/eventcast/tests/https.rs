//! TLS: the versions of HTTP agreed on, everything as without it, and handshakes that are none.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use eventcast::rustls::crypto::ring;
use eventcast::rustls::pki_types::pem::PemObject;
use eventcast::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use eventcast::{ServerConfig, TlsConfig, TlsError, rustls};
use http::Method;
use support::client::Client;
use support::tls::{Identity, Secure, connect_narrow, serve, serve_with};
use support::websocket::{WebSocket, handshake};
use support::{HOST, get, id, quiet, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const NEWS: &str = "/events?channel=news";

#[tokio::test]
async fn a_cut_and_a_resume_over_http2() {
    let secure = Secure::start(ServerConfig::new()).await;
    let client = secure.http2().await;
    let own = [("origin", "https://events.test")];
    let mut stream = client.stream(NEWS, &own).await;
    secure.server.publish("news", "one");
    let seen = stream.event().await;
    assert_eq!(seen.last_event_id, id(1));
    client.running.abort();
    secure.server.assert_sessions_end().await;
    secure.server.publish("news", "two");

    let client = secure.http2().await;
    let headers = [("last-event-id", &*seen.last_event_id)];
    let mut stream = client.stream(NEWS, &headers).await;
    assert_eq!(stream.event().await.data, "two");
    let answer = client.ask(Method::GET, "/healthz", &[], "").await;
    assert_eq!(answer.status(), 200);
}

/// The server writes these without hyper, into TLS.
#[tokio::test]
async fn a_cut_and_a_resume_over_http1() {
    let secure = Secure::start(ServerConfig::new()).await;
    for protocols in [&["http/1.1"][..], &[]] {
        let mut stream = secure.stream(NEWS, protocols, &[]).await;
        assert_eq!(stream.head.header("connection"), Some("close"));
        secure.server.publish("news", "one");
        let seen = stream.event().await;
        assert_eq!(seen.data, "one");
        stream.client.reset();
        secure.server.assert_sessions_end().await;
        secure.server.publish("news", "two");
        let headers = [("Last-Event-ID", &*seen.last_event_id)];
        let mut stream = secure.stream(NEWS, protocols, &headers).await;
        assert_eq!(stream.event().await.data, "two");
    }
}

/// More than TLS keeps for itself.
#[tokio::test]
async fn large_events() {
    let secure = Secure::start(ServerConfig::new()).await;
    let mut old = secure.stream(NEWS, &["http/1.1"], &[]).await;
    let client = secure.http2().await;
    let mut new = client.stream(NEWS, &[]).await;
    let text = "x".repeat(256 << 10);
    for _ in 0..16 {
        secure.server.publish("news", &text);
        assert_eq!(old.event().await.data, text);
        assert_eq!(new.event().await.data, text);
    }
}

/// The end of what TLS took before the socket had room must not wait for the next event.
#[tokio::test]
async fn the_end_of_a_large_event() {
    let identity = Identity::new();
    let service = quiet().with_heartbeat(Duration::from_secs(3_600));
    let server = serve_with(service, identity.config(), ServerConfig::new()).await;
    let secure = Secure { server, identity };
    let stream = connect_narrow(secure.server.address).await;
    let mut reader = secure.handshake(stream, &["http/1.1"]).await;
    reader.write_all(get(NEWS, &[]).as_bytes()).await.unwrap();
    let mut received = Vec::new();
    for (size, end) in [(0, "a0\n\n"), (1_000_000, "a1\n\n"), (40_000, "a2\n\n")] {
        if size > 0 {
            secure.server.publish("news", "x".repeat(size));
        }
        within(async {
            while !received
                .windows(end.len())
                .any(|part| part == end.as_bytes())
            {
                assert!(reader.read_buf(&mut received).await.unwrap() > 0);
                let done = received.len().saturating_sub(64);
                received.drain(..done);
            }
        })
        .await;
    }
}

#[tokio::test]
async fn websockets_either_way() {
    let secure = Secure::start(ServerConfig::new()).await;
    let mut client = secure.http1(&["http/1.1"]).await;
    client.send(handshake(NEWS, &[])).await;
    let head = client.head().await;
    assert_eq!(head.status, 101);
    let mut old = WebSocket { head, client };
    old.message("open").await;
    let http2 = secure.http2().await;
    let (_, mut new) = http2.websocket(NEWS, &[]).await;
    secure.server.publish("news", "hello");
    assert_eq!(old.message("event").await["data"], "hello");
    for expected in ["\"type\":\"open\"", "\"data\":\"hello\""] {
        let message = within(futures_util::StreamExt::next(&mut new)).await;
        let message = message.unwrap().unwrap();
        assert!(message.to_text().unwrap().contains(expected), "{message}");
    }
}

/// Handshakes that do not get on are cut, and nobody waits for them.
#[tokio::test]
async fn slow_handshakes() {
    let config = ServerConfig::new().with_header_timeout(Duration::from_millis(300));
    let secure = Secure::start(config).await;
    let mut slow = Vec::new();
    for n in 0..30 {
        let mut client = Client::connect(secure.server.address).await;
        // A ClientHello's beginning, of a length that does not come.
        client
            .send(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..n % 12])
            .await;
        slow.push(client);
    }
    let mut stream = secure.stream(NEWS, &["http/1.1"], &[]).await;
    secure.server.publish("news", "hello");
    assert_eq!(stream.event().await.data, "hello");
    for mut client in slow {
        client.take_all().await;
    }
    // What was open in time goes on.
    secure.server.publish("news", "still");
    assert_eq!(stream.event().await.data, "still");
}

#[tokio::test]
async fn what_is_not_tls() {
    let secure = Secure::start(ServerConfig::new()).await;
    for bytes in [get(NEWS, &[]).as_bytes(), &[0x80; 64], &[0x16; 64]] {
        let mut client = Client::connect(secure.server.address).await;
        client.send(bytes).await;
        let answer = client.take_all().await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    secure.assert_serves().await;
    // A client that trusts somebody else.
    let stream = within(TcpStream::connect(secure.server.address))
        .await
        .unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    let stranger = Identity::new().client(&["h2"]);
    assert!(within(stranger.connect(name, stream)).await.is_err());
    secure.assert_serves().await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_cut() {
    let config = ServerConfig::new().with_write_timeout(Duration::from_millis(200));
    let secure = Secure::start(config).await;
    let stream = connect_narrow(secure.server.address).await;
    let mut stuck = secure.handshake(stream, &["http/1.1"]).await;
    stuck.write_all(get(NEWS, &[]).as_bytes()).await.unwrap();
    within(async {
        while secure.server.service.subscribers().sse == 0 {
            tokio::task::yield_now().await;
        }
        while secure.server.service.subscribers().sse > 0 {
            secure.server.publish("news", "x".repeat(16 << 10));
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_ends_streams() {
    let mut secure = Secure::start(ServerConfig::new()).await;
    let mut old = secure.stream(NEWS, &["http/1.1"], &[]).await;
    let client = secure.http2().await;
    let mut new = client.stream(NEWS, &[]).await;
    new.control("open").await;
    secure.server.begin_shutdown();
    assert!(old.rest().await.contains("eventcast.draining"));
    assert!(old.client.take_all().await.is_empty());
    new.control("draining").await;
    assert!(new.next().await.is_none());
    client.ended().await;
    secure.server.finished().await;
}

#[tokio::test]
async fn a_configuration_of_ones_own() {
    let identity = Identity::new();
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
    let provider = Arc::new(ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.unwrap()], key.unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let server = serve(config.into(), ServerConfig::new()).await;
    let secure = Secure { server, identity };
    let stream = secure.connect(&["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    secure.assert_serves().await;
}

#[test]
fn what_is_no_certificate_or_key() {
    let (one, other) = (Identity::new(), Identity::new());
    let error = |certificate: &str, key: &str| {
        TlsConfig::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err()
    };
    let broken = one.certificate.replace("-----END", "----END");
    for certificate in ["", "no PEM", &one.key, &broken] {
        let error = error(certificate, &one.key);
        assert!(matches!(error, TlsError::Certificate(_)), "{error:?}");
    }
    for key in ["", "no PEM", &one.certificate] {
        let error = error(&one.certificate, key);
        assert!(matches!(error, TlsError::Key(_)), "{error:?}");
    }
    let mismatch = error(&one.certificate, &other.key);
    assert!(matches!(mismatch, TlsError::Rejected(_)), "{mismatch:?}");
    // Nothing of a key is in what may be logged.
    let config = one.config();
    assert_eq!(format!("{config:?}"), "TlsConfig { .. }");
}

#[cfg(feature = "self-signed")]
#[tokio::test]
async fn a_certificate_for_development() {
    let tls = TlsConfig::self_signed([HOST.to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let server = serve(tls, ServerConfig::new()).await;
    let secure = Secure {
        server,
        identity: Identity::new(),
    };
    let stream = within(TcpStream::connect(secure.server.address))
        .await
        .unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    let connecting = secure.identity.client(&["h2"]).connect(name, stream);
    // It is served, and trusted by nobody who was not told.
    let error = within(connecting).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(TlsConfig::self_signed(["\u{0}é".to_owned()]).is_err());
}
