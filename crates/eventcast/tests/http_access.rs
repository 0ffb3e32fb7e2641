//! Who may do what, and which web pages may.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use eventcast::{AllowedOrigins, Denied, Permissions, ServerConfig};
use http::request::Parts;
use support::client::Head;
use support::{HOST, TestServer, get, known_ids, post, quiet, request};

#[tokio::test]
async fn nobody_publishes_by_default() {
    let server = TestServer::standard().await;
    let response = server.ask(post("/channels/news", &[], "x")).await;
    response.assert_problem(403);
    assert_eq!(server.hub.stats().published, 0);
    assert_eq!(server.hub.stats().channels, 0);
}

#[tokio::test]
async fn a_publish_that_is_not_allowed_is_refused_before_its_body() {
    let server = TestServer::standard().await;
    let head = request("POST", "/channels/news", &[("Content-Length", "1000")]);
    server.ask(head).await.assert_problem(403);
}

#[tokio::test]
async fn publishing_is_by_channel() {
    let config = quiet().with_authenticator(support::only_public);
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    let allowed = server.ask(post("/channels/public/a", &[], "x")).await;
    assert_eq!(allowed.json()["channel"], "public/a");
    let encoded = server.ask(post("/channels/public%2Fa", &[], "x")).await;
    assert_eq!(encoded.json()["channel"], "public/a");
    let private = server.ask(post("/channels/private", &[], "x")).await;
    private.assert_problem(403);
}

fn bearer(request: &Parts) -> Result<Permissions, Denied> {
    match request.headers.get("authorization") {
        Some(token) if token == "Bearer good" => Ok(Permissions::all()),
        Some(_) => Err(Denied::Forbidden),
        None => Err(Denied::Unauthorized),
    }
}

#[tokio::test]
async fn credentials() {
    let config = quiet().with_authenticator(bearer);
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    let good = &[("Authorization", "Bearer good")][..];
    let bad = &[("Authorization", "Bearer bad")][..];
    let publish = |headers| post("/channels/news", headers, "x");
    let subscribe = |headers| get("/events?channel=news", headers).into_bytes();

    for unknown in [publish(&[]), subscribe(&[])] {
        let response = server.ask(unknown).await;
        response.assert_problem(401);
        assert_eq!(response.head.header("www-authenticate"), Some("Bearer"));
    }
    for known in [publish(bad), subscribe(bad)] {
        server.ask(known).await.assert_problem(403);
    }
    assert_eq!(server.ask(publish(good)).await.head.status, 200);
    let mut stream = server.stream_with("/events?channel=news", good).await;
    stream.control("open").await;
    assert_eq!(server.ask(get("/healthz", &[])).await.head.status, 200);
}

const APP: &str = "https://app.example";

async fn with_origins(origins: AllowedOrigins) -> TestServer {
    let config = quiet()
        .with_authenticator(support::everything)
        .with_allowed_origins(origins);
    TestServer::start(known_ids(), config, ServerConfig::new()).await
}

async fn named() -> TestServer {
    with_origins(AllowedOrigins::same_origin().and(APP)).await
}

fn cors(head: &Head) -> [Option<&str>; 2] {
    [
        head.header("access-control-allow-origin"),
        head.header("access-control-allow-credentials"),
    ]
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let server = named().await;
    let port = format!("http://{HOST}:81");
    let longer = format!("http://{HOST}.evil.example");
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil.example",
        "null",
        "*",
        "",
        HOST,
        "file://",
        "\u{e9}",
        &port,
        &longer,
    ] {
        let headers = &[("Origin", origin)][..];
        for ask in [
            post("/channels/news", headers, "x"),
            get("/events?channel=news", headers).into(),
            request("OPTIONS", "/channels/news", headers).into(),
        ] {
            let response = server.ask(ask).await;
            assert_eq!(response.head.status, 403, "{origin}");
            response.assert_problem(403);
            assert_eq!(cors(&response.head), [None, None]);
            assert_eq!(response.head.header("vary"), Some("Origin"));
        }
    }
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn pages_of_its_own_origin_need_no_permission() {
    let server = named().await;
    // With or without the scheme's own port; TLS may end in front of the server.
    for (scheme, port) in [
        ("http", ""),
        ("http", ":80"),
        ("https", ""),
        ("https", ":443"),
    ] {
        let origin = format!("{scheme}://{HOST}{port}");
        let headers = [("Origin", &*origin)];
        let response = server.ask(post("/channels/news", &headers, "x")).await;
        assert_eq!(response.head.status, 200, "{origin}");
        assert_eq!(cors(&response.head), [None, None]);
    }
}

#[tokio::test]
async fn allowed_pages_may_read_the_answer_whatever_it_is() {
    let server = named().await;
    let origin = &[("Origin", APP)][..];
    let allowed = [Some(APP), Some("true")];
    let published = server.ask(post("/channels/news", origin, "x")).await;
    assert_eq!(published.head.status, 200);
    assert_eq!(cors(&published.head), allowed);
    let stream = server.stream_with("/events?channel=news", origin).await;
    assert_eq!(cors(&stream.head), allowed);
    for refused in [
        post("/channels/a*", origin, "x"),
        get("/events", origin).into(),
    ] {
        let response = server.ask(refused).await;
        response.assert_problem(400);
        assert_eq!(cors(&response.head), allowed);
        assert_eq!(response.head.header("vary"), Some("Origin"));
    }
}

#[tokio::test]
async fn preflight() {
    let server = named().await;
    let mut client = server.connect().await;
    let headers = [
        ("Origin", APP),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type,event-type"),
    ];
    client
        .send(request("OPTIONS", "/channels/news", &headers))
        .await;
    let head = client.head().await;
    assert_eq!(head.status, 204);
    assert_eq!(cors(&head), [Some(APP), Some("true")]);
    let methods = head.header("access-control-allow-methods").unwrap();
    assert_eq!(methods, "GET, HEAD, POST, DELETE");
    let allowed = head.header("access-control-allow-headers").unwrap();
    let allowed = allowed.to_ascii_lowercase();
    for header in [
        "authorization",
        "content-type",
        "event-type",
        "last-event-id",
    ] {
        assert!(allowed.split(", ").any(|name| name == header), "{allowed}");
    }
    assert_eq!(head.header("vary"), Some("Origin"));
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn any_origin_may_be_allowed() {
    let server = with_origins(AllowedOrigins::same_origin().and("*")).await;
    let response = server
        .ask(post("/channels/news", &[("Origin", APP)], "x"))
        .await;
    assert_eq!(response.head.status, 200);
    assert!(cors(&response.head)[0].is_some());
}

#[tokio::test]
async fn where_any_origin_is_allowed_none_may_send_cookies() {
    let server = with_origins(AllowedOrigins::same_origin().and("*").and(APP)).await;
    let by = async |origin| {
        let publish = post("/channels/news", &[("Origin", origin)], "x");
        server.ask(publish).await.head
    };
    assert_eq!(cors(&by("https://any.example").await), [Some("*"), None]);
    assert_eq!(cors(&by(APP).await), [Some(APP), Some("true")]);
}
