//! A rolling restart: SIGTERM to the real hub under real connections of every transport, while a
//! second hub is there to come back to. `cargo xtask drain` runs it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for the terminal, in real time"
)]

mod client;
#[path = "../../hub.rs"]
mod hub;
mod publisher;
mod report;
mod wire;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::client::{Client, Plan, Transport};
use crate::hub::Hub;
use crate::publisher::publish;
use crate::report::Report;

/// What the command line asked for.
#[derive(Clone, Debug)]
struct Options {
    hub: String,
    connections: usize,
    window: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match options() {
        Ok(options) => run(options).await,
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("drain: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    let window = Duration::from_secs_f64(options.window);
    let seconds = options.window.to_string();
    let first = Hub::start(&options.hub, &["--drain", &seconds]).await?;
    let second = Hub::start(&options.hub, &[]).await?;
    let (stop, stopped) = watch::channel(false);
    let plan = Plan {
        first: first.address,
        second: second.address,
        stopped: stopped.clone(),
        connecting: Arc::new(Semaphore::new(CONNECTING)),
    };
    let (opened, mut open) = watch::channel(0);
    let opened = Arc::new(opened);
    let mut clients = JoinSet::new();
    for number in 0..options.connections {
        let transport = Transport::ALL[number % Transport::ALL.len()];
        let client = Client::new(number, transport, plan.clone());
        clients.spawn(client.run(Arc::clone(&opened)));
    }
    let all_open = open.wait_for(|count| *count == options.connections);
    tokio::time::timeout(PATIENCE, all_open)
        .await
        .map_err(|_| "not all clients could connect")?
        .map_err(|error| error.to_string())?;
    println!("drain: {} sessions are open", options.connections);

    let old = tokio::spawn(publish(first.address, stopped.clone()));
    let new = tokio::spawn(publish(second.address, stopped));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begin = Instant::now();
    first.terminate().await?;
    let ended = begin.elapsed();
    println!(
        "drain: the first hub ended after {:.2} s",
        ended.as_secs_f64()
    );
    tokio::time::sleep(SETTLE).await;
    let _ = stop.send(true);
    let old = old.await.map_err(|error| error.to_string())?;
    let new = new.await.map_err(|error| error.to_string())?;

    let mut outcomes = Vec::new();
    while let Some(outcome) = clients.join_next().await {
        outcomes.push(outcome.map_err(|error| error.to_string())?);
    }
    second.kill().await;
    let report = Report::new(begin, window, ended, &outcomes);
    for outcome in &outcomes {
        outcome.check(&old, &new)?;
    }
    report.check()
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        hub: String::new(),
        connections: 2_000,
        window: 10.0,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("hub") => options.hub = parser.value()?.string()?,
            Long("connections") => options.connections = parser.value()?.parse()?,
            Long("window") => options.window = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    let is_window = Duration::try_from_secs_f64(options.window).is_ok();
    if options.hub.is_empty() || options.connections < 20 || !is_window {
        return Err("--hub PATH, at least 20 --connections and a --window in seconds".into());
    }
    Ok(options)
}

/// So many handshakes at a time.
const CONNECTING: usize = 100;
const PATIENCE: Duration = Duration::from_secs(60);
/// For the last ones to come back and to catch up; `retry` is three seconds at most.
const SETTLE: Duration = Duration::from_secs(5);
