//! Real hubs on a real log, whose server is killed, stopped or out of room, and hubs that are killed,
//! while it is published at full speed. `cargo xtask outage` runs it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for the terminal, in real time"
)]

#[path = "../../hub.rs"]
#[allow(dead_code, reason = "nobody is asked to end")]
mod hub;
mod publisher;
#[path = "../attacks/raw.rs"]
#[allow(dead_code, reason = "nobody uses all of it")]
mod raw;
mod server;
mod shared;
mod subscriber;
mod trial;
#[path = "../../../../crates/eventcast/tests/wire/client/mod.rs"]
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

use crate::server::{Kind, nats_syncs};
use crate::trial::{Fault, Trial};

/// What the command line asked for.
#[derive(Clone, Debug)]
struct Options {
    hub: String,
    quick: bool,
    /// Only the faults whose names have this in them.
    fault: String,
    logs: Vec<Kind>,
    seconds: f64,
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
            eprintln!("outage: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    if options.logs.contains(&Kind::Nats) && !nats_syncs() {
        println!("this nats-server cannot sync each message (2.10 can): it is not asked to");
    }
    let faults: &[Fault] = match options.quick {
        true => &Fault::ALL[..3],
        false => &Fault::ALL,
    };
    println!(
        "log    fault                       acknowledged      /s  deliveries  retries   cuts  \
         publishing  everybody  stalled recovered  lost doubled disordered misled"
    );
    let mut is_clean = true;
    for kind in &options.logs {
        for fault in faults
            .iter()
            .filter(|it| it.comes_to(*kind) && it.name().contains(&options.fault))
        {
            let trial = Trial {
                hub: &options.hub,
                kind: *kind,
                fault: *fault,
                calm: Duration::from_secs_f64(options.seconds),
                away: match (fault, options.quick) {
                    (Fault::StopServer, _) => Duration::from_secs(20),
                    (_, true) => Duration::from_secs(1),
                    (_, false) => Duration::from_secs(5),
                },
            };
            let findings = trial.run().await;
            let found = findings.map_err(|error| format!("{kind}, {}: {error}", fault.name()))?;
            println!(
                "{kind:<5}  {:<26}  {:>12}  {:>6.0}  {:>10}  {:>7}  {:>5}  {:>8.2} s  {:>7.2} s  \
                 {:>7} {:>9}  {:>4} {:>7} {:>10} {:>6}",
                fault.name(),
                found.acknowledged,
                found.per_second,
                found.deliveries,
                found.retries,
                found.cuts,
                found.publishing.as_secs_f64(),
                found.everybody.as_secs_f64(),
                found.stalled,
                found.recovered,
                found.lost,
                found.doubled,
                found.disordered,
                found.misled,
            );
            if !found.is_clean() {
                is_clean = false;
                println!("    NOT CLEAN: {found:?}");
            }
        }
    }
    match is_clean {
        true => {
            println!("outage: lost=0 doubled=0 disordered=0 gaps=0 misled=0");
            Ok(())
        }
        false => Err(
            "what was acknowledged, or became of the log, is not what everybody was told"
                .to_owned(),
        ),
    }
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        hub: String::new(),
        quick: false,
        fault: String::new(),
        logs: vec![Kind::Fjall, Kind::Redis, Kind::Nats],
        seconds: f64::NAN,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("hub") => options.hub = parser.value()?.string()?,
            Long("quick") => options.quick = true,
            Long("fault") => options.fault = parser.value()?.string()?,
            Long("log") => {
                options.logs = match parser.value()?.string()?.as_str() {
                    "fjall" => vec![Kind::Fjall],
                    "redis" => vec![Kind::Redis],
                    "nats" => vec![Kind::Nats],
                    other => return Err(format!("--log {other}: fjall, redis or nats").into()),
                }
            }
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    if options.hub.is_empty() {
        return Err("--hub PATH is missing".into());
    }
    if options.seconds.is_nan() {
        options.seconds = if options.quick { 1.5 } else { 5.0 };
    }
    Ok(options)
}
