use std::time::Duration;

use eventcast_core::{Backplane, PageQuery, ReplayStore};
use eventcast_nats::{NatsAuth, NatsBackplane, NatsConfig};
use rcgen::{CertificateParams, KeyPair};

use crate::server::Server;
use crate::sink::Notes;
use crate::{channel, config, node};

async fn refused(config: NatsConfig) -> bool {
    let config = config.with_publish_timeout(Duration::from_secs(2));
    NatsBackplane::new(config)
        .attach(Notes::new())
        .await
        .is_err()
}

#[tokio::test]
async fn two_namespaces_do_not_see_each_other() {
    let server = Server::start();
    let a = node(config(&server)).await;
    let b = node(NatsConfig::new([server.url()], "other").with_synced_server()).await;
    a.publish("c", "1").await;
    let query = PageQuery {
        after: 0,
        until: u64::MAX,
        limit: 10,
        bytes: PageQuery::MAX_BYTES,
        backwards: false,
    };
    let page = b.log.page(&channel("c"), query).await.unwrap();
    assert!(page.records.is_empty() && page.trim_mark == 0);
    let own = b.publish("c", "2").await;
    b.sink.until("its record", |s| !s.records.is_empty()).await;
    assert_eq!(b.sink.look(|s| s.records[0].position), own);
    assert_ne!(a.attached.lineage, b.attached.lineage);
    assert!(refused(NatsConfig::new([server.url()], "no spaces")).await);
}

#[tokio::test]
async fn names_and_passwords() {
    let server = Server::with("authorization { user: ann, password: secret }", "", "nats");
    let auth = NatsAuth::UserPassword("ann".to_owned(), "secret".to_owned());
    assert!(!format!("{:?}", config(&server).with_auth(auth.clone())).contains("secret"));
    let ann = node(config(&server).with_auth(auth)).await;
    ann.publish("c", "1").await;
    let wrong = NatsAuth::UserPassword("ann".to_owned(), "guess".to_owned());
    assert!(refused(config(&server).with_auth(wrong)).await);
    assert!(refused(config(&server)).await);
}

#[tokio::test]
async fn tokens() {
    let server = Server::with("authorization { token: \"s3cr3t\" }", "", "nats");
    let auth = NatsAuth::Token("s3cr3t".to_owned());
    node(config(&server).with_auth(auth))
        .await
        .publish("c", "1")
        .await;
    assert!(refused(config(&server).with_auth(NatsAuth::Token("x".to_owned()))).await);
}

#[tokio::test]
async fn nkeys() {
    let key = nkeys::KeyPair::new_user();
    let users = format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}",
        key.public_key()
    );
    let server = Server::with(&users, "", "nats");
    let auth = NatsAuth::NkeySeed(key.seed().unwrap());
    node(config(&server).with_auth(auth))
        .await
        .publish("c", "1")
        .await;
    let other = nkeys::KeyPair::new_user().seed().unwrap();
    assert!(refused(config(&server).with_auth(NatsAuth::NkeySeed(other))).await);
    // A credentials file that is not there is an error, not a panic.
    assert!(refused(config(&server).with_auth(NatsAuth::CredentialsFile("none".into()))).await);
}

#[tokio::test]
async fn tls_with_a_certificate_of_our_own() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let folder = std::env::temp_dir().join(format!("eventcast-nats-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (cert, secret) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&secret, key.serialize_pem()).unwrap();
    let tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
        cert.display(),
        secret.display()
    );
    let server = Server::with(&tls, "", "tls");
    let node = node(config(&server).with_root_certificates(&cert)).await;
    node.publish("c", "1").await;
    assert!(refused(config(&server)).await, "nobody vouches for it");
    std::fs::remove_dir_all(folder).unwrap();
}
