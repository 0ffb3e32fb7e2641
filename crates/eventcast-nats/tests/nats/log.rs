use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eventcast_core::{
    AppendError, Backplane, Body, ChannelFacts, Durability, Outcome, PageQuery, ReplayStore,
};
use eventcast_nats::{NatsConfig, StreamLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::Server;
use crate::sink::Seen;
use crate::{Node, append, channel, config, keyed, node, text};

const ALL: PageQuery = PageQuery {
    after: 0,
    until: u64::MAX,
    limit: 1_000,
    bytes: PageQuery::MAX_BYTES,
    backwards: false,
};

async fn sequences(node: &Node, name: &str, query: PageQuery) -> (Vec<u64>, bool) {
    let page = node.log.page(&channel(name), query).await.unwrap();
    let sequences = page.records.iter().map(|r| r.position.sequence());
    (sequences.collect(), page.complete)
}

#[tokio::test]
async fn one_order_for_two_nodes() {
    let server = Server::start();
    let (a, b) = (node(config(&server)).await, node(config(&server)).await);
    assert_eq!(a.attached.committed, 0);
    assert_eq!(a.log.capabilities().durability, Durability::Synced);
    let mut given = Vec::new();
    for index in 0..50 {
        for (node, name) in [(&a, "news"), (&b, "news"), (&b, "orders/eu")] {
            given.push(node.publish(name, &index.to_string()).await);
        }
    }
    for node in [&a, &b] {
        node.sink
            .until("150 records", |s| s.records.len() == 150)
            .await;
        let seen = node.sink.seen();
        let positions: Vec<_> = seen.records.iter().map(|r| r.position).collect();
        assert_eq!(positions, given);
        assert!(seen.records.is_sorted_by_key(|record| record.time));
        assert!(seen.skipped.is_empty() && seen.stalled == 0);
    }
    let late = node(config(&server)).await;
    assert_eq!(late.attached.committed, given[149].sequence());
    assert_eq!(late.attached.lineage, a.attached.lineage);
}

#[tokio::test]
async fn pages_forwards_and_backwards() {
    let server = Server::start();
    let node = node(config(&server)).await;
    let mut given = Vec::new();
    for index in 0..40 {
        let batch = (0..=index % 3).map(|_| text("x")).collect();
        let positions = node.log.append(append("a/b", batch)).await.unwrap();
        given.extend(positions.iter().map(|p| p.sequence()));
        node.publish("other", "y").await;
    }
    assert!(given.is_sorted_by(|a, b| a < b));
    assert_eq!(sequences(&node, "a/b", ALL).await, (given.clone(), true));
    let mut walked = Vec::new();
    loop {
        let after = walked.last().copied().unwrap_or(0);
        let query = PageQuery {
            after,
            limit: 7,
            ..ALL
        };
        let (page, complete) = sequences(&node, "a/b", query).await;
        walked.extend(page);
        if complete {
            break;
        }
    }
    assert_eq!(walked, given);
    let mut back = Vec::new();
    loop {
        let until = back.last().map_or(u64::MAX, |last| last - 1);
        let query = PageQuery {
            until,
            limit: 7,
            bytes: PageQuery::MAX_BYTES,
            backwards: true,
            after: given[1],
        };
        let (page, complete) = sequences(&node, "a/b", query).await;
        back.extend(page);
        if complete {
            break;
        }
    }
    back.reverse();
    assert_eq!(back, given[2..]);
    let between = PageQuery {
        after: given[5],
        until: given[9],
        ..ALL
    };
    assert_eq!(
        sequences(&node, "a/b", between).await,
        (given[6..=9].to_vec(), true)
    );
    assert_eq!(sequences(&node, "nothing", ALL).await, (vec![], true));
}

#[tokio::test]
async fn keys_are_stored_once_over_nodes_and_batches() {
    let server = Server::start();
    let (a, b) = (node(config(&server)).await, node(config(&server)).await);
    let first = a
        .log
        .append(append("c", vec![keyed("1", "k1")]))
        .await
        .unwrap();
    let again = b
        .log
        .append(append("c", vec![keyed("2", "k1")]))
        .await
        .unwrap();
    assert_eq!(first, again);
    let elsewhere = b
        .log
        .append(append("d", vec![keyed("2", "k1")]))
        .await
        .unwrap();
    assert_ne!(first, elsewhere);
    let mixed = vec![
        text("0"),
        keyed("3", "k1"),
        keyed("4", "k2"),
        keyed("5", "k2"),
    ];
    let mixed = b.log.append(append("c", mixed)).await.unwrap();
    assert_eq!(mixed[1], first[0]);
    assert_eq!(mixed[2], mixed[3]);
    let single = a
        .log
        .append(append("c", vec![keyed("6", "k2")]))
        .await
        .unwrap();
    assert_eq!(single[0], mixed[2]);
    let late = node(config(&server)).await;
    let late = late
        .log
        .append(append("c", vec![keyed("7", "k2"), text("8")]))
        .await
        .unwrap();
    assert_eq!(late[0], mixed[2]);
    assert_eq!(sequences(&a, "c", ALL).await.0.len(), 4);
}

#[tokio::test]
async fn nothing_follows_the_end_of_a_channel() {
    let server = Server::start();
    let (a, b) = (node(config(&server)).await, node(config(&server)).await);
    a.publish("job", "1").await;
    b.publish("job", "2").await;
    // Both race with the end; whatever was acknowledged is before it.
    let ending = async {
        let end = vec![text("last"), Body::Completion(Outcome::Complete)];
        a.log.append(append("job", end)).await.unwrap()[1]
    };
    let publishing = async {
        let mut given = Vec::new();
        loop {
            match b.log.append(append("job", vec![text("x")])).await {
                Ok(positions) => given.push(positions[0]),
                Err(AppendError::Completed) => return given,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let (end, given) = tokio::join!(ending, publishing);
    assert!(given.iter().all(|p| p.sequence() < end.sequence()));
    for node in [&a, &b] {
        let refused = node.log.append(append("job", vec![text("x")])).await;
        assert!(matches!(refused, Err(AppendError::Completed)));
        let facts = node.log.facts(&channel("job")).await.unwrap();
        assert_eq!(facts.last, end.sequence());
        assert_eq!(facts.completion.unwrap().position, end);
    }
    assert_eq!(
        sequences(&a, "job", ALL).await.0.last(),
        Some(&end.sequence())
    );
}

#[tokio::test]
async fn what_is_trimmed_is_told() {
    let server = Server::start();
    let limits = StreamLimits::new().with_messages_per_channel(5);
    let node = node(config(&server).with_limits(limits)).await;
    let facts = node.log.facts(&channel("c")).await.unwrap();
    assert_eq!(facts, ChannelFacts::default());
    let mut given = Vec::new();
    for index in 0..20 {
        given.push(node.publish("c", &index.to_string()).await.sequence());
        node.publish(&format!("other/{index}"), "x").await;
    }
    let page = node.log.page(&channel("c"), ALL).await.unwrap();
    let kept: Vec<_> = page.records.iter().map(|r| r.position.sequence()).collect();
    assert_eq!(kept, given[15..]);
    assert_eq!(page.trim_mark, given[14]);
    let facts = node.log.facts(&channel("c")).await.unwrap();
    assert_eq!((facts.trim_mark, facts.last), (given[14], given[19]));
    assert!(facts.trimmed_until.as_millis() > 0);
    let whole = node.log.facts(&channel("other/0")).await.unwrap();
    assert!(whole.trim_mark < given[0] + 1 && whole.last > given[0]);
}

#[tokio::test]
async fn age_takes_whole_channels_and_is_told() {
    let server = Server::start();
    let limits = StreamLimits::new().with_age(Duration::from_secs(1));
    let node = node(config(&server).with_limits(limits)).await;
    let given = node.publish("c", "old").await.sequence();
    loop {
        // It may fail while the record goes.
        let page = node.log.page(&channel("c"), ALL).await;
        if let Ok(page) = page
            && page.records.is_empty()
        {
            assert!(page.trim_mark >= given);
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(node.log.facts(&channel("c")).await.unwrap().trim_mark >= given);
    let next = node.publish("c", "new").await.sequence();
    let page = node.log.page(&channel("c"), ALL).await.unwrap();
    assert_eq!(page.trim_mark, given);
    assert_eq!(page.records[0].position.sequence(), next);
}

/// Forwards what one client sends, and counts what it is sent.
async fn counted(server: &Server) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let address = server.url().replace("nats://", "");
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(address).await.unwrap();
        let ((mut asked, mut told), (mut answers, mut asks)) =
            (client.into_split(), server.into_split());
        tokio::spawn(async move { tokio::io::copy(&mut asked, &mut asks).await });
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = answers.read(&mut bytes).await {
            counter.fetch_add(read, Ordering::Relaxed);
            told.write_all(&bytes[..read]).await.unwrap();
        }
    });
    (url, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_fetches_little_more_than_its_bytes() {
    const SIZE: usize = 50_000;
    let server = Server::start();
    let (url, count) = counted(&server).await;
    let node = node(NatsConfig::new([url], "test").with_synced_server()).await;
    for _ in 0..60 {
        node.publish("c", &"x".repeat(SIZE)).await;
    }
    let all = |seen: &Seen| seen.records.len() == 60;
    node.sink.until("what was published", all).await;
    for backwards in [false, true] {
        for (bytes, records) in [
            (1, 1),
            (3 * SIZE, 3),
            (3 * SIZE + 1_000, 4),
            (10 * SIZE, 10),
        ] {
            let query = PageQuery {
                bytes,
                backwards,
                ..ALL
            };
            let before = count.load(Ordering::Relaxed);
            let (sequences, complete) = sequences(&node, "c", query).await;
            let fetched = count.load(Ordering::Relaxed) - before;
            assert_eq!((sequences.len(), complete), (records, false));
            assert!(fetched >= records * SIZE);
            assert!(fetched < (records + 2) * SIZE, "{query:?}: {fetched}");
        }
    }
}

#[tokio::test]
async fn channels_by_prefix() {
    let server = Server::start();
    let node = node(config(&server)).await;
    let mut marks = Vec::new();
    for name in [
        "orders",
        "orders/eu",
        "orders/us/1",
        "ordinary",
        "Größe 1.5",
        "news",
    ] {
        marks.push(node.publish(name, "x").await.sequence());
    }
    let list = async |prefix: &str, after, limit| {
        let channels = node.log.channels(prefix, after, limit).await.unwrap();
        let mut names: Vec<_> = channels.iter().map(|c| c.as_str().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(list("orders/", 0, 9).await, ["orders/eu", "orders/us/1"]);
    assert_eq!(
        list("ord", marks[0], 9).await,
        ["orders/eu", "orders/us/1", "ordinary"]
    );
    assert_eq!(list("Grö", 0, 9).await, ["Größe 1.5"]);
    assert_eq!(list("", 0, 9).await.len(), 6);
    assert_eq!(list("", 0, 2).await.len(), 2);
    assert_eq!(list("", marks[5], 9).await.len(), 0);
    assert_eq!(list("x", 0, 9).await.len(), 0);
}

#[tokio::test]
async fn too_large_and_no_room() {
    let server = Server::with("max_payload: 65536", "max_file_store: 4MB", "nats");
    let limits = StreamLimits::new().with_bytes(1 << 20);
    let node = node(config(&server).with_limits(limits)).await;
    let large = node
        .log
        .append(append("c", vec![text(&"x".repeat(70_000))]))
        .await;
    assert!(matches!(
        large,
        Err(AppendError::TooLarge { limit: 65_536 })
    ));
    let many = (0..1_025).map(|_| text("x")).collect();
    let many = node.log.append(append("c", many)).await;
    assert!(matches!(many, Err(AppendError::TooLarge { .. })));
    node.publish("c", "small").await;
}

#[tokio::test]
async fn garbled_messages_are_an_error_for_their_channel_only() {
    let server = Server::start();
    let node = node(config(&server)).await;
    node.publish("c", "1").await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let stream = jetstream.get_stream("eventcast-test").await.unwrap();
    let subject = stream.cached_info().config.subjects[0].replace('>', "c");
    jetstream
        .publish(subject, "garbage".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let next = node.publish("d", "2").await;
    node.sink
        .until("the next record", |s| s.records.len() == 2)
        .await;
    assert_eq!(node.sink.look(|s| s.skipped.len()), 1);
    assert_eq!(node.sink.look(|s| s.records[1].position), next);
    assert!(node.log.page(&channel("c"), ALL).await.is_err());
    assert!(node.log.page(&channel("d"), ALL).await.unwrap().complete);
}

#[tokio::test]
async fn broadcasts_reach_the_others() {
    let server = Server::start();
    let (a, b) = (node(config(&server)).await, node(config(&server)).await);
    // Subscribed when the records come: the same connection.
    a.publish("c", "1").await;
    b.sink.until("a record", |s| s.records.len() == 1).await;
    loop {
        a.log.broadcast("hello".into()).await.unwrap();
        if b.sink.look(|s| !s.messages.is_empty()) {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(b.sink.look(|s| s.messages[0].clone()), "hello");
    assert!(a.sink.look(|s| s.messages.is_empty()));
}
