//! Requests that the server answers: by POST, and over WebSocket.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use eventcast::{
    AllowedOrigins, ChannelName, ClientRequest, ErrorCode, Payload, PayloadKind, Refusal,
    RequestHandler, ServerConfig, ServiceConfig,
};
use http::Response;
use serde_json::{Value, json};
use support::websocket::WebSocket;
use support::{TestServer, get, id, known_ids, post, quiet, request};

/// Answers by name, and refuses with the code that is asked for.
struct Answers;

#[async_trait]
impl RequestHandler for Answers {
    async fn answer(&self, request: ClientRequest<'_>) -> Result<Payload, Refusal> {
        if let Some(code) = request.name.strip_prefix("refuse/") {
            let code = CODES.iter().find(|(known, ..)| known.as_str() == code);
            return Err(Refusal::new(code.unwrap().0, "no"));
        }
        match request.name {
            "echo" => Ok(request.payload),
            "kind" => Ok(Payload::text(match request.payload.kind() {
                PayloadKind::Binary => "binary",
                PayloadKind::Json => "json",
                PayloadKind::Text => "text",
            })),
            "who" => {
                let user = request.http.headers.get("x-user").unwrap();
                let name = ChannelName::new("public/a").unwrap();
                let may = request.permissions.may_publish(&name);
                Ok(Payload::text(format!("{} {may}", user.to_str().unwrap())))
            }
            "never" => std::future::pending().await,
            _ => Err(Refusal::new(ErrorCode::NotFound, "unknown")),
        }
    }
}

const CODES: [(ErrorCode, u16); 12] = [
    (ErrorCode::BadChannel, 400),
    (ErrorCode::BadEvent, 400),
    (ErrorCode::BadRequest, 400),
    (ErrorCode::Completed, 409),
    (ErrorCode::Forbidden, 403),
    (ErrorCode::Internal, 500),
    (ErrorCode::NotFound, 404),
    (ErrorCode::RateLimited, 429),
    (ErrorCode::Timeout, 504),
    (ErrorCode::TooLarge, 413),
    (ErrorCode::TooManyChannels, 400),
    (ErrorCode::Unavailable, 503),
];

fn answering() -> ServiceConfig {
    quiet()
        .with_max_message(1000)
        .with_request_timeout(Duration::from_millis(50))
        .with_request_handler(Answers)
}

async fn start(config: ServiceConfig) -> TestServer {
    TestServer::start(known_ids(), config, ServerConfig::new()).await
}

async fn open(server: &TestServer, headers: &[(&str, &str)]) -> WebSocket {
    let mut socket = WebSocket::open_with(server, "/events", headers).await;
    socket.message("open").await;
    socket
}

async fn ask(socket: &mut WebSocket, request: Value) -> Value {
    socket.send(request.to_string()).await;
    socket.json().await
}

#[tokio::test]
async fn bodies_and_answers_have_the_content_type_of_their_payload() {
    let server = start(answering()).await;
    let json = &[("Content-Type", "application/vnd.api+json")][..];
    let text = &[("Content-Type", "text/html; charset=utf-8")][..];
    let bytes = &[("Content-Type", "image/png")][..];
    for (headers, body, kind, content_type) in [
        (json, &b"{\"n\": 1}"[..], "json", "application/json"),
        (text, b"hi", "text", "text/plain; charset=utf-8"),
        (&[], b"hi", "text", "text/plain; charset=utf-8"),
        (&[], b"", "text", "text/plain; charset=utf-8"),
        (&[], b"\xff", "binary", "application/octet-stream"),
        (bytes, b"hi", "binary", "application/octet-stream"),
    ] {
        let told = server.ask(post("/requests/kind", headers, body)).await;
        assert_eq!(told.body, kind.as_bytes());
        let echoed = server.ask(post("/requests/echo", headers, body)).await;
        assert_eq!((echoed.head.status, &echoed.body[..]), (200, body));
        assert_eq!(echoed.head.header("content-type"), Some(content_type));
        assert_eq!(echoed.head.header("cache-control"), Some("no-store"));
    }
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn over_websocket() {
    let server = start(answering()).await;
    let mut socket = open(&server, &[]).await;
    for (data, encoding) in [
        (json!("text"), Value::Null),
        (json!({ "n": 1 }), Value::Null),
        (json!(null), Value::Null),
        (json!("string"), json!("json")),
        (json!("AP8="), json!("base64")),
    ] {
        let mut request = json!({ "type": "request", "name": "echo", "data": data, "ref": 7 });
        let mut expected = json!({ "type": "reply", "data": data, "ref": 7 });
        if !encoding.is_null() {
            request["encoding"] = encoding.clone();
            expected["encoding"] = encoding;
        }
        assert_eq!(ask(&mut socket, request).await, expected);
    }
    let event = server.publish("news", "x");
    assert_eq!(event, id(1), "requests publish nothing");
}

#[tokio::test]
async fn a_refusal_has_the_status_that_fits_its_code() {
    let server = start(answering()).await;
    let mut socket = open(&server, &[]).await;
    for (code, status) in CODES {
        let name = format!("refuse/{}", code.as_str());
        let refused = server
            .ask(post(&format!("/requests/{name}"), &[], ""))
            .await;
        refused.assert_problem(status);
        let retry = refused.head.header("retry-after").is_some();
        assert_eq!(retry, matches!(status, 429 | 503));
        let request = json!({ "type": "request", "name": name, "data": "", "ref": "r" });
        let expected = json!({
            "type": "error", "ref": "r", "code": code.as_str(), "message": "no",
        });
        assert_eq!(ask(&mut socket, request).await, expected);
    }
}

#[tokio::test]
async fn the_handler_is_told_who_asks() {
    let server = start(answering().with_authenticator(support::only_public)).await;
    let ann = &[("X-User", "ann")][..];
    let told = server.ask(post("/requests/who", ann, "")).await;
    assert_eq!(told.body, b"ann true");
    let mut socket = open(&server, &[("X-User", "bob")]).await;
    let request = json!({ "type": "request", "name": "who", "data": "" });
    assert_eq!(ask(&mut socket, request).await["data"], "bob true");
}

#[tokio::test]
async fn an_answer_that_takes_too_long() {
    let server = start(answering()).await;
    let late = server.ask(post("/requests/never", &[], "")).await;
    late.assert_problem(504);
    let mut socket = open(&server, &[]).await;
    let request = json!({ "type": "request", "name": "never", "data": 1, "ref": 1 });
    let reply = ask(&mut socket, request).await;
    assert_eq!(
        (&reply["code"], &reply["ref"]),
        (&json!("timeout"), &json!(1))
    );
    let reply = ask(&mut socket, json!({ "type": "ping", "ref": 2 })).await;
    assert_eq!(reply["type"], "pong", "the connection goes on");
}

#[tokio::test]
async fn without_a_handler_there_is_nothing_there() {
    let page = |parts: &http::request::Parts| {
        (parts.uri.path() == "/requests/page").then(|| Response::new(Bytes::from_static(b"page")))
    };
    let server = start(quiet().with_fallback(page)).await;
    for name in ["echo", "%ff", ""] {
        let target = format!("/requests/{name}");
        server.ask(post(&target, &[], "")).await.assert_problem(404);
    }
    assert_eq!(server.ask(get("/requests/page", &[])).await.body, b"page");
    let mut socket = open(&server, &[]).await;
    let request = json!({ "type": "request", "name": "echo", "data": 1 });
    assert_eq!(ask(&mut socket, request).await["code"], "not_found");
}

#[tokio::test]
async fn what_is_no_request() {
    let server = start(answering()).await;
    let long = "x".repeat(101);
    for name in ["", "%ff", "%0a", "eventcast.x", &long] {
        let target = format!("/requests/{name}");
        server.ask(post(&target, &[], "")).await.assert_problem(400);
    }
    let unknown = server.ask(post("/requests/other", &[], "")).await;
    unknown.assert_problem(404);
    let wrong = server.ask(get("/requests/echo", &[])).await;
    wrong.assert_problem(405);
    assert_eq!(wrong.head.header("allow"), Some("POST"));
    let large = server
        .ask(post("/requests/echo", &[], "x".repeat(1001)))
        .await;
    large.assert_problem(413);
    let json = &[("Content-Type", "application/json")];
    let broken = server.ask(post("/requests/echo", json, "{")).await;
    broken.assert_problem(400);
}

#[tokio::test]
async fn pages_of_other_origins() {
    let origins = AllowedOrigins::same_origin().and("https://app.test");
    let server = start(answering().with_allowed_origins(origins)).await;
    let foreign = &[("Origin", "https://evil.test")];
    let refused = server.ask(post("/requests/echo", foreign, "x")).await;
    refused.assert_problem(403);
    let allowed = &[("Origin", "https://app.test")];
    let answer = server.ask(post("/requests/echo", allowed, "x")).await;
    let told = answer.head.header("access-control-allow-origin");
    assert_eq!(
        (&answer.body[..], told),
        (&b"x"[..], Some("https://app.test"))
    );
    let preflight = server
        .ask(request("OPTIONS", "/requests/echo", allowed))
        .await;
    assert_eq!(preflight.head.status, 204);
}
