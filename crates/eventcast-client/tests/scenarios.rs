//! The table of scenarios that every client passes: `clients/scenarios.json`, which
//! `clients/README.md` describes. Servers are in memory and time is simulated.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "scenarios/act.rs"]
mod act;
#[path = "scenarios/judge.rs"]
mod judge;
#[path = "scenarios/server.rs"]
mod server;
#[path = "scenarios/table.rs"]
mod table;
#[path = "scenarios/wire.rs"]
mod wire;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventcast_client::{Client, ClientBuilder, ClientError, Delivery, Transport};
use eventcast_core::{ChannelSelector, EventName};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use server::Server;
use table::{Options, Scenario, Table};
use tokio::time::{Instant, sleep, sleep_until};

/// Longer than anything in the table takes, in simulated time.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn every_scenario_of_the_table_is_passed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/scenarios.json");
    let table = std::fs::read_to_string(path).unwrap();
    let table: Table = serde_json::from_str(&table).unwrap();
    assert_eq!(table.version, 1);
    let mut names = HashSet::new();
    let mut failures = Vec::new();
    let mut runs = 0;
    for scenario in &table.scenarios {
        assert!(names.insert(&scenario.name), "twice: {}", scenario.name);
        let once = [scenario.client.transports.clone()];
        let alone = scenario
            .over
            .iter()
            .map(|transport| vec![transport.clone()]);
        let alone: Vec<_> = alone.collect();
        let over = if alone.is_empty() { &once[..] } else { &alone };
        for transports in over {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            runs += 1;
            if let Err(why) = runtime.block_on(run(scenario, transports)) {
                failures.push(format!("{} ({transports:?}):\n{why}", scenario.name));
            }
        }
    }
    let failed = failures.len();
    assert!(
        failures.is_empty(),
        "{failed} of {runs} runs failed:\n{}",
        failures.join("\n\n")
    );
}

/// All that a user saw.
pub(crate) struct Seen {
    pub(crate) transports: Vec<String>,
    pub(crate) told: Vec<Value>,
    /// `None` while the client is at work.
    pub(crate) outcome: Option<Value>,
    /// What came of the actions that are done.
    pub(crate) acted: Vec<Result<(), String>>,
    pub(crate) last_id: Option<String>,
}

async fn run(scenario: &Scenario, transports: &[String]) -> Result<(), String> {
    let server = Server::new(scenario.server.clone(), scenario.minutes.is_none());
    let dialing = server.clone();
    let builder = builder(&scenario.client, transports)?;
    let client = builder.with_dialer(move |_, _| dialing.dial()).connect();
    let mut client = client.map_err(|error| error.to_string())?;
    if let Some(minutes) = scenario.minutes {
        let reading = async { while client.next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(60 * minutes), reading).await;
        return judge::pace(&scenario.expect, &server.state());
    }
    let mut seen = Seen {
        transports: transports.to_vec(),
        told: Vec::new(),
        outcome: None,
        acted: Vec::new(),
        last_id: None,
    };
    let deadline = Instant::now() + PATIENCE;
    let mut acting: Option<BoxFuture<'static, Result<(), String>>> = None;
    let mut late = false;
    loop {
        let next = scenario.actions.get(seen.acted.len());
        if acting.is_none()
            && let Some(action) = next
            && action
                .after
                .as_ref()
                .is_none_or(|after| judge::was_told(&seen, after))
        {
            acting = Some(act::act(client.handle(), action.clone()).boxed());
        }
        if late || judge::is_over(scenario, &seen, &server.state()) {
            break;
        }
        let action = async {
            match &mut acting {
                Some(acting) => acting.await,
                None => std::future::pending().await,
            }
        };
        let over = seen.outcome.is_some();
        tokio::select! {
            done = action => {
                acting = None;
                seen.acted.push(done);
            }
            item = client.next(), if !over => note(&mut seen, item),
            // Requests come without anything told.
            () = sleep(Duration::from_millis(2)), if !over => {}
            () = sleep_until(deadline) => late = true,
        }
        late |= Instant::now() >= deadline;
    }
    // What is too much would come now.
    let more = async {
        while seen.outcome.is_none() {
            let item = client.next().await;
            note(&mut seen, item);
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(5), more).await;
    seen.last_id = client.last_id().map(|id| id.to_string());
    judge::judge(scenario, &seen, &server.state())
}

fn note(seen: &mut Seen, item: Option<Result<Delivery, ClientError>>) {
    match item {
        None => seen.outcome = Some("completed".into()),
        Some(Err(error)) => seen.outcome = Some(judge::outcome(&error)),
        Some(Ok(delivery)) => seen.told.push(judge::told(&delivery)),
    }
}

fn builder(options: &Options, transports: &[String]) -> Result<ClientBuilder, String> {
    let builder = Client::builder("http://test/events");
    let mut builder = builder.map_err(|error| error.to_string())?;
    let transports = transports.iter().map(|name| {
        let mut all = Transport::DEFAULT_ORDER.into_iter();
        all.find(|transport| transport.as_str() == name).unwrap()
    });
    builder = builder.with_transports(transports);
    for channel in &options.channels {
        builder = builder.channel(channel.parse::<ChannelSelector>().unwrap());
    }
    for name in &options.event {
        builder = builder.event(&EventName::new(name).unwrap());
    }
    if let Some(id) = &options.resume {
        builder = builder.resume(id.parse().unwrap());
    }
    if let Some(start) = &options.start {
        builder = builder.start(start.parse().unwrap());
    }
    if let Some(slow) = &options.slow {
        builder = builder.slow(slow.parse().unwrap());
    }
    for (name, value) in &options.headers {
        builder = builder.with_header(name, value).unwrap();
    }
    if !options.tokens.is_empty() {
        let tokens = Arc::new(Mutex::new(options.tokens.clone()));
        builder = builder.with_token(move || {
            let mut tokens = tokens.lock().unwrap();
            let token = match tokens.len() {
                1 => tokens[0].clone(),
                _ => tokens.remove(0),
            };
            std::future::ready(token.ok_or_else(|| "there is none".into()))
        });
    }
    if let Some(bytes) = options.max_message {
        builder = builder.with_max_message(bytes);
    }
    if options.defaults {
        return Ok(builder);
    }
    let ms = |given: Option<u64>, or: u64| Duration::from_millis(given.unwrap_or(or));
    Ok(builder
        .with_retry(ms(options.retry, 20))
        .with_min_retry(ms(options.min_retry, 1))
        .with_max_retry(ms(options.max_retry, 1_000))
        .with_connect_timeout(ms(options.connect_timeout, 5_000))
        .with_attempts_per_minute(options.attempts_per_minute.unwrap_or(60_000)))
}
