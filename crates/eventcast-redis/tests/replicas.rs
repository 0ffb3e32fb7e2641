//! Replicas: what they have to have, and what it means when one takes over.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast_core::{AppendError, Backplane, OutcomeKnown};
use eventcast_redis::RedisBackplane;
use support::{DURABLE, Entry, Server, attach, body, events, publish};

/// A replica that has all of the other one's data.
async fn replica(of: &Server) -> Server {
    let address = format!("127.0.0.1 {}", of.port());
    let replica = Server::start(&[DURABLE, &["--replicaof", &address]].concat());
    loop {
        let info = format!("{:?}", replica.command(&["INFO", "replication"]).await);
        if info.contains("master_link_status:up") {
            return replica;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn replicas_are_waited_for() {
    let server = Server::start(&["--repl-diskless-sync-delay", "0"]);
    let config = server
        .config()
        .with_replicas(1)
        .with_publish_timeout(Duration::from_millis(500));
    let node = RedisBackplane::connect(config).await.unwrap();
    let alone = node.append(events("x", vec![body("x")])).await;
    let Err(AppendError::Unavailable { outcome, .. }) = alone else {
        panic!("{alone:?}");
    };
    assert_eq!(outcome, OutcomeKnown::Unknown);
    let _replica = replica(&server).await;
    while node
        .append(events("x", vec![support::keyed("y")]))
        .await
        .is_err()
    {}
}

#[tokio::test]
async fn a_replica_is_no_log() {
    let server = Server::start(&["--repl-diskless-sync-delay", "0"]);
    let replica = replica(&server).await;
    let refused = RedisBackplane::connect(replica.config()).await.unwrap_err();
    assert!(refused.to_string().contains("replica"), "{refused}");
}

/// The node's server loses its place while the node is connected, takes over again, and in between
/// had the data of another.
#[tokio::test]
async fn a_server_that_was_a_replica_meanwhile_is_a_fork() {
    let server = Server::start(&[DURABLE, &["--repl-diskless-sync-delay", "0"]].concat());
    let node = server.node().await;
    let seen = attach(&node).await;
    publish(&node, "x", "x").await;
    seen.until_texts(1).await;
    let other = replica(&server).await;
    // The first replica changes the server's replication id, and nothing else.
    publish(&node, "x", "still").await;
    seen.until_texts(2).await;
    assert_eq!(seen.entries().len(), 2, "{:?}", seen.entries());
    other.command(&["REPLICAOF", "NO", "ONE"]).await;
    let port = other.port().to_string();
    server.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    seen.until(|seen| seen.iter().any(|entry| matches!(entry, Entry::Stalled)))
        .await;
    server.command(&["REPLICAOF", "NO", "ONE"]).await;
    seen.until(|seen| seen.iter().any(|entry| matches!(entry, Entry::Recovered)))
        .await;
    let entries = seen.entries();
    assert!(
        entries
            .iter()
            .any(|entry| matches!(entry, Entry::Forked(_))),
        "{entries:?}"
    );
    assert!(publish(&node, "x", "y").await > 1 << 32);
}
