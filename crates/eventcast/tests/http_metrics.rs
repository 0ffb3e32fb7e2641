//! Figures as a scraper reads them: text at `/metrics`, and the same as JSON at `/stats`.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eventcast::metrics::{ALL, BUCKETS, Kind};
use eventcast::{
    Action, Denied, Event, EventService, Hub, Limits, Permissions, Retention, Scope, Server,
    ServiceConfig,
};
use eventcast_testkit::{AppendFault, MemoryLog};
use http::request::Parts;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use support::websocket::WebSocket;
use support::{TestServer, get, known_ids, post, quiet};

/// Whoever says so is an administrator; nobody may publish.
fn authenticate(request: &Parts) -> Result<Permissions, Denied> {
    let subscribe = Permissions::subscribe();
    Ok(if request.headers.contains_key("admin") {
        subscribe.allow(Action::Administer, Scope::everything())
    } else {
        subscribe
    })
}

fn recorder() -> PrometheusRecorder {
    let builder = PrometheusBuilder::new().set_buckets(BUCKETS).unwrap();
    builder.build_recorder()
}

async fn server() -> TestServer {
    server_with(Limits::new()).await
}

async fn server_with(limits: Limits) -> TestServer {
    let hub = Hub::with_config(known_ids().with_retention(Retention::new().with_count(4)));
    server_of(hub, limits).await
}

async fn server_of(hub: Hub, limits: Limits) -> TestServer {
    let recorder = recorder();
    let handle = recorder.handle();
    let config: ServiceConfig = quiet()
        .with_authenticator(authenticate)
        .with_limits(limits)
        .with_metrics_page(move || handle.render());
    // Handles are made with the recorder that is installed, here for this thread and this call.
    let service = metrics::with_local_recorder(&recorder, || EventService::new(hub, config));
    let server = Server::bind("127.0.0.1:0", service.clone()).await.unwrap();
    TestServer::run(server, service)
}

const ADMIN: [(&str, &str); 1] = [("Admin", "1")];

/// Each sample by its name and labels, as they are written.
async fn scrape(server: &TestServer) -> BTreeMap<String, f64> {
    let page = server.ask(get("/metrics", &ADMIN)).await;
    assert_eq!(page.head.status, 200);
    let kind = page.head.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = String::from_utf8(page.body).unwrap();
    let samples = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let samples = samples.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    samples.collect()
}

#[tokio::test]
async fn what_happened_is_what_is_counted() {
    let server = server().await;
    let mut stream = server.stream("/events?channel=news").await;
    let mut socket = WebSocket::open(&server, "/events?channel=news").await;
    socket.message("open").await;
    for n in 0..3 {
        server.publish("news", n);
        assert_eq!(stream.event().await.data, n.to_string());
        socket.message("event").await;
    }
    // A poll without an id is answered at once, and is over.
    let poll = get("/events?channel=news&transport=poll&start=earliest", &[]);
    let poll = server.ask(poll).await;
    assert_eq!(poll.json()["events"].as_array().unwrap().len(), 3);
    // Seven more of another channel, four retained: who had its first one misses two.
    let first = server.publish("log", 0);
    for n in 1..7 {
        server.publish("log", n);
    }
    let resume = format!("/events?channel=log&transport=poll&last_event_id={first}");
    let resumed = server.ask(get(&resume, &[])).await;
    assert_eq!(resumed.json()["events"].as_array().unwrap().len(), 5);
    server
        .ask(post("/channels/news", &[], "x"))
        .await
        .assert_problem(403);
    server.ask(get("/events", &[])).await.assert_problem(400);

    let seen = scrape(&server).await;
    let expect = |samples: &[(&str, f64)]| {
        for (series, value) in samples {
            assert_eq!(seen.get(*series), Some(value), "{series}");
        }
    };
    let poll_bytes = (poll.body.len() + resumed.body.len()) as f64;
    expect(&[
        (r#"eventcast_sessions{transport="sse"}"#, 1.0),
        (r#"eventcast_sessions{transport="websocket"}"#, 1.0),
        (r#"eventcast_sessions{transport="poll"}"#, 0.0),
        (r#"eventcast_sessions_opened_total{transport="poll"}"#, 2.0),
        (
            r#"eventcast_sessions_ended_total{transport="poll",reason="answered"}"#,
            2.0,
        ),
        (r#"eventcast_delivered_events_total{transport="sse"}"#, 3.0),
        (
            r#"eventcast_delivered_events_total{transport="websocket"}"#,
            3.0,
        ),
        (r#"eventcast_delivered_events_total{transport="poll"}"#, 7.0),
        (
            r#"eventcast_delivered_bytes_total{transport="poll"}"#,
            poll_bytes,
        ),
        (
            r#"eventcast_delivery_latency_seconds_count{transport="sse"}"#,
            3.0,
        ),
        (
            r#"eventcast_delivery_latency_seconds_count{transport="websocket"}"#,
            3.0,
        ),
        (r#"eventcast_gaps_total{reason="trimmed"}"#, 1.0),
        (r#"eventcast_gaps_total{reason="slow"}"#, 0.0),
        ("eventcast_published_events_total", 10.0),
        ("eventcast_publish_duration_seconds_count", 10.0),
        (
            r#"eventcast_requests_rejected_total{resource="publish",reason="forbidden"}"#,
            1.0,
        ),
        (
            r#"eventcast_requests_rejected_total{resource="subscribe",reason="bad_request"}"#,
            1.0,
        ),
        ("eventcast_channels", 2.0),
        ("eventcast_retained_events", 7.0),
        ("eventcast_draining", 0.0),
    ]);
    assert!(seen[r#"eventcast_delivered_bytes_total{transport="sse"}"#] > 0.0);
    assert!(seen[r#"eventcast_delivered_bytes_total{transport="websocket"}"#] > 0.0);

    let stats = server.ask(get("/stats", &ADMIN)).await.json();
    assert_eq!(stats["sessions"]["sse"], 1);
    assert_eq!(stats["retained"]["events"], 7);
    assert_eq!(stats["draining"], false);

    // An administrator is answered while the sessions are being sent away.
    drop(server.service.drain(Duration::from_secs(3_600)));
    assert_eq!(scrape(&server).await["eventcast_draining"], 1.0);
    drop(server.service.drain(Duration::ZERO));
    stream.rest().await;
    drop(socket);
    server.assert_sessions_end().await;
}

#[tokio::test]
async fn a_limit_that_is_met_is_counted_once_for_each_who_meets_it() {
    let server = server_with(Limits::new().with_sessions(1)).await;
    let mut stream = server.stream("/events?channel=news").await;
    for _ in 0..3 {
        let refused = server.ask(get("/events?channel=news", &[])).await;
        refused.assert_problem(503);
    }
    let mut seen = scrape(&server).await;
    let labels = seen.keys().filter_map(|series| {
        let label = series.strip_prefix("eventcast_refusals_total{limit=\"")?;
        Some(label.trim_end_matches("\"}").to_owned())
    });
    let labels: Vec<String> = labels.collect();
    let mut take = |series: &str| seen.remove(series);
    let sessions = take(r#"eventcast_refusals_total{limit="sessions"}"#);
    assert_eq!(sessions, Some(3.0));
    let rejected = r#"{resource="subscribe",reason="unavailable"}"#;
    let rejected = take(&format!("eventcast_requests_rejected_total{rejected}"));
    assert_eq!(rejected, Some(3.0));
    assert_eq!(take("eventcast_sessions_limit"), Some(1.0));
    let opened = take(r#"eventcast_sessions_opened_total{transport="sse"}"#);
    assert_eq!(opened, Some(1.0));
    // No other limit was met, and nothing else was refused.
    for (series, value) in seen {
        let is_refusal = series.starts_with("eventcast_refusals_total")
            || series.starts_with("eventcast_requests_rejected_total");
        assert!(!is_refusal || value == 0.0, "{series} {value}");
    }
    let stats = server.ask(get("/stats", &ADMIN)).await.json();
    assert_eq!(stats["refusals"]["sessions"], 3);
    // The same limits by the same names, wherever they are read.
    let names = stats["refusals"].as_object().unwrap().keys();
    assert!(names.cloned().eq(labels));
    assert_eq!(stats["sessions"]["limit"], 1);
    // Who is in is served as before.
    server.publish("news", "x");
    assert_eq!(stream.event().await.data, "x");
}

#[tokio::test]
async fn figures_are_for_administrators() {
    let server = server().await;
    for path in ["/stats", "/metrics"] {
        server.ask(get(path, &[])).await.assert_problem(403);
        let posted = server.ask(post(path, &ADMIN, "")).await;
        posted.assert_problem(405);
    }
    // Where no page is set up the path is not the service's.
    let other = TestServer::standard().await;
    other.ask(get("/metrics", &ADMIN)).await.assert_problem(404);
}

#[tokio::test]
async fn every_metric_is_there_and_no_other() {
    let server = server().await;
    let seen = scrape(&server).await;
    let names: BTreeSet<&str> = seen
        .keys()
        .map(|series| series.split('{').next().unwrap())
        .map(|name| {
            let parts = ["_bucket", "_sum", "_count"];
            let base = parts.iter().find_map(|part| name.strip_suffix(part));
            base.filter(|base| base.ends_with("_seconds"))
                .unwrap_or(name)
        })
        .collect();
    // A histogram without a sample has no series.
    let expected = |metric: &&eventcast::metrics::Metric| metric.kind != Kind::Histogram;
    for metric in ALL.iter().filter(expected) {
        assert!(names.contains(metric.name), "{}", metric.name);
    }
    assert!(
        names
            .iter()
            .all(|name| ALL.iter().any(|metric| metric.name == *name))
    );
}

#[tokio::test]
async fn a_log_outside_the_hub_shows_how_it_is() {
    let log = MemoryLog::new();
    let hub = Hub::open(known_ids(), log.node()).await.unwrap();
    let server = server_of(hub.clone(), Limits::new()).await;
    hub.publish("news", Event::text("stored")).await.unwrap();
    for fault in [AppendFault::Full, AppendFault::Full, AppendFault::NotStored] {
        log.fail_next(fault);
        hub.publish("news", Event::text("lost")).await.unwrap_err();
    }
    log.fail_next(AppendFault::UnknownLost);
    hub.complete_async("news").await.unwrap_err();

    for (state, stalled, stalls) in [("connected", 0.0, 0.0), ("stalled", 1.0, 1.0)] {
        let stats = server.ask(get("/stats", &ADMIN)).await;
        assert_eq!(stats.json()["log"], state);
        let seen = scrape(&server).await;
        assert_eq!(seen["eventcast_log_stalled"], stalled);
        assert_eq!(seen["eventcast_log_stalls_total"], stalls);
        log.stall();
    }
    log.recover();
    hub.complete_async("news").await.unwrap();
    let seen = scrape(&server).await;
    assert_eq!(seen["eventcast_log_stalled"], 0.0);
    assert_eq!(seen["eventcast_log_stalls_total"], 1.0);
    assert_eq!(seen["eventcast_log_sequence"], log.last() as f64);
    assert_eq!(seen["eventcast_published_events_total"], 2.0);
    for (reason, count) in [
        ("full", 2.0),
        ("unavailable", 1.0),
        ("outcome_unknown", 1.0),
    ] {
        let series = format!(r#"eventcast_publish_failures_total{{reason="{reason}"}}"#);
        assert_eq!(seen[&series], count, "{reason}");
    }
}

#[test]
fn the_document_lists_every_metric_and_no_other() {
    let document = include_str!("../../../docs/observability.md");
    let rows = document
        .lines()
        .filter(|line| line.starts_with("| `eventcast_"));
    let listed: BTreeSet<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    let known: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(listed, known);
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let dashboard = include_str!("../../../docs/grafana/eventcast.json");
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions: Vec<&str> = targets
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    let words = expressions
        .iter()
        .flat_map(|expression| expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let shown: BTreeSet<&str> = words
        .filter(|word| word.starts_with("eventcast_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
        .collect();
    let known: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(shown, known);
}
