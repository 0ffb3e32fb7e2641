//! What the log does while its server is well.

mod support;

use std::time::Duration;

use bytes::Bytes;
use eventcast_core::{
    AppendError, Backplane, Body, ChannelFacts, Durability, Outcome, OutcomeKnown, PageQuery,
    ReplayStore, Retention, Timestamp,
};
use eventcast_redis::RedisBackplane;
use support::{DURABLE, Entry, Server, attach, body, events, keyed, name, page, publish, text};

#[tokio::test]
async fn records_reach_all_nodes_in_one_order() {
    let server = Server::start(&[]);
    let (a, b) = (server.node().await, server.node().await);
    let (seen_a, seen_b) = (attach(&a).await, attach(&b).await);
    for round in 0..50 {
        let (one, two) = tokio::join!(
            a.append(events("x", vec![body(&format!("a{round}"))])),
            b.append(events("y", vec![body(&format!("b{round}")), body("and")])),
        );
        assert_eq!(two.unwrap().len(), 2);
        assert_eq!(one.unwrap().len(), 1);
    }
    seen_a.until_texts(150).await;
    seen_b.until_texts(150).await;
    assert_eq!(seen_a.texts(), seen_b.texts());
    let stored = page(&a, "y", 0).await;
    assert!(stored.complete);
    assert_eq!(stored.records.len(), 100);
}

#[tokio::test]
async fn pages_go_both_ways_and_end_with_the_end() {
    let server = Server::start(&[]);
    let node = server.node().await;
    let unknown = node.facts(&name("x")).await.unwrap();
    assert_eq!(unknown, ChannelFacts::default());
    for number in 1..=40 {
        publish(&node, "x", &number.to_string()).await;
    }
    let end = Body::Completion(Outcome::Failed("why".into()));
    node.append(events("x", vec![end.clone()])).await.unwrap();
    let query = PageQuery {
        after: 10,
        until: 41,
        limit: 20,
        bytes: PageQuery::MAX_BYTES,
        backwards: false,
    };
    let forwards = node.page(&name("x"), query).await.unwrap();
    assert!(!forwards.complete);
    let texts: Vec<_> = forwards.records.iter().map(text).collect();
    let expected: Vec<_> = (11..=30).map(|number: u32| number.to_string()).collect();
    assert_eq!(texts, expected);

    let query = PageQuery {
        after: 30,
        limit: 11,
        ..query
    };
    let rest = node.page(&name("x"), query).await.unwrap();
    assert!(rest.complete);
    assert_eq!(rest.records.last().unwrap().body, end);
    let query = PageQuery {
        backwards: true,
        ..query
    };
    let mut backwards = node.page(&name("x"), query).await.unwrap();
    backwards.records.reverse();
    assert_eq!(backwards.records, rest.records);
    let query = PageQuery { limit: 1, ..query };
    let newest = node.page(&name("x"), query).await.unwrap();
    assert_eq!(newest.records.len(), 1);
    assert!(!newest.complete);

    let facts = node.facts(&name("x")).await.unwrap();
    assert_eq!(facts.last, 41);
    assert_eq!(facts.completion.unwrap().body, end);
    let refused = node.append(events("x", vec![body("late")])).await;
    assert!(matches!(refused, Err(AppendError::Completed)));
}

#[tokio::test]
async fn keys_are_stored_once() {
    let server = Server::start(&[]);
    let (a, b) = (server.node().await, server.node().await);
    let first = a
        .append(events("x", vec![keyed("one"), keyed("two"), keyed("one")]))
        .await
        .unwrap();
    assert_eq!(first[0], first[2]);
    let again = b
        .append(events("x", vec![keyed("two"), keyed("three")]))
        .await
        .unwrap();
    assert_eq!(again[0], first[1]);
    assert_eq!(again[1].sequence(), 3);
    let other = b.append(events("y", vec![keyed("one")])).await.unwrap();
    assert_eq!(other[0].sequence(), 4);
    assert_eq!(page(&a, "x", 0).await.records.len(), 3);
}

#[tokio::test]
async fn trimming_is_told() {
    let server = Server::start(&[]);
    let node = server.node().await;
    let mut append = events("x", vec![body("x")]);
    append.retention = Retention::new().with_count(3);
    for _ in 0..10 {
        node.append(append.clone()).await.unwrap();
    }
    let kept = page(&node, "x", 0).await;
    assert_eq!((kept.records.len(), kept.trim_mark), (3, 7));

    append.channel = name("y");
    append.retention = Retention::new().with_bytes(1);
    let last = node.append(append.clone()).await.unwrap()[0].sequence();
    let last = node.append(append.clone()).await.unwrap()[0]
        .sequence()
        .max(last);
    let kept = page(&node, "y", 0).await;
    assert_eq!((kept.records.len(), kept.trim_mark), (1, last - 1));

    append.channel = name("z");
    append.retention = Retention::new().with_age(Duration::from_millis(100));
    let last = node.append(append.clone()).await.unwrap()[0].sequence();
    let later = Timestamp::from_millis(append.time.as_millis() + 99);
    node.maintain(later).await.unwrap();
    assert_eq!(page(&node, "z", 0).await.records.len(), 1);
    let later = Timestamp::from_millis(append.time.as_millis() + 100);
    node.maintain(later).await.unwrap();
    let kept = page(&node, "z", 0).await;
    assert_eq!((kept.records.len(), kept.trim_mark), (0, last));
    let facts = node.facts(&name("z")).await.unwrap();
    assert_eq!((facts.last, facts.trim_mark), (last, last));
    assert_eq!(facts.trimmed_until, append.time);
    assert_eq!(node.facts(&name("never")).await.unwrap().trim_mark, 0);
    let later = Timestamp::from_millis(append.time.as_millis() + 3_600_100);
    node.maintain(later).await.unwrap();
    // Nothing of it is left on the server, and what was there is told by the floor.
    let names = node.channels("", 0, 10).await.unwrap();
    assert!(!names.contains(&name("z")));
    assert_eq!(node.facts(&name("never")).await.unwrap().trim_mark, last);
}

#[tokio::test]
async fn times_never_go_back() {
    let server = Server::start(&[]);
    let node = server.node().await;
    for time in [500, 900, 200] {
        let mut append = events("x", vec![body("x")]);
        append.time = Timestamp::from_millis(time);
        node.append(append).await.unwrap();
    }
    let kept = page(&node, "x", 0).await;
    let times: Vec<_> = kept.records.iter().map(|r| r.time.as_millis()).collect();
    assert_eq!(times, [500, 900, 900]);
}

#[tokio::test]
async fn channels_are_found_by_prefix_and_sequence() {
    let server = Server::start(&[]);
    let node = server.node().await;
    let mut after = 0;
    for number in 0..1200 {
        let channel = format!("a/{number}");
        let sequence = publish(&node, &channel, "x").await;
        if number == 999 {
            after = sequence;
        }
    }
    publish(&node, "b/ü", "x").await;
    assert_eq!(node.channels("", 0, 5000).await.unwrap().len(), 1201);
    assert_eq!(node.channels("a/", 0, 5000).await.unwrap().len(), 1200);
    assert_eq!(node.channels("a/", after, 5000).await.unwrap().len(), 200);
    assert_eq!(node.channels("a/", 0, 7).await.unwrap().len(), 7);
    assert_eq!(node.channels("b/ü", 0, 7).await.unwrap(), [name("b/ü")]);
    assert!(node.channels("c", 0, 7).await.unwrap().is_empty());
}

#[tokio::test]
async fn messages_reach_other_nodes() {
    let server = Server::start(&[]);
    let (a, b) = (server.node().await, server.node().await);
    let (seen_a, seen_b) = (attach(&a).await, attach(&b).await);
    a.broadcast(Bytes::from_static(b"hi")).await.unwrap();
    seen_b
        .until(|seen| matches!(seen, [Entry::Message(m)] if m == "hi"))
        .await;
    b.broadcast(Bytes::from_static(b"there")).await.unwrap();
    seen_a
        .until(|seen| matches!(seen, [Entry::Message(m)] if m == "there"))
        .await;
}

#[tokio::test]
async fn namespaces_and_databases_are_apart() {
    let server = Server::start(&[]);
    let other = server.config().with_namespace("other").unwrap();
    let url = format!("{}/1", server.url());
    let third = eventcast_redis::RedisConfig::new(&url).unwrap();
    let a = server.node().await;
    let b = RedisBackplane::connect(other).await.unwrap();
    let c = RedisBackplane::connect(third).await.unwrap();
    let (seen_a, seen_b, seen_c) = (attach(&a).await, attach(&b).await, attach(&c).await);
    assert_eq!(publish(&a, "x", "a").await, 1);
    assert_eq!(publish(&b, "x", "b").await, 1);
    assert_eq!(publish(&c, "x", "c").await, 1);
    for (seen, own) in [(seen_a, "a"), (seen_b, "b"), (seen_c, "c")] {
        seen.until_texts(1).await;
        assert_eq!(seen.texts(), [own]);
    }
}

#[tokio::test]
async fn durability_is_what_the_server_is_set_to() {
    let every_second = ["--appendonly", "yes", "--appendfsync", "everysec"];
    let settings: [(&[&str], Durability); 3] = [
        (DURABLE, Durability::Synced),
        (&every_second, Durability::Interval(Duration::from_secs(2))),
        (&[], Durability::Process),
    ];
    for (settings, durability) in settings {
        let server = Server::start(settings);
        let capabilities = server.node().await.capabilities();
        assert_eq!(capabilities.durability, durability);
        assert!(capabilities.shared);
    }
}

#[tokio::test]
async fn settings_that_may_not_be_read_are_declared() {
    let server = Server::start(&["--rename-command", "CONFIG", ""]);
    let config = server.config().with_durability(Durability::Synced);
    let node = RedisBackplane::connect(config).await.unwrap();
    assert_eq!(node.capabilities().durability, Durability::Synced);
}

#[tokio::test]
async fn a_full_server_says_so() {
    let server = Server::start(&["--maxmemory", "6mb"]);
    let node = server.node().await;
    let seen = attach(&node).await;
    let large = "x".repeat(100_000);
    let mut stored = 0;
    let error = loop {
        match node.append(events("x", vec![body(&large)])).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Full(_)), "{error:?}");
    assert_eq!(page(&node, "x", 0).await.trim_mark, 0);
    seen.until_texts(stored).await;
    // Retention makes room, though there is none.
    node.maintain(Timestamp::from_millis(u64::MAX))
        .await
        .unwrap();
    publish(&node, "x", "small").await;
}

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    let server = Server::start(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]);
    let refused = RedisBackplane::connect(server.config()).await.unwrap_err();
    assert!(refused.to_string().contains("noeviction"), "{refused}");
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let server = Server::start(&[]);
    let config = server.config().with_max_append(100);
    let node = RedisBackplane::connect(config).await.unwrap();
    let refused = node.append(events("x", vec![body(&"x".repeat(200))])).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { limit: 100 })));
}

#[tokio::test]
async fn users_have_their_passwords_and_keys() {
    let server = Server::start(&[]);
    let rules = [
        "ACL",
        "SETUSER",
        "ann",
        "on",
        ">secret",
        "+@all",
        "-@dangerous",
        "+info",
    ];
    let keys = ["~{eventcast}:*", "&{eventcast}:*"];
    server.command(&[&rules[..], &keys[..]].concat()).await;
    let url = |user: &str| format!("redis://{user}@127.0.0.1:{}", server.port());
    let config = eventcast_redis::RedisConfig::new(&url("ann:secret")).unwrap();
    let node = RedisBackplane::connect(config.clone()).await.unwrap();
    let seen = attach(&node).await;
    publish(&node, "x", "hello").await;
    seen.until_texts(1).await;
    assert!(!format!("{config:?}{node:?}").contains("secret"));
    let other = config.with_namespace("other").unwrap();
    assert!(RedisBackplane::connect(other).await.is_err());
    let wrong = eventcast_redis::RedisConfig::new(&url("ann:wrong")).unwrap();
    assert!(RedisBackplane::connect(wrong).await.is_err());
}

#[tokio::test]
async fn a_closed_log_takes_nothing() {
    let server = Server::start(&[]);
    let node = server.node().await;
    let seen = attach(&node).await;
    node.close().await.unwrap();
    let refused = node.append(events("x", vec![body("x")])).await;
    let Err(AppendError::Unavailable { outcome, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(outcome, OutcomeKnown::NotStored);
    let holders = std::sync::Arc::strong_count(&seen);
    assert_eq!(holders, 1, "the sink is let go");
}

#[tokio::test]
async fn who_published_sees_what_he_did() {
    let server = Server::start(&[]);
    let node = server.node().await;
    let seen = attach(&node).await;
    for number in 1..=100 {
        publish(&node, "x", "x").await;
        assert_eq!(seen.texts().len(), number);
    }
}
