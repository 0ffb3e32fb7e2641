//! What is secret shows up in no log, no error and no `Debug`, with everything logged that the
//! service and what it is made of log at all.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventcast::{Denied, Permissions, Revocation, ServerConfig};
use http::Method;
use http::request::Parts;
use support::http2::Http2;
use support::websocket::WebSocket;
use support::{TestServer, get, known_ids, post, quiet, request};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// In every secret here, and nowhere else.
const MARK: &str = "marked5ecret";
const TOKEN: &str = "token-marked5ecret";
const PAYLOAD: &str = "payload-marked5ecret";
const KEY: &str = "a-session-key-marked5ecret";

/// All that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Line(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap();
        let _ = write!(text, "\n{}: ", event.metadata().target());
        event.record(&mut Line(&mut text));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

fn bearer(request: &Parts) -> Result<Permissions, Denied> {
    let header = request.headers.get("authorization");
    let token = header.and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "));
    match token {
        Some(TOKEN) => Ok(Permissions::all()
            .only_channels(|channel| !channel.as_str().starts_with("closed"))
            .with_principal("ann-marked5ecret")
            .with_token_id("id-marked5ecret")
            .with_lifetime(Duration::from_secs(3_600))),
        Some(_) => Err(Denied::Unauthorized),
        None => Err(Denied::Forbidden),
    }
}

#[tokio::test]
async fn secrets_are_in_no_log_no_error_and_no_debug() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let config = quiet().with_authenticator(bearer);
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    let good = [("Authorization", "Bearer token-marked5ecret")];
    let bad = [("Authorization", "Bearer forged-marked5ecret")];
    let session = format!("/events?channel=a&format=json&session={KEY}");
    let change = format!("/sessions/{KEY}?channel=b");
    let refresh = format!("/sessions/{KEY}/refresh");
    let other = "/sessions/another-key-marked5ecret?channel=a";
    let ticket = "/events?channel=a&ticket=marked5ecret";

    let mut stream = server.stream_with(&session, &good).await;
    stream.control("open").await;
    let mut refused = String::new();
    // What is answered without a secret of its owner's, since nothing was wrong.
    for (target, body) in [("/channels/a", PAYLOAD), (&change, ""), (&refresh, "")] {
        let answer = server.ask(post(target, &good, body)).await;
        assert_eq!(answer.head.status, 200, "{target}");
    }
    assert_eq!(
        server.ask(post("/tickets", &good, "")).await.head.status,
        200
    );
    // Each wrong in a way of its own.
    let requests: Vec<Vec<u8>> = vec![
        get("/events?channel=a", &bad).into(),
        get("/events?channel=marked5ecret%0A", &good).into(),
        get("/events?channel=a&start=marked5ecret", &good).into(),
        get("/events?channel=closed-marked5ecret", &good).into(),
        get("/channels/a/history?from=marked5ecret", &good).into(),
        get("/channels/closed-marked5ecret/history", &good).into(),
        get(ticket, &[]).into(),
        get("/marked5ecret", &good).into(),
        get(
            "/events?channel=a",
            &[good[0], ("Origin", "https://marked5ecret.test")],
        )
        .into(),
        request("PUT", &change, &good).into(),
        post(&change, &bad, ""),
        post(&refresh, &bad, ""),
        post(other, &good, ""),
        post("/channels/closed-marked5ecret", &good, PAYLOAD),
        post("/channels/a", &bad, PAYLOAD),
        post(
            "/channels/a",
            &[good[0], ("Content-Type", "application/json")],
            "{marked5ecret",
        ),
        post("/tickets?channel=closed-marked5ecret", &good, ""),
        post("/requests/marked5ecret", &good, PAYLOAD),
    ];
    for bytes in requests {
        let said = String::from_utf8_lossy(&bytes).into_owned();
        let answer = server.ask(bytes).await;
        assert!(
            (400..500).contains(&answer.head.status),
            "{:?}: {said}",
            answer.head.status
        );
        refused += &format!(
            "{:?} {}\n",
            answer.head.text,
            String::from_utf8_lossy(&answer.body)
        );
    }
    // Over HTTP/2, whose crate logs its frames.
    let http2 = Http2::connect(&server).await;
    for headers in [&good, &bad] {
        let lower = [("authorization", headers[0].1)];
        let target = "/channels/a";
        http2.ask(Method::POST, target, &lower, PAYLOAD).await;
        http2.ask(Method::GET, ticket, &lower, "").await;
    }
    let mut socket = WebSocket::open_with(&server, "/events?channel=a", &good).await;
    socket.message("open").await;
    for message in [
        r#"{"type":"refresh","token":"forged-marked5ecret","ref":1}"#,
        r#"{"type":"subscribe","channels":["closed/x"],"ref":2}"#,
        r#"{"type":"marked5ecret","ref":3}"#,
    ] {
        socket.send(message).await;
        refused += &format!("{}\n", socket.message("error").await);
    }
    server
        .service
        .revoke(&Revocation::of_token("id-marked5ecret"));

    drop((stream, socket));
    server.assert_sessions_end().await;

    let permissions = Permissions::all().with_principal("ann-marked5ecret");
    let debug = format!("{:?} {:?} {permissions:?}", server.service, server.hub);
    let logged = log.0.lock().unwrap().clone();
    // Or the log would show nothing whatever was done.
    assert!(logged.contains("h2::"), "nothing is logged");
    #[cfg(feature = "tracing")]
    for told in [
        "connection opened",
        "session opened",
        "request refused",
        "session ended",
        "revoked",
    ] {
        assert!(logged.contains(told), "{told}");
    }
    for (what, text) in [("log", logged), ("refusals", refused), ("Debug", debug)] {
        let leak = text.lines().find(|line| line.contains(MARK));
        assert_eq!(leak, None, "in the {what}");
    }
}
