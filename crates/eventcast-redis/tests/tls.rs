//! Connections by TLS.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::fs;

use eventcast_redis::{RedisBackplane, RedisConfig};
use support::{Server, attach, publish};

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_and_no_other() {
    let signed = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (own, other) = (signed("localhost"), signed("localhost"));
    let name = format!("eventcast-redis-tls-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&certificate, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let server = Server::start_secure(&certificate, &key);
    fs::remove_dir_all(&folder).unwrap();

    let config = |host: &str, pem: String| {
        let url = format!("rediss://{host}:{}", server.port());
        RedisConfig::new(&url).unwrap().with_root_certificates(pem)
    };
    let node = RedisBackplane::connect(config("localhost", own.cert.pem()))
        .await
        .unwrap();
    let seen = attach(&node).await;
    publish(&node, "x", "hello").await;
    seen.until_texts(1).await;
    let foreign = RedisBackplane::connect(config("localhost", other.cert.pem()));
    assert!(foreign.await.is_err());
    let misnamed = RedisBackplane::connect(config("127.0.0.1", own.cert.pem()));
    assert!(misnamed.await.is_err());
}
