//! Proper requests with hostile names, ids, payloads and parameters: nothing of them gets where it
//! does not belong.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use eventcast::ServerConfig;
use support::{HOST, TestServer, get, known_ids, post, quiet, request};

async fn server() -> TestServer {
    let config = quiet().with_authenticator(support::everything);
    let hub = known_ids().with_max_session_channels(10);
    TestServer::start(hub, config, ServerConfig::new()).await
}

const LINES: &str = "%0d%0aSet-Cookie:%20a=b%0d%0a%0d%0adata:%20x%0a%0a";

#[tokio::test]
async fn lines_cannot_be_smuggled_into_an_answer() {
    let server = server().await;
    let asks = [
        post(&format!("/channels/news?event={LINES}"), &[], "x"),
        post(&format!("/channels/news{LINES}"), &[], "x"),
        get(&format!("/events?channel=news{LINES}"), &[]).into(),
        get(&format!("/events?channel=news&format={LINES}"), &[]).into(),
        get(&format!("/events?channel=news&start={LINES}"), &[]).into(),
        get(&format!("/{LINES}"), &[]).into(),
    ];
    for ask in asks {
        let response = server.ask(ask).await;
        assert!(matches!(response.head.status, 400 | 404), "{response:?}");
        assert_eq!(response.head.header("set-cookie"), None);
        response.assert_problem(response.head.status);
    }
    let target = format!("/events?channel=news&last_event_id={LINES}");
    let mut stream = server.stream(&target).await;
    assert_eq!(stream.head.header("set-cookie"), None);
    assert!(stream.block().await.starts_with("event: eventcast.open\n"));
    let gap = stream.block().await;
    assert!(
        gap.contains("\"unknown\"") && !gap.contains("Cookie"),
        "{gap}"
    );
    server.assert_serves().await;
}

/// A payload is only data, whatever it looks like.
#[tokio::test]
async fn blocks_cannot_be_smuggled_into_a_stream() {
    let server = server().await;
    let mut stream = server.stream("/events?channel=news").await;
    stream.control("open").await;
    let evil = "x\r\n\r\nevent: eventcast.gap\rid: 9\n\ndata: y\r\nretry: 1\n\n";
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let response = server
            .ask(post("/channels/news", &[("Content-Type", kind)], evil))
            .await;
        assert_eq!(response.head.status, 200);
        let event = stream.event().await;
        assert_eq!(event.name, None);
        assert_eq!(event.data, evil.replace("\r\n", "\n").replace('\r', "\n"));
    }
    let json = "{\"a\":\r\n\r\n\"x\",\n\n\"b\":1}";
    let headers = &[("Content-Type", "application/json")];
    server.ask(post("/channels/news", headers, json)).await;
    let event = stream.event().await;
    assert_eq!(event.data, json.replace(['\r', '\n'], " "));
}

#[tokio::test]
async fn bytes_that_are_no_utf_8() {
    let server = server().await;
    let replace = |text: String| {
        // Any text with `@@` for the bad bytes.
        let parts: Vec<_> = text.split("@@").map(str::as_bytes).collect();
        parts.join(&b"\xc3\x28\xff"[..])
    };
    for ask in [
        "/channels/@@",
        "/channels/news?event=@@",
        "/events?channel=@@",
        "/@@",
    ] {
        let response = server.ask(replace(request("POST", ask, &[]))).await;
        assert_eq!(response.head.status, 400, "{ask}");
    }
    let response = server.ask(replace(request("P@@T", "/", &[]))).await;
    assert_eq!(response.head.status, 400);
    for (name, status) in [("Event-Type", 400), ("Origin", 403)] {
        let ask = replace(request("POST", "/channels/news", &[(name, "@@")]));
        server.ask(ask).await.assert_problem(status);
    }
    // A client's own id, whatever it is, is no reason to turn it away.
    let mut client = server.connect().await;
    client
        .send(replace(get(
            "/events?channel=news",
            &[("Last-Event-ID", "@@")],
        )))
        .await;
    client.take_until("\"reason\":\"unknown\"").await;
    // Escaped: a name that is no text is none.
    for target in ["/channels/%c3%28", "/channels/%ff", "/channels/%ed%a0%80"] {
        server.ask(post(target, &[], "x")).await.assert_problem(400);
    }
    server.assert_serves().await;
}

#[tokio::test]
async fn a_query_that_is_no_utf_8_names_no_channel() {
    let server = server().await;
    for name in ["%ff", "news%c3%28", "%ed%a0%80"] {
        let target = format!("/events?channel={name}");
        let mut client = server.connect().await;
        client.send(get(&target, &[])).await;
        assert_eq!(client.head().await.status, 400, "{name}");
    }
}

#[tokio::test]
async fn headers_that_come_twice() {
    let server = server().await;
    let own = format!("http://{HOST}");
    let origins = [("Origin", &*own), ("Origin", "http://evil.example")];
    let ask = post("/channels/news", &origins, "x");
    server.ask(ask).await.assert_problem(403);
    // A second host cannot make a foreign page the server's own.
    let hosts = [("Host", "evil.example"), ("Origin", "http://evil.example")];
    let response = server.ask(post("/channels/news", &hosts, "x")).await;
    assert!(matches!(response.head.status, 400 | 403), "{response:?}");
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn very_many_parameters() {
    let server = server().await;
    let unknown = "&x=1".repeat(3_000);
    let mut stream = server
        .stream(&format!("/events?channel=news{unknown}"))
        .await;
    stream.control("open").await;
    let same = "&channel=news".repeat(1_000);
    let mut stream = server.stream(&format!("/events?{same}")).await;
    stream.control("open").await;

    let channels: String = (0..1_000).map(|n| format!("&channel=c{n}")).collect();
    let ask = get(&format!("/events?{channels}"), &[]);
    server.ask(ask).await.assert_problem(400);
    assert_eq!(server.hub.stats().channels, 1, "a refusal leaves nothing");
    server.assert_serves().await;
}
