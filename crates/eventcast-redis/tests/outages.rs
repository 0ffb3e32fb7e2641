//! Servers that are killed, stopped and emptied, and connections that are cut.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{AppendError, Backplane, OutcomeKnown};
use eventcast_redis::RedisBackplane;
use support::{
    DURABLE, Entry, Recorder, Server, attach, body, events, keyed, page, publish, publish_surely,
    text,
};
use tokio::sync::watch;

/// Publishes numbered texts with keys, one after the other, until it is told to end; each is tried
/// until it is acknowledged. Answers with the texts in their order.
fn publisher(
    node: &Arc<RedisBackplane>,
    who: &'static str,
    channel: &'static str,
) -> (
    tokio::task::JoinHandle<Vec<String>>,
    watch::Sender<bool>,
    watch::Receiver<usize>,
) {
    let node = Arc::clone(node);
    let (end, ended) = watch::channel(false);
    let (count, counted) = watch::channel(0);
    let task = tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        while !*ended.borrow() {
            let text = format!("{who}{}", acknowledged.len());
            while node
                .append(events(channel, vec![keyed(&text)]))
                .await
                .is_err()
            {}
            acknowledged.push(text);
            count.send_replace(acknowledged.len());
        }
        acknowledged
    });
    (task, end, counted)
}

async fn at_least(count: &mut watch::Receiver<usize>, more: usize) {
    let goal = *count.borrow() + more;
    let reached = tokio::time::timeout(Duration::from_secs(60), count.wait_for(|c| *c >= goal));
    reached.await.expect("publishing goes on").unwrap();
}

/// Each publisher's texts, whole and in order, in what was seen, and nothing else.
fn has_all(seen: &[String], published: &[(&str, Vec<String>)]) {
    let mut total = 0;
    for (who, texts) in published {
        let own: Vec<_> = seen
            .iter()
            .filter(|text| text.starts_with(who))
            .cloned()
            .collect();
        assert_eq!(&own, texts);
        total += texts.len();
    }
    assert_eq!(seen.len(), total);
}

fn forks(recorder: &Recorder) -> usize {
    let is_fork = |entry: &&Entry| matches!(entry, Entry::Forked(_));
    recorder.entries().iter().filter(is_fork).count()
}

fn has_recovered(seen: &[Entry], times: usize) -> bool {
    seen.iter()
        .filter(|e| matches!(e, Entry::Recovered))
        .count()
        >= times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_acknowledged() {
    let mut server = Server::start(DURABLE);
    let a = Arc::new(server.node().await);
    let b = Arc::new(server.node().await);
    let (seen_a, seen_b) = (attach(&a).await, attach(&b).await);
    let (task_a, end_a, mut count_a) = publisher(&a, "a", "x");
    let (task_b, end_b, mut count_b) = publisher(&b, "b", "y");
    for _ in 0..3 {
        at_least(&mut count_a, 50).await;
        at_least(&mut count_b, 50).await;
        server.kill();
        server.restart();
    }
    at_least(&mut count_a, 50).await;
    at_least(&mut count_b, 50).await;
    end_a.send_replace(true);
    end_b.send_replace(true);
    let published = [("a", task_a.await.unwrap()), ("b", task_b.await.unwrap())];
    let total = published.iter().map(|(_, texts)| texts.len()).sum();
    for seen in [&seen_a, &seen_b] {
        seen.until_texts(total).await;
        has_all(&seen.texts(), &published);
        assert_eq!(forks(seen), 0, "nothing was lost, which can be proven");
        assert!(has_recovered(&seen.entries(), 1));
    }
    assert_eq!(seen_a.texts(), seen_b.texts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_nothing() {
    let server = Server::start(&[]);
    let a = Arc::new(server.node().await);
    let b = Arc::new(server.node().await);
    let (seen_a, seen_b) = (attach(&a).await, attach(&b).await);
    let (task_a, end_a, mut count_a) = publisher(&a, "a", "x");
    let (task_b, end_b, mut count_b) = publisher(&b, "b", "y");
    for kind in ["pubsub", "normal", "pubsub"] {
        at_least(&mut count_a, 50).await;
        at_least(&mut count_b, 50).await;
        server
            .command(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"])
            .await;
    }
    for seen in [&seen_a, &seen_b] {
        seen.until(|seen| has_recovered(seen, 1)).await;
    }
    at_least(&mut count_a, 50).await;
    at_least(&mut count_b, 50).await;
    end_a.send_replace(true);
    end_b.send_replace(true);
    let published = [("a", task_a.await.unwrap()), ("b", task_b.await.unwrap())];
    let total = published.iter().map(|(_, texts)| texts.len()).sum();
    for seen in [&seen_a, &seen_b] {
        seen.until_texts(total).await;
        has_all(&seen.texts(), &published);
        assert_eq!(forks(seen), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_server_stalls_and_recovers() {
    let server = Server::start(&[]);
    let config = server
        .config()
        .with_ping(Duration::from_millis(20), Duration::from_secs(1))
        .with_publish_timeout(Duration::from_secs(2));
    let node = RedisBackplane::connect(config).await.unwrap();
    let seen = attach(&node).await;
    publish_surely(&node, "x", "before").await;
    seen.until_texts(1).await;
    server.signal("STOP");
    let plain = node.append(events("x", vec![body("plain")]));
    let late = node.append(events("x", vec![keyed("keyed")]));
    let (plain, late) = tokio::join!(plain, late);
    for failed in [plain, late] {
        let Err(AppendError::Unavailable { outcome, .. }) = failed else {
            panic!("{failed:?}");
        };
        assert_eq!(outcome, OutcomeKnown::Unknown);
    }
    seen.until(|seen| seen.iter().any(|e| matches!(e, Entry::Stalled)))
        .await;
    let refused = node.append(events("x", vec![body("refused")])).await;
    let Err(AppendError::Unavailable { outcome, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(outcome, OutcomeKnown::NotStored);
    server.signal("CONT");
    seen.until(|seen| has_recovered(seen, 1)).await;
    publish_surely(&node, "x", "keyed").await;
    publish_surely(&node, "x", "after").await;
    seen.until(|seen| support::records(seen).any(|r| text(r) == "after"))
        .await;
    let texts = seen.texts();
    let count = |of: &str| texts.iter().filter(|text| *text == of).count();
    assert_eq!((count("before"), count("keyed"), count("after")), (1, 1, 1));
    assert_eq!(count("refused"), 0);
    let stored: Vec<_> = page(&node, "x", 0).await.records.iter().map(text).collect();
    assert_eq!(stored, texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_server_is_a_fork_for_all_nodes() {
    let mut server = Server::start(DURABLE);
    let (a, b) = (server.node().await, server.node().await);
    let (seen_a, seen_b) = (attach(&a).await, attach(&b).await);
    let last = publish(&a, "x", "old").await;
    for seen in [&seen_a, &seen_b] {
        seen.until_texts(1).await;
    }
    let old = support::records(&seen_a.entries()).next().unwrap().position;
    server.kill();
    server.wipe();
    server.restart();
    let mut lineages = Vec::new();
    for seen in [&seen_a, &seen_b] {
        seen.until(|seen| has_recovered(seen, 1)).await;
        assert_eq!(forks(seen), 1, "{:?}", seen.entries());
        let entries = seen.entries();
        let lineage = entries.iter().find_map(|entry| match entry {
            Entry::Forked(lineage) => Some(lineage.clone()),
            _ => None,
        });
        lineages.push(lineage.unwrap());
    }
    assert_eq!(lineages[0], lineages[1]);
    assert_eq!(lineages[0].first(), last + (1 << 32));
    assert!(lineages[0].knows(old.epoch()) && !lineages[0].holds(old));
    let next = publish(&b, "x", "new").await;
    assert_eq!(next, last + (1 << 32));
    for seen in [&seen_a, &seen_b] {
        seen.until_texts(2).await;
        let newest = support::records(&seen.entries()).last().unwrap().position;
        assert_eq!(newest, lineages[0].position(next));
    }
    // What was there is gone, and that is told.
    let trim_mark = eventcast_core::ReplayStore::facts(&a, &support::name("x")).await;
    assert_eq!(trim_mark.unwrap().trim_mark, last + (1 << 32) - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_that_may_have_lost_something_is_a_fork() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let (a, b) = (server.node().await, server.node().await);
    let (seen_a, seen_b) = (attach(&a).await, attach(&b).await);
    let last = publish(&a, "x", "kept").await;
    seen_a.until_texts(1).await;
    let old = support::records(&seen_a.entries()).next().unwrap().position;
    server.shut_down();
    server.restart();
    for seen in [&seen_a, &seen_b] {
        seen.until(|seen| has_recovered(seen, 1)).await;
        assert_eq!(forks(seen), 1);
        let entries = seen.entries();
        let Some(Entry::Forked(lineage)) = entries
            .iter()
            .find(|entry| matches!(entry, Entry::Forked(_)))
        else {
            unreachable!()
        };
        assert!(lineage.holds(old), "what is still there can be resumed");
        assert!(lineage.first() > last + (1 << 32) - 1);
    }
    assert_eq!(page(&b, "x", 0).await.records.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_removed_under_its_nodes_is_a_fork() {
    let server = Server::start(&[]);
    let (a, b) = (server.node().await, server.node().await);
    let (seen_a, seen_b) = (attach(&a).await, attach(&b).await);
    let last = publish(&a, "x", "old").await;
    server.command(&["FLUSHALL"]).await;
    let next = publish(&b, "x", "new").await;
    assert!(next > last + (1 << 32) - 1);
    for seen in [&seen_a, &seen_b] {
        seen.until(|seen| support::records(seen).any(|r| text(r) == "new"))
            .await;
        assert_eq!(forks(seen), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missed_is_given_or_said_to_be() {
    let server = Server::start(&[]);
    let small = server.config().with_queue(10, 1 << 20);
    let (a, b) = (
        server.node().await,
        RedisBackplane::connect(small).await.unwrap(),
    );
    // Nobody takes what is pushed before the hub is attached, so that most finds no room.
    for number in 0..100 {
        publish(&a, "x", &number.to_string()).await;
    }
    let seen = attach(&b).await;
    seen.until(|seen| seen.iter().any(|e| matches!(e, Entry::Skipped(_))))
        .await;
    let last = publish(&a, "x", "last").await;
    seen.until(|seen| support::records(seen).any(|r| text(r) == "last"))
        .await;
    // What was skipped and what was given are all there is.
    let mut next = 1;
    for entry in seen.entries() {
        match entry {
            Entry::Record(record) => {
                assert_eq!(record.position.sequence(), next);
                next += 1;
            }
            Entry::Skipped(until) => next = until + 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next, last + 1);
}

#[tokio::test]
async fn garbage_on_the_topic_is_passed_over() {
    let server = Server::start(&[]);
    let node = server.node().await;
    let seen = attach(&node).await;
    for garbage in [
        "",
        "R",
        "R 1 2\n",
        "F x\n",
        "R 1 18446744073709551615 1 2\nx\n\u{1}\u{3}",
    ] {
        server
            .command(&["PUBLISH", "{eventcast}:0:records", garbage])
            .await;
        server
            .command(&["PUBLISH", "{eventcast}:0:messages", garbage])
            .await;
    }
    publish(&node, "x", "good").await;
    seen.until_texts(1).await;
    assert_eq!(seen.texts(), ["good"]);
}

#[tokio::test]
async fn a_garbled_log_is_an_error() {
    let server = Server::start(&[]);
    let node = server.node().await;
    publish(&node, "x", "good").await;
    let bad = [
        "XADD",
        "{eventcast}:s:x",
        "2-0",
        "t",
        "1",
        "c",
        "1",
        "b",
        "\u{7f}",
    ];
    server.command(&bad).await;
    let query = eventcast_core::PageQuery {
        after: 0,
        until: 10,
        limit: 10,
        bytes: eventcast_core::PageQuery::MAX_BYTES,
        backwards: false,
    };
    let read = eventcast_core::ReplayStore::page(&node, &support::name("x"), query).await;
    assert!(read.is_err());
    server
        .command(&["HSET", "{eventcast}:log", "seq", "many", "lineage", "1:2"])
        .await;
    assert!(RedisBackplane::connect(server.config()).await.is_err());
    let failed = node.append(events("x", vec![body("x")])).await;
    assert!(matches!(failed, Err(AppendError::Unavailable { .. })));
    server.command(&["DEL", "{eventcast}:log"]).await;
    server.command(&["SET", "{eventcast}:log", "text"]).await;
    assert!(RedisBackplane::connect(server.config()).await.is_err());
}
