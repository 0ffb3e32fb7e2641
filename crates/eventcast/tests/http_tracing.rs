//! What `tracing` is told of connections and sessions: names and fields that stay as they are.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventcast::{Denied, Limits, Permissions, Retention, Revocation, ServerConfig};
use http::Method;
use http::request::Parts;
use support::http2::Http2;
use support::websocket::WebSocket;
use support::{TestServer, get, known_ids, quiet, within};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Each event as `LEVEL spans: message fields`.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    /// Hears what this thread does, which all of a test's tasks run on.
    fn begin() -> (Self, DefaultGuard) {
        let told = Self::default();
        let subscriber = tracing_subscriber::registry().with(told.clone());
        (told, tracing::subscriber::set_default(subscriber))
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for a line, and takes all up to it.
    async fn until(&self, wanted: &str) -> Vec<String> {
        within(async {
            loop {
                match self.take_through(wanted) {
                    Some(lines) => return lines,
                    None => tokio::task::yield_now().await,
                }
            }
        })
        .await
    }

    fn take_through(&self, wanted: &str) -> Option<Vec<String>> {
        let mut lines = self.0.lock().unwrap();
        let place = lines.iter().position(|line| line.contains(wanted))?;
        Some(lines.drain(..=place).collect())
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    fields: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            // No two runs have the same.
            "lasted_ms" => self.fields += " lasted_ms",
            name => {
                let _ = write!(self.fields, " {name}={value:?}");
            }
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Told {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() == "eventcast" {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            let span = context.span(id).unwrap();
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "eventcast" {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let scope = context.event_scope(event).into_iter();
        let spans = scope
            .flat_map(|scope| scope.from_root())
            .filter_map(|span| {
                let extensions = span.extensions();
                let fields = extensions.get::<Fields>()?;
                Some(format!("{}{} > ", span.name(), fields.fields))
            });
        let line = format!(
            "{} {}{}{}",
            event.metadata().level(),
            spans.collect::<String>(),
            fields.message,
            fields.fields
        );
        self.0.lock().unwrap().push(line);
    }
}

const CONNECTION: &str = "connection address=127.0.0.1 tls=false > ";

#[tokio::test]
async fn a_stream_from_its_connection_to_its_end() {
    let (told, _guard) = Told::begin();
    let server = TestServer::standard().await;
    let mut stream = server.stream("/events?channel=news").await;
    let first = server.publish("news", 1);
    stream.event().await;
    drop(stream);
    let session = format!("{CONNECTION}session number=0 transport=\"sse\" > ");
    assert_eq!(
        told.until("session ended").await,
        [
            format!("DEBUG {CONNECTION}connection opened"),
            format!("DEBUG {session}session opened resumed=false"),
            format!("DEBUG {session}session ended reason=\"left\" lasted_ms"),
        ]
    );

    let again = format!("/events?channel=news&last_event_id={first}&transport=poll&wait=0");
    server.ask(get(&again, &[])).await;
    let lines = told.until("session ended").await;
    assert!(
        lines[1].ends_with("session opened resumed=true"),
        "{lines:?}"
    );
    assert!(lines[2].ends_with("session ended reason=\"answered\" lasted_ms"));
}

#[tokio::test]
async fn gaps_are_told_in_their_session() {
    let (told, _guard) = Told::begin();
    let hub = known_ids().with_retention(Retention::new().with_count(2));
    let server = TestServer::start(hub, quiet(), ServerConfig::new()).await;
    let first = server.publish("log", 0);
    for n in 1..5 {
        server.publish("log", n);
    }
    let resume = format!("/events?channel=log&last_event_id={first}");
    let mut socket = WebSocket::open(&server, &resume).await;
    socket.message("open").await;
    socket.message("gap").await;
    let lines = told.until(" > gap").await;
    let session = format!("{CONNECTION}session number=0 transport=\"websocket\" > ");
    let gap = format!("DEBUG {session}gap reason=\"trimmed\"");
    assert_eq!(lines.last(), Some(&gap));
}

#[tokio::test]
async fn refusals_drains_and_revocations() {
    fn ann(request: &Parts) -> Result<Permissions, Denied> {
        match request.headers.get("user") {
            Some(_) => Ok(Permissions::subscribe().with_principal("ann")),
            None => Err(Denied::Unauthorized),
        }
    }
    let (told, _guard) = Told::begin();
    let config = quiet().with_authenticator(ann);
    let config = config.with_limits(Limits::new().with_sessions(1));
    let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
    server.ask(get("/events?channel=a", &[])).await;
    let lines = told.until("request refused").await;
    let refused = "request refused resource=\"subscribe\" status=401";
    assert_eq!(lines.last(), Some(&format!("DEBUG {CONNECTION}{refused}")));

    let stream = server
        .stream_with("/events?channel=a", &[("User", "ann")])
        .await;
    server
        .ask(get("/events?channel=a", &[("User", "ann")]))
        .await;
    let lines = told.until("limit met").await;
    let limit = format!("DEBUG {CONNECTION}limit met limit=\"sessions\"");
    assert_eq!(lines.last(), Some(&limit));
    let lines = told.until("request refused").await;
    assert!(
        lines[0].ends_with("resource=\"subscribe\" status=503"),
        "{lines:?}"
    );

    server.service.revoke(&Revocation::of_principal("ann"));
    let lines = told.until("revoked").await;
    assert_eq!(lines.last().unwrap(), "INFO revoked ended=1 narrowed=0");
    let ended = told.until("session ended").await;
    assert!(
        ended.last().unwrap().contains("reason=\"revoked\""),
        "{ended:?}"
    );
    drop(stream);
    drop(server.service.drain(Duration::from_secs(3)));
    let lines = told.until("drain begun").await;
    assert_eq!(
        lines.last().unwrap(),
        "INFO drain begun window_ms=3000 sessions=0"
    );
}

#[tokio::test]
async fn streams_of_http2_are_in_their_connection() {
    let (told, _guard) = Told::begin();
    let server = TestServer::standard().await;
    let http2 = Http2::connect(&server).await;
    let stream = http2.stream("/events?channel=a", &[]).await;
    http2.ask(Method::GET, "/events", &[], "").await;
    let lines = told.until("request refused").await;
    assert_eq!(
        lines,
        [
            format!("DEBUG {CONNECTION}connection opened"),
            format!(
                "DEBUG {CONNECTION}session number=0 transport=\"sse\" > session opened resumed=false"
            ),
            format!("DEBUG {CONNECTION}request refused resource=\"subscribe\" status=400"),
        ]
    );
    drop(stream);
    told.until("session ended").await;
    assert!(told.all().len() < 3);
}

/// What is told, in the document: the name of each span and event, with its fields.
#[test]
fn the_document_lists_what_is_told_and_nothing_else() {
    let document = include_str!("../../../docs/observability.md");
    let rows = document.lines().filter_map(|line| {
        let row: Vec<&str> = line.split('|').map(str::trim).collect();
        let is_told = matches!(row.get(2), Some(&("span" | "event")));
        is_told.then(|| row[1].trim_matches('`').to_owned())
    });
    let listed: BTreeSet<String> = rows.collect();
    let source = include_str!("../src/trace/on.rs");
    let names = source.lines().filter_map(|line| {
        let line = line.trim();
        let is_span = line.starts_with('"') && line.ends_with("\",");
        let is_told = is_span || line.contains("!(target: TARGET") || line.contains("debug!(");
        is_told.then(|| line.split('"').nth(1)).flatten()
    });
    assert_eq!(listed, names.map(str::to_owned).collect());
}
