//! HTTP/2 without TLS: requests and event streams, many on one connection.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::HashSet;

use eventcast::{Retention, ServerConfig};
use futures_util::future::join_all;
use h2::Reason;
use http::Method;
use support::client::Client;
use support::http2::{Http2, PREFACE, SETTINGS, wide};
use support::{TestServer, id, known_ids, quiet, within};

const NEWS: &str = "/events?channel=news";

#[tokio::test]
async fn requests_and_their_answers() {
    let server = TestServer::open().await;
    let client = Http2::connect(&server).await;
    let json = [("content-type", "application/json")];
    let answer = client
        .ask(Method::POST, "/channels/news", &json, "[1]")
        .await;
    assert_eq!(answer.status(), 200);
    assert!(answer.body().contains(&id(1)), "{answer:?}");

    let history = client
        .ask(Method::GET, "/channels/news/history", &[], "")
        .await;
    assert!(history.body().contains(&id(1)), "{history:?}");
    for (method, target, status) in [
        (Method::GET, "/healthz", 200),
        (Method::GET, "/events", 400),
        (Method::GET, "/nothing", 404),
        (Method::DELETE, NEWS, 405),
    ] {
        let answer = client.ask(method, target, &[], "").await;
        assert_eq!(answer.status(), status, "{target}");
        if status != 200 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
    }
    let foreign = [("origin", "http://elsewhere.test")];
    let answer = client.ask(Method::GET, NEWS, &foreign, "").await;
    assert_eq!(answer.status(), 403);
    let own = [("origin", "http://events.test")];
    client.stream(NEWS, &own).await;

    // The old way beside the new.
    server.assert_serves().await;
}

/// What describes a connection describes the wrong thing where there are many streams on it.
#[tokio::test]
async fn a_stream_has_no_headers_of_connections() {
    let server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let stream = client.stream(NEWS, &[]).await;
    let mut names: Vec<_> = stream.head.headers().keys().map(|n| n.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "cache-control",
        "content-type",
        "date",
        "vary",
        "x-accel-buffering",
    ];
    assert_eq!(names, expected);
    let head = client.ask(Method::HEAD, NEWS, &[], "").await;
    assert_eq!(head.headers()["content-type"], "text/event-stream");
}

/// A client that loses its connection goes on where it was over the next.
#[tokio::test]
async fn a_cut_and_a_resume() {
    let server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let mut stream = client.stream(NEWS, &[]).await;
    stream.control("open").await;
    server.publish("news", "one");
    let seen = stream.event().await;
    assert_eq!((seen.data.as_str(), &seen.last_event_id), ("one", &id(1)));

    client.running.abort();
    server.assert_sessions_end().await;
    server.publish("news", "two");
    server.publish("news", "three");

    let client = Http2::connect(&server).await;
    let headers = [("last-event-id", seen.last_event_id.as_str())];
    let mut stream = client.stream(NEWS, &headers).await;
    for (text, sequence) in [("two", 2), ("three", 3)] {
        let event = stream.event().await;
        assert_eq!(
            (event.data.as_str(), event.last_event_id),
            (text, id(sequence))
        );
    }
}

#[tokio::test]
async fn a_finished_channel_ends_its_stream() {
    let server = TestServer::standard().await;
    server.publish("news", "last");
    let end = server.hub.complete("news").unwrap().to_string();
    let client = Http2::connect(&server).await;
    let mut stream = client.stream(&format!("{NEWS}&start=earliest"), &[]).await;
    assert_eq!(stream.event().await.data, "last");
    stream.control("completed").await;
    stream.control("closed").await;
    assert!(stream.next().await.is_none());
    let headers = [("last-event-id", end.as_str())];
    let answer = client.ask(Method::GET, NEWS, &headers, "").await;
    assert_eq!(
        (answer.status().as_u16(), answer.body().as_str()),
        (204, "")
    );
}

#[tokio::test]
async fn two_hundred_streams_on_one_connection() {
    let server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let targets: Vec<_> = (0..200).map(|n| format!("/events?channel=c{n}")).collect();
    let streams = targets.iter().map(|target| client.stream(target, &[]));
    let mut streams = join_all(streams).await;
    assert_eq!(server.service.subscribers().sse, 200);
    for n in 0..200 {
        server.publish(&format!("c{n}"), n);
    }
    for (n, stream) in streams.iter_mut().enumerate() {
        assert_eq!(stream.event().await.data, n.to_string());
    }
    drop(streams);
    server.assert_sessions_end().await;
    // The connection is as good as before.
    client.stream(NEWS, &[]).await.control("open").await;
}

/// A reset stream ends its own session at once, and no other.
#[tokio::test]
async fn a_reset_ends_the_session() {
    let server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let mut kept = client.stream(NEWS, &[]).await;
    let mut others = Vec::new();
    for _ in 0..9 {
        others.push(client.stream(NEWS, &[]).await);
    }
    assert_eq!(server.service.subscribers().sse, 10);
    for other in others {
        other.answer.reset();
    }
    within(async {
        while server.service.subscribers().sse > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.publish("news", "still there");
    assert_eq!(kept.event().await.data, "still there");
}

#[tokio::test]
async fn a_shutdown_ends_streams_and_says_goodbye() {
    let mut server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let mut stream = client.stream(NEWS, &[]).await;
    stream.control("open").await;
    let idle = Http2::connect(&server).await;
    idle.ask(Method::GET, "/healthz", &[], "").await;

    let mut raw = Client::connect(server.address).await;
    raw.send([PREFACE, SETTINGS].concat()).await;
    // Its settings, so that it is a connection by now.
    raw.take(9).await;

    server.begin_shutdown();
    stream.control("draining").await;
    assert!(stream.next().await.is_none(), "a proper end");
    // GOAWAY for all streams there could be, without an error; then it waits for a ping's answer.
    let goodbye = [
        0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0,
    ];
    within(async {
        while !raw.received.windows(17).any(|bytes| bytes == goodbye) {
            assert!(raw.receive().await, "{:?}", raw.received);
        }
    })
    .await;
    drop(raw);
    // The connections end, and would take nothing more.
    idle.ended().await;
    client.ended().await;
    server.finished().await;
}

/// A thousand event streams over ten connections: every event to every one of them, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_over_ten_connections() {
    const EVENTS: u64 = 20;
    let hub = known_ids().with_retention(Retention::new().with_count(64));
    let server = TestServer::start(hub, quiet(), ServerConfig::new()).await;
    let mut builder = wide();
    builder.initial_max_send_streams(100);
    let mut connections = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..10 {
        let client = Http2::connect_to(server.address, &builder).await;
        streams.extend(join_all((0..100).map(|_| client.stream(NEWS, &[]))).await);
        connections.push(client);
    }
    assert_eq!(server.service.subscribers().sse, 1_000);

    let readers = streams.into_iter().map(|mut stream| {
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for sequence in 1..=EVENTS {
                let event = stream.event().await;
                assert_eq!(event.data, sequence.to_string());
                ids.push(event.last_event_id);
            }
            ids
        })
    });
    let readers: Vec<_> = readers.collect();
    for n in 1..=EVENTS {
        server.publish("news", n);
        tokio::task::yield_now().await;
    }
    let read: HashSet<_> = join_all(readers)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let expected: Vec<_> = (1..=EVENTS).map(id).collect();
    assert_eq!(read, HashSet::from([expected]));
    drop(connections);
}

/// A client may know nothing of the server and still be told at once that it is shutting down.
#[tokio::test]
async fn a_request_after_the_goodbye_is_refused() {
    let mut server = TestServer::standard().await;
    let client = Http2::connect(&server).await;
    let mut stream = client.stream(NEWS, &[]).await;
    server.begin_shutdown();
    while stream.next().await.is_some() {}
    let request = client.request(Method::GET, NEWS, &[]);
    let error = match client.try_send(request, "").await {
        Err(error) => error,
        // It was faster than the goodbye.
        Ok((_, mut answer)) => {
            while let Some(Ok(_)) = answer.data().await {}
            return;
        }
    };
    let refused = [None, Some(Reason::REFUSED_STREAM), Some(Reason::NO_ERROR)];
    assert!(refused.contains(&error.reason()), "{error}");
}
