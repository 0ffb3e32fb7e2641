//! What is still known after a restart, and what nodes find out that know different things.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{
    AppendError, Backplane, Body, Outcome, OutcomeKnown, ReplayStore, Retention, Sink, Timestamp,
};
use eventcast_redis::{RedisBackplane, RedisConfig};
use support::{
    DURABLE, Entry, Recorder, Server, attach, body, events, keyed, name, page, publish,
    publish_surely, text,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_restart_keeps_marks_ends_and_keys() {
    let mut server = Server::start(DURABLE);
    let node = server.node().await;
    let mut append = events("x", vec![body("x")]);
    append.retention = Retention::new().with_count(2);
    for _ in 0..5 {
        node.append(append.clone()).await.unwrap();
    }
    let first = node.append(events("y", vec![keyed("once")])).await.unwrap();
    let end = Body::Completion(Outcome::Complete);
    node.append(events("y", vec![end.clone()])).await.unwrap();
    node.close().await.unwrap();
    server.kill();
    server.restart();

    let node = server.node().await;
    assert_eq!(node.facts(&name("x")).await.unwrap().trim_mark, 3);
    let again = node.append(events("y", vec![keyed("once")])).await.unwrap();
    assert_eq!(again, first);
    let facts = node.facts(&name("y")).await.unwrap();
    assert_eq!(facts.completion.unwrap().body, end);
    assert_eq!(publish(&node, "x", "next").await, 8);
}

#[tokio::test]
async fn ends_are_remembered_up_to_a_number() {
    let server = Server::start(&[]);
    let config = server.config().with_ends(2);
    let node = RedisBackplane::connect(config).await.unwrap();
    for channel in ["a", "b", "c"] {
        let end = Body::Completion(Outcome::Complete);
        let mut append = events(channel, vec![body("x"), end]);
        append.retention = Retention::new().with_age(Duration::from_secs(1));
        node.append(append).await.unwrap();
    }
    node.maintain(Timestamp::from_millis(1 << 40))
        .await
        .unwrap();
    assert_eq!(node.facts(&name("a")).await.unwrap().completion, None);
    for channel in ["b", "c"] {
        let kept = page(&node, channel, 0).await;
        assert_eq!(kept.records.len(), 1, "only the end is left");
        assert!(kept.complete);
        let refused = node.append(events(channel, vec![body("x")])).await;
        assert!(matches!(refused, Err(AppendError::Completed)));
    }
    assert_eq!(node.channels("", 0, 9).await.unwrap().len(), 2);
    assert_eq!(node.facts(&name("a")).await.unwrap().trim_mark, 2);
}

#[tokio::test]
async fn attaching_joins_pages_exactly() {
    let server = Server::start(&[]);
    let (a, b) = (server.node().await, server.node().await);
    for number in 0..10 {
        publish(&a, "x", &number.to_string()).await;
    }
    let recorder = Arc::new(Recorder::default());
    let attached = b
        .attach(Arc::clone(&recorder) as Arc<dyn Sink>)
        .await
        .unwrap();
    publish(&a, "x", "last").await;
    let has_last = |seen: &[Entry]| support::records(seen).any(|r| text(r) == "last");
    recorder.until(has_last).await;
    let first = support::records(&recorder.entries())
        .next()
        .unwrap()
        .position;
    assert_eq!(first.sequence(), attached.committed + 1);
    assert!(b.attach(recorder).await.is_err(), "only once");
}

#[tokio::test]
async fn dropped_appends_are_whole_or_not_there() {
    let server = Server::start(&[]);
    let node = server.node().await;
    for number in 0..50 {
        let bodies = vec![keyed(&format!("{number}/0")), keyed(&format!("{number}/1"))];
        let append = events("x", bodies);
        tokio::select! {
            biased;
            appended = node.append(append.clone()) => drop(appended),
            () = tokio::task::yield_now() => {}
        }
        node.append(append).await.unwrap();
    }
    let stored: Vec<_> = page(&node, "x", 0).await.records.iter().map(text).collect();
    assert_eq!(stored.len(), 100);
    for pair in stored.chunks(2) {
        assert_eq!(pair[0].replace("/0", "/1"), pair[1]);
    }
}

#[tokio::test]
async fn nothing_is_stored_while_the_server_is_away() {
    let mut server = Server::start(DURABLE);
    let config = server
        .config()
        .with_publish_timeout(Duration::from_millis(100));
    let node = RedisBackplane::connect(config).await.unwrap();
    let seen = attach(&node).await;
    server.kill();
    seen.until(|seen| matches!(seen, [Entry::Stalled])).await;
    let failed = node.append(events("x", vec![body("x")])).await;
    let Err(AppendError::Unavailable {
        outcome, waited, ..
    }) = failed
    else {
        panic!("{failed:?}");
    };
    assert_eq!(outcome, OutcomeKnown::NotStored);
    assert!(waited >= Duration::from_millis(100));
    assert!(node.facts(&name("x")).await.is_err());
    server.restart();
    seen.until(|seen| matches!(seen, [Entry::Stalled, Entry::Recovered]))
        .await;
    assert_eq!(publish_surely(&node, "x", "x").await, 1);
}

/// Of two nodes the one that knows less finds the server first.
#[tokio::test]
async fn who_knows_more_finds_the_loss() {
    let mut server = Server::start(DURABLE);
    let knowing = server.node().await;
    for number in 1..=5 {
        publish(&knowing, "x", &number.to_string()).await;
    }
    let copy = server.folder().with_extension("copy");
    copy_folder(server.folder(), &copy);
    for number in 6..=10 {
        publish(&knowing, "x", &number.to_string()).await;
    }
    server.kill();
    server.wipe();
    copy_folder(&copy, server.folder());
    fs::remove_dir_all(&copy).unwrap();
    server.restart();

    let unaware = server.node().await;
    let seen = attach(&unaware).await;
    assert_eq!(publish(&unaware, "x", "other").await, 6);
    for _ in 0..20 {
        publish(&unaware, "x", "more").await;
    }
    let recorder = Arc::new(Recorder::default());
    let attached = knowing.attach(recorder).await.unwrap();
    let lineage = attached.lineage;
    let (old, _, last) = lineage.epochs().next().unwrap();
    assert_eq!(last, Some(5), "what both servers had");
    assert!(lineage.knows(old));
    assert_eq!(lineage.first(), 26 + (1 << 32));
    let is_forked = |seen: &[Entry]| {
        seen.iter()
            .any(|e| matches!(e, Entry::Forked(l) if *l == lineage))
    };
    seen.until(is_forked).await;
    let next = publish(&unaware, "x", "next").await;
    assert_eq!(next, lineage.first());
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn an_error_tells_its_cause_once() {
    let mut server = Server::start(&[]);
    let config = server.config();
    server.kill();
    let mut error: &dyn Error = &RedisBackplane::connect(config).await.unwrap_err();
    let mut told = error.to_string();
    while let Some(cause) = error.source() {
        told = format!("{told}: {cause}");
        error = cause;
    }
    assert_eq!(told.matches("refused").count(), 1, "{told}");
}

#[tokio::test]
async fn what_is_no_redis_is_an_error() {
    let answers: [&[u8]; 6] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xfe\x00",
        b"*9\r\n",
        b"%1\r\n+x\r\n+y\r\n+OK\r\n+OK\r\n$3\r\nabc\r\n",
        b"-NOAUTH no\r\n-NOAUTH no\r\n",
        b"",
    ];
    for answer in answers {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
            }
        });
        let config = RedisConfig::new(&url)
            .unwrap()
            .with_connect_timeout(Duration::from_secs(2));
        assert!(RedisBackplane::connect(config).await.is_err());
        server.abort();
    }
    assert!(RedisConfig::new("http://x").is_err());
    let config = RedisConfig::new("redis://127.0.0.1").unwrap();
    for namespace in ["", "a{b", "a\nb", &"x".repeat(65)] {
        assert!(config.clone().with_namespace(namespace).is_err());
    }
}
