//! Event streams: going on after an id, whatever the id is.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use eventcast::{Retention, ServerConfig};
use support::stream::EventStream;
use support::{TestServer, id, known_ids, quiet};

/// A server whose channel `news` keeps 4 to 6 of its events 1 to 6.
async fn trimmed() -> TestServer {
    let hub = known_ids().with_retention(Retention::new().with_count(3));
    let server = TestServer::start(hub, quiet(), ServerConfig::new()).await;
    for n in 1..=6 {
        server.publish("news", n);
    }
    server
}

async fn resume(server: &TestServer, last_event_id: &str, more: &str) -> EventStream {
    let target = format!("/events?channel=news{more}");
    let headers = [("Last-Event-ID", last_event_id)];
    server.stream_with(&target, &headers).await
}

#[tokio::test]
async fn goes_on_exactly_there() {
    let server = trimmed().await;
    for sequence in 3..=6 {
        let mut stream = resume(&server, &id(sequence), "").await;
        let (_, position) = stream.control("open").await;
        assert_eq!(position, id(sequence));
        for next in sequence + 1..=6 {
            let event = stream.event().await;
            assert_eq!(event.data, next.to_string());
            assert_eq!(event.last_event_id, id(next));
        }
    }
}

#[tokio::test]
async fn an_id_replaces_the_start() {
    let server = trimmed().await;
    let mut stream = resume(&server, &id(5), "&start=earliest").await;
    assert_eq!(stream.event().await.data, "6");
}

#[tokio::test]
async fn the_query_takes_an_id_and_the_header_wins() {
    let server = trimmed().await;
    let target = format!("/events?channel=news&last_event_id={}", id(4));
    let mut stream = server.stream(&target).await;
    assert_eq!(stream.event().await.data, "5");
    let headers = [("Last-Event-ID", &*id(5))];
    let mut stream = server.stream_with(&target, &headers).await;
    assert_eq!(stream.event().await.data, "6");
}

#[tokio::test]
async fn an_empty_id_is_a_first_connect() {
    let server = trimmed().await;
    let target = "/events?channel=news&start=earliest&last_event_id=";
    let mut stream = server.stream(target).await;
    stream.control("open").await;
    assert_eq!(stream.data(3).await, ["4", "5", "6"]);
}

#[tokio::test]
async fn older_than_what_is_retained() {
    let server = trimmed().await;
    let mut stream = resume(&server, &id(1), "").await;
    let (_, position) = stream.control("open").await;
    assert_eq!(position, id(1));
    let block = "event: eventcast.gap\n\
                 data: {\"channel\":\"news\",\"reason\":\"trimmed\"}\n\
                 id: 00000007-a3\n\n";
    assert_eq!(stream.block().await, block);
    assert_eq!(stream.data(3).await, ["4", "5", "6"]);
}

/// After the gap: all that is retained of this epoch, whatever start was asked for.
#[tokio::test]
async fn of_another_run() {
    let server = trimmed().await;
    for more in ["", "&start=live", "&start=earliest"] {
        for foreign in ["00000008-a5", "zzzzzzzz-b99", "00000008-a0"] {
            let mut stream = resume(&server, foreign, more).await;
            let (_, position) = stream.control("open").await;
            assert_eq!(position, "", "no id before the gap brings one");
            let (gap, position) = stream.control("gap").await;
            assert_eq!(gap["reason"], "epoch");
            assert_eq!(gap["missed"], serde_json::Value::Null);
            assert_eq!(position, id(3));
            assert_eq!(stream.data(3).await, ["4", "5", "6"]);
        }
    }
}

/// After the gap: as a first connect.
#[tokio::test]
async fn that_nobody_gave() {
    let server = trimmed().await;
    let long = "9".repeat(8_000);
    let garbage = [
        "x",
        "-1",
        "00000007-a05",
        "00000007-b5",
        "00000007-a5 00000007-a5",
        "00000007-t99999999999999999999",
        "\u{e9}",
        "{\"id\":1}",
        // Beyond the end: the log in memory is the whole log.
        "00000007-c900",
        "00000007-t18446744073709551615",
        &long,
    ];
    for garbage in garbage {
        let mut live = resume(&server, garbage, "").await;
        live.control("open").await;
        let (gap, position) = live.control("gap").await;
        assert_eq!(gap["reason"], "unknown", "{garbage}");
        assert_eq!(position, server.hub.position().to_string());
        let next = server.publish("news", "next");
        assert_eq!(live.event().await.last_event_id, next);

        let mut earliest = resume(&server, garbage, "&start=earliest").await;
        earliest.control("open").await;
        let (gap, _) = earliest.control("gap").await;
        assert_eq!(gap["reason"], "unknown", "{garbage}");
        let last = earliest.data(3).await;
        assert_eq!(last[2], "next", "all that is retained");
    }
}

#[tokio::test]
async fn every_channel_is_told_of_a_broken_resume() {
    let server = trimmed().await;
    server.publish("sport", "s");
    let mut stream = server
        .stream("/events?channel=news&channel=sport&last_event_id=00000008-a1")
        .await;
    stream.control("open").await;
    let (first, between) = stream.control("gap").await;
    let (second, position) = stream.control("gap").await;
    assert_eq!(
        (&first["channel"], &second["channel"]),
        (&"news".into(), &"sport".into())
    );
    assert_eq!(between, "", "a cut here brings both again");
    assert_eq!(position, id(0), "the least of both starts");
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(stream.event().await.last_event_id);
    }
    assert_eq!(ids, [id(4), id(5), id(6), id(7)]);
}

/// Every id that a stream gave is good for going on, also one of a control block.
#[tokio::test]
async fn cut_after_any_block() {
    let server = trimmed().await;
    let mut ids = Vec::new();
    let mut stream = resume(&server, &id(1), "").await;
    for _ in 0..5 {
        ids.push(stream.next().await.unwrap().last_event_id);
    }
    assert_eq!(ids, [id(1), id(3), id(4), id(5), id(6)]);
    drop(stream);
    for (seen, last) in ids.iter().enumerate() {
        let mut stream = resume(&server, last, "").await;
        stream.control("open").await;
        if seen == 0 {
            stream.control("gap").await;
        }
        let rest = ["4", "5", "6"];
        let rest = &rest[seen.saturating_sub(1)..];
        assert_eq!(stream.data(rest.len()).await, rest, "after {last}");
    }
}
