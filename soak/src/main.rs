//! The real hub process under real connections that are cut at random bytes, while publishers go on
//! and the hub is restarted; every client checks the contract. `cargo xtask soak` runs it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for the terminal, in real time"
)]

mod changes;
mod hub;
mod publisher;
mod reader;
mod round;
mod shared;
#[path = "../../crates/eventcast/tests/wire/client/mod.rs"]
mod wire;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::prelude::*;

use crate::round::{Figures, Round};

/// What the command line asked for.
#[derive(Clone, Debug)]
struct Options {
    hub: String,
    minutes: f64,
    clients: usize,
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("soak: {error}");
            return ExitCode::from(2);
        }
    };
    let begin = Instant::now();
    let until = begin + Duration::from_secs_f64(options.minutes * 60.0);
    let mut figures = Figures::default();
    let mut readers = None;
    while Instant::now() < until || figures.rounds < 2 {
        let seed = options.seed + figures.rounds;
        let left = until.saturating_duration_since(Instant::now());
        let round = Round {
            hub: &options.hub,
            seed,
            length: left.clamp(Duration::from_secs(5), ROUND),
            clients: options.clients,
        };
        match round.run(&mut readers, &mut figures).await {
            Ok(()) => println!("round {}: {figures}", figures.rounds),
            Err(violation) => {
                eprintln!("soak: VIOLATION with --seed {seed}: {violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let rate = figures.deliveries as f64 / seconds;
    println!(
        "soak: {figures} lost=0 doubled=0 disordered=0 seconds={seconds:.0} per_second={rate:.0}"
    );
    ExitCode::SUCCESS
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        hub: String::new(),
        minutes: 1.0,
        clients: 300,
        seed: 1,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("hub") => options.hub = parser.value()?.string()?,
            Long("minutes") => options.minutes = parser.value()?.parse()?,
            Long("clients") => options.clients = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    if options.hub.is_empty() {
        return Err("--hub PATH is missing".into());
    }
    Ok(options)
}

/// After so long the hub is restarted, and what was published and seen is compared.
const ROUND: Duration = Duration::from_secs(20);
