use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eventcast_core::{
    AppendError, Backplane, Body, OutcomeKnown, PageQuery, Position, ReplayStore,
};
use eventcast_nats::{NatsBackplane, NatsConfig};

use crate::server::Server;
use crate::sink::Notes;
use crate::{Node, append, channel, config, impatient, keyed, node};

/// Publishes to two channels until told to stop, retrying what may or may not be stored with its
/// key; returns what was acknowledged.
async fn publish_until(
    node: Arc<Node>,
    who: &str,
    stop: Arc<AtomicBool>,
) -> Vec<(String, Position)> {
    let mut given = Vec::new();
    let mut index = 0;
    while !stop.load(Ordering::Relaxed) {
        let text = format!("{who}-{index}");
        let name = if index % 3 == 0 { "shared" } else { who };
        match node
            .log
            .append(append(name, vec![keyed(&text, &text)]))
            .await
        {
            Ok(positions) => {
                given.push((text, positions[0]));
                index += 1;
            }
            Err(AppendError::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    given
}

/// What was acknowledged is there once, and every sink has all of it in order.
async fn judge(nodes: &[Arc<Node>], given: &[(String, Position)]) {
    let positions: HashSet<_> = given.iter().map(|(_, position)| *position).collect();
    assert_eq!(positions.len(), given.len(), "no position stands for two");
    for node in nodes {
        node.sink
            .until("everything", |seen| {
                let seen: HashSet<_> = seen.records.iter().map(|r| r.position).collect();
                positions.is_subset(&seen)
            })
            .await;
        let seen = node.sink.seen();
        let sequences: Vec<_> = seen.records.iter().map(|r| r.position.sequence()).collect();
        assert!(
            sequences.is_sorted_by(|a, b| a < b),
            "order is kept, and nothing comes twice"
        );
        let mut texts = HashSet::new();
        for record in &seen.records {
            let Body::Event(event) = &record.body else {
                panic!("no channel ended");
            };
            let text = event.payload().as_bytes().clone();
            assert!(texts.insert(text.clone()), "{text:?} twice");
        }
        for (text, position) in given {
            let record = seen.records.iter().find(|r| r.position == *position);
            let Some(Body::Event(event)) = record.map(|r| &r.body) else {
                panic!("{text} is not there");
            };
            assert_eq!(event.payload().as_bytes(), text.as_bytes());
        }
        assert!(seen.skipped.is_empty());
    }
}

async fn with_outage(
    config: impl Fn(&Server) -> NatsConfig,
    outage: impl AsyncFn(&mut Server, &[Arc<Node>; 2]),
) -> [Arc<Node>; 2] {
    let mut server = Server::start();
    let nodes = [
        Arc::new(node(config(&server)).await),
        Arc::new(node(config(&server)).await),
    ];
    let stop = Arc::new(AtomicBool::new(false));
    let [a, b] = nodes.clone();
    let a = tokio::spawn(publish_until(a, "a", stop.clone()));
    let b = tokio::spawn(publish_until(b, "b", stop.clone()));
    for round in 1..=3 {
        let more = nodes[0].sink.look(|s| s.records.len()) + 200;
        nodes[0]
            .sink
            .until("some publishing", |s| s.records.len() >= more)
            .await;
        outage(&mut server, &nodes).await;
        for node in &nodes {
            let what = "both to recover";
            node.sink
                .until(what, |s| s.recovered >= round && s.stalled == s.recovered)
                .await;
        }
    }
    let more = nodes[0].sink.look(|s| s.records.len()) + 200;
    nodes[0]
        .sink
        .until("publishing after it", |s| s.records.len() >= more)
        .await;
    stop.store(true, Ordering::Relaxed);
    let mut given = a.await.unwrap();
    given.extend(b.await.unwrap());
    judge(&nodes, &given).await;
    nodes
}

/// An outage that only one of them had noticed would leave the other nothing to recover from.
async fn noticed(nodes: &[Arc<Node>; 2]) {
    for node in nodes {
        node.sink
            .until("it to be noticed", |s| s.stalled > s.recovered)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_two_nodes_publish() {
    let nodes = with_outage(config, async |server, nodes| {
        server.kill();
        noticed(nodes).await;
        server.run();
    })
    .await;
    // The server syncs, so it is the same epoch.
    assert!(
        nodes
            .iter()
            .all(|node| node.sink.look(|s| s.forks.is_empty()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_without_syncing_starts_an_epoch_that_costs_nothing() {
    let unsynced = |server: &Server| NatsConfig::new([server.url()], "test");
    let nodes = with_outage(unsynced, async |server, nodes| {
        server.kill();
        noticed(nodes).await;
        server.run();
    })
    .await;
    let forks: Vec<_> = nodes
        .iter()
        .map(|node| node.sink.look(|s| s.forks.clone()))
        .collect();
    assert_eq!(forks[0].len(), 3);
    assert_eq!(forks[0], forks[1], "both know the same epochs");
    for node in nodes {
        let seen = node.sink.seen();
        let lineage = &seen.forks[2];
        assert!(seen.records.iter().all(|r| lineage.holds(r.position)));
        for (fork, at) in seen.forks.iter().zip(&seen.forked_at) {
            assert!(
                seen.records[..*at]
                    .iter()
                    .all(|r| r.position.sequence() < fork.first())
            );
            assert!(
                seen.records[*at..]
                    .iter()
                    .all(|r| r.position.sequence() >= fork.first())
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_and_continued() {
    with_outage(impatient, async |server, nodes| {
        server.stop();
        noticed(nodes).await;
        server.resume();
    })
    .await;
}

#[tokio::test]
async fn away_for_good_an_append_fails_in_time_and_says_what_is_known() {
    let mut server = Server::start();
    let wait = Duration::from_millis(500);
    let node = node(config(&server).with_publish_timeout(wait)).await;
    node.publish("c", "1").await;
    server.kill();
    node.sink
        .until("it to be noticed", |s| s.stalled == 1)
        .await;
    let failed = node.log.append(append("c", vec![keyed("2", "k")])).await;
    let Err(AppendError::Unavailable {
        outcome, waited, ..
    }) = failed
    else {
        panic!("{failed:?}");
    };
    assert_eq!(outcome, OutcomeKnown::NotStored);
    assert!(waited >= wait);
    let query = PageQuery {
        after: 0,
        until: u64::MAX,
        limit: 1,
        bytes: PageQuery::MAX_BYTES,
        backwards: false,
    };
    assert!(node.log.page(&channel("c"), query).await.is_err());
    assert!(node.log.broadcast("x".into()).await.is_err());
    node.log.close().await.unwrap();
}

#[tokio::test]
async fn an_error_tells_its_cause_once() {
    let mut server = Server::start();
    let log = NatsBackplane::new(config(&server));
    server.kill();
    let mut error: &dyn Error = &log.attach(Notes::new()).await.unwrap_err();
    let mut told = error.to_string();
    while let Some(cause) = error.source() {
        told = format!("{told}: {cause}");
        error = cause;
    }
    assert_eq!(told.matches("refused").count(), 1, "{told}");
}

#[tokio::test]
async fn stopped_in_the_middle_the_outcome_is_not_known() {
    let server = Server::start();
    let node = node(impatient(&server).with_publish_timeout(Duration::from_millis(600))).await;
    let first = append("c", vec![keyed("1", "j")]);
    node.log.append(first).await.unwrap();
    server.stop();
    let failed = node.log.append(append("c", vec![keyed("2", "k")])).await;
    server.resume();
    let Err(AppendError::Unavailable { outcome, .. }) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(outcome, OutcomeKnown::Unknown);
    node.sink
        .until("recovery", |s| s.recovered == s.stalled)
        .await;
    // The same key is safe: it is there once.
    let again = loop {
        match node.log.append(append("c", vec![keyed("2", "k")])).await {
            Ok(positions) => break positions[0],
            Err(AppendError::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    node.sink
        .until("both records", |s| {
            s.records.iter().any(|r| r.position == again)
        })
        .await;
    assert_eq!(node.sink.look(|s| s.records.len()), 2);
}

/// All nodes agree on one new epoch, above everything that was given.
async fn forked(nodes: &[Node], highest: u64) {
    for node in nodes {
        node.sink.until("a fork", |s| !s.forks.is_empty()).await;
    }
    let next = nodes[0].publish("c", "after").await;
    assert!(next.sequence() > highest + (1 << 32));
    for node in nodes {
        node.sink
            .until("the record", |s| {
                s.records.iter().any(|r| r.position == next)
            })
            .await;
        let seen = node.sink.seen();
        assert_eq!(seen.forks.len(), 1);
        let lineage = &seen.forks[0];
        assert_eq!(lineage, &nodes[0].sink.look(|s| s.forks[0].clone()));
        assert_eq!(lineage.epoch(), next.epoch());
        assert!(lineage.knows(node.attached.lineage.epoch()));
        assert!(!lineage.holds(Position::new(node.attached.lineage.epoch(), highest)));
    }
}

#[tokio::test]
async fn an_emptied_server_is_a_fork() {
    let mut server = Server::start();
    let nodes = [node(config(&server)).await, node(config(&server)).await];
    nodes[0].publish("c", "1").await;
    let highest = nodes[1].publish("c", "2").await.sequence();
    server.kill();
    server.wipe();
    server.run();
    forked(&nodes, highest).await;
}

#[tokio::test]
async fn a_server_put_back_to_an_earlier_state_is_a_fork() {
    let mut server = Server::start();
    let nodes = [node(config(&server)).await, node(config(&server)).await];
    let kept = nodes[0].publish("c", "1").await;
    server.kill();
    server.save();
    server.run();
    for node in &nodes {
        node.sink
            .until("recovery", |s| s.recovered == 1 && s.stalled == 1)
            .await;
    }
    let highest = nodes[1].publish("d", "2").await.sequence();
    for node in &nodes {
        node.sink
            .until("the record", |s| s.records.len() == 2)
            .await;
    }
    server.kill();
    server.restore();
    server.run();
    forked(&nodes, highest).await;
    let lineage = nodes[0].sink.look(|s| s.forks[0].clone());
    assert!(lineage.holds(kept), "what is still there is resumed");
}

#[tokio::test]
async fn a_deleted_stream_is_a_fork() {
    let server = Server::start();
    let nodes = [node(config(&server)).await, node(config(&server)).await];
    let highest = nodes[0].publish("c", "1").await.sequence();
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    jetstream.delete_stream("eventcast-test").await.unwrap();
    forked(&nodes, highest).await;
}
