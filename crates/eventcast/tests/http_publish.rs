//! Publishing by POST: what becomes of a body, and what is refused.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::{Retention, ServerConfig};
use support::{TestServer, get, id, known_ids, post, quiet, request};

#[tokio::test]
async fn content_types() {
    let json = &[("Content-Type", "application/json")][..];
    let vendor = &[("Content-Type", "application/vnd.api+json; charset=utf-8")][..];
    let text = &[("Content-Type", "text/plain; charset=utf-8")][..];
    let form = &[("Content-Type", "application/x-www-form-urlencoded")][..];
    let image = &[("Content-Type", "image/png")][..];
    let cases: [(_, &[u8], &str, &str); 10] = [
        (
            json,
            b"{\"a\": 1.0e3}",
            "data: {\"a\": 1.0e3}\n",
            "{\"a\": 1.0e3}",
        ),
        (json, b"[1,\r\n2]", "data: [1,  2]\n", "[1,  2]"),
        (json, b"\"s\"", "data: \"s\"\n", "\"s\""),
        (vendor, b"null", "data: null\n", "null"),
        (text, b"a\nb", "data: a\ndata: b\n", "\"a\\nb\""),
        (text, b"", "data: \n", "\"\""),
        (form, b"a=%41&b", "data: a=%41&b\n", "\"a=%41&b\""),
        (&[], b"bare", "data: bare\n", "\"bare\""),
        (&[], b"\xff\0", "encoding: base64\ndata: /wA=\n", "\"/wA=\""),
        (
            image,
            b"text",
            "encoding: base64\ndata: dGV4dA==\n",
            "\"dGV4dA==\"",
        ),
    ];
    let server = TestServer::open().await;
    let mut plain = server.stream("/events?channel=news").await;
    let mut envelopes = server.stream("/events?channel=news&format=json").await;
    plain.control("open").await;
    envelopes.control("open").await;
    for (n, (headers, body, block, data)) in (1..).zip(cases) {
        let response = server.ask(post("/channels/news", headers, body)).await;
        assert_eq!(response.head.status, 200, "{response:?}");
        let kind = response.head.header("content-type");
        assert_eq!(kind, Some("application/json"));
        let answer = serde_json::json!({ "id": id(n), "channel": "news" });
        assert_eq!(response.json(), answer);
        assert_eq!(plain.block().await, format!("{block}id: {}\n\n", id(n)));
        let envelope = envelopes.block().await;
        assert!(
            envelope.contains(&format!("\"data\":{data}}}\n")),
            "{envelope}"
        );
    }
}

#[tokio::test]
async fn bodies_that_are_not_what_they_say() {
    let server = TestServer::open().await;
    let cases: [(&str, &[u8]); 7] = [
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b"1 2"),
        ("application/json", b"\"\xff\""),
        ("application/x+json", b"undefined"),
        ("text/plain", b"\xc3\x28"),
        ("application/x-www-form-urlencoded", b"\xff"),
    ];
    for (kind, body) in cases {
        let publish = post("/channels/news", &[("Content-Type", kind)], body);
        server.ask(publish).await.assert_problem(400);
    }
    assert_eq!(server.hub.stats().published, 0);
    server.assert_serves().await;
}

#[tokio::test]
async fn names_of_events() {
    let server = TestServer::open().await;
    let mut stream = server.stream("/events?channel=news").await;
    stream.control("open").await;
    let header = &[("Event-Type", "alert")][..];
    let expected = [
        ("/channels/news", header, "event: alert\n"),
        ("/channels/news?event=update", &[], "event: update\n"),
        ("/channels/news?event=caf%C3%A9+1", &[], "event: café 1\n"),
        ("/channels/news?event=update", header, "event: alert\n"),
        ("/channels/news", &[], ""),
    ];
    for (target, headers, line) in expected {
        let response = server.ask(post(target, headers, "x")).await;
        assert_eq!(response.head.status, 200, "{response:?}");
        let block = stream.block().await;
        assert!(block.starts_with(&format!("{line}data: x\n")), "{block}");
    }
}

#[tokio::test]
async fn bad_names() {
    let server = TestServer::open().await;
    let long = "x".repeat(101);
    let mut targets: Vec<String> = [
        "",
        "%0d%0aid:%209",
        "%00",
        "a%7fb",
        "%c2%85",
        "eventcast.gap",
        "eventcast.",
        &long,
    ]
    .iter()
    .map(|name| format!("/channels/news?event={name}"))
    .collect();
    let long = "x".repeat(201);
    let channels = ["", "a%0d%0ab", "%00", "%ff", "a*", "%E2%82", &long];
    targets.extend(channels.iter().map(|name| format!("/channels/{name}")));
    for target in targets {
        let response = server.ask(post(&target, &[], "x")).await;
        assert_eq!(response.head.status, 400, "{target}");
        response.assert_problem(400);
    }
    for name in ["eventcast.open", "a\tb", ""] {
        let publish = post("/channels/news", &[("Event-Type", name)], "x");
        server.ask(publish).await.assert_problem(400);
    }
    assert_eq!(server.hub.stats().published, 0);
}

/// A server whose bodies may have 1000 bytes, and its hub's payloads 900.
async fn small() -> TestServer {
    let config = quiet()
        .with_authenticator(support::everything)
        .with_max_message(1000)
        .with_body_timeout(Duration::from_millis(100));
    let hub = known_ids().with_max_payload(900);
    TestServer::start(hub, config, ServerConfig::new()).await
}

const CHUNKED: &[(&str, &str)] = &[("Transfer-Encoding", "chunked")];

#[tokio::test]
async fn bodies_that_are_too_large() {
    let server = small().await;
    // By what is announced: not a byte of it has to come.
    let huge = [("Content-Length", "9223372036854775807")];
    for headers in [&[("Content-Length", "1001")], &huge] {
        let response = server.ask(request("POST", "/channels/news", headers)).await;
        response.assert_problem(413);
    }
    // By what comes: it never ends.
    let mut client = server.connect().await;
    client
        .send(request("POST", "/channels/news", CHUNKED))
        .await;
    let chunk = format!("200\r\n{}\r\n", "x".repeat(0x200));
    client.send(chunk.repeat(2)).await;
    client.response().await.assert_problem(413);
    // By the hub's own limit.
    let response = server
        .ask(post("/channels/news", &[], "x".repeat(901)))
        .await;
    response.assert_problem(413);
    let response = server
        .ask(post("/channels/news", &[], "x".repeat(900)))
        .await;
    assert_eq!(response.head.status, 200);
    assert_eq!(server.hub.stats().published, 1);
}

#[tokio::test]
async fn who_asks_first_is_told_before_sending() {
    let server = small().await;
    let mut client = server.connect().await;
    let expect = |length| [("Expect", "100-continue"), ("Content-Length", length)];
    client
        .send(request("POST", "/channels/news", &expect("5000")))
        .await;
    client.response().await.assert_problem(413);

    let mut client = server.connect().await;
    client
        .send(request("POST", "/channels/news", &expect("5")))
        .await;
    assert_eq!(client.head().await.status, 100);
    client.send("hello").await;
    assert_eq!(client.response().await.head.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_arrive() {
    let server = small().await;
    for (headers, part) in [
        (&[("Content-Length", "10")][..], "abc"),
        (CHUNKED, "3\r\nabc\r\n"),
        (CHUNKED, "3\r\nab"),
    ] {
        let mut client = server.connect().await;
        let head = request("POST", "/channels/news", headers);
        client.send(head + part).await;
        client.response().await.assert_problem(408);
        client.take_all().await;
    }
    // Cut: nobody is there to be told, and half an event is none.
    let mut client = server.connect().await;
    let head = request("POST", "/channels/news", &[("Content-Length", "10")]);
    client.send(head + "abc").await;
    client.finish().await;
    client.take_all().await;
    assert_eq!(server.hub.stats().published, 0);
    server.assert_serves().await;
}

#[tokio::test]
async fn a_chunked_body_is_one_event() {
    let server = TestServer::open().await;
    let mut client = server.connect().await;
    let head = request("POST", "/channels/news", CHUNKED);
    client
        .send(head + "3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.response().await.json()["id"], id(1));
    let mut stream = server.stream("/events?channel=news&start=earliest").await;
    assert_eq!(stream.event().await.data, "hello");
}

#[tokio::test]
async fn many_publishes_over_one_connection() {
    let server = TestServer::open().await;
    let mut client = server.connect().await;
    for n in 1..=3 {
        client.send(post("/channels/news", &[], "x")).await;
        assert_eq!(client.response().await.json()["id"], id(n));
    }
    let pipelined = post("/channels/news", &[], "y").repeat(3);
    client.send(pipelined).await;
    for n in 4..=6 {
        assert_eq!(client.response().await.json()["id"], id(n));
    }
}

/// The answer comes when the event is in the log: its id and the one before it are good at once.
#[tokio::test]
async fn the_answer_is_an_id_to_go_on_from() {
    let server = TestServer::open().await;
    let mut before = id(0);
    for n in 1..=20 {
        let response = server.ask(post("/channels/news", &[], n.to_string())).await;
        let answered = response.json()["id"].as_str().unwrap().to_owned();
        let resume = |id: &str| format!("/events?channel=news&last_event_id={id}");
        let mut stream = server.stream(&resume(&before)).await;
        let event = stream.event().await;
        assert_eq!(
            (event.data, &event.last_event_id),
            (n.to_string(), &answered)
        );
        let mut stream = server.stream(&resume(&answered)).await;
        assert_eq!(stream.control("open").await.1, answered);
        before = answered;
    }
}

#[tokio::test]
async fn a_full_hub_is_a_reason_to_come_back() {
    let hub = known_ids()
        .with_max_channels(1)
        .with_retention(Retention::new().with_count(1));
    let config = quiet().with_authenticator(support::everything);
    let server = TestServer::start(hub, config, ServerConfig::new()).await;
    assert_eq!(
        server.ask(post("/channels/a", &[], "x")).await.head.status,
        200
    );
    for ask in [
        post("/channels/b", &[], "x"),
        get("/events?channel=b", &[]).into(),
    ] {
        let response = server.ask(ask).await;
        response.assert_problem(503);
        assert!(response.head.header("retry-after").is_some());
    }
}
