//! Attacks on a real server process over real sockets, while well-behaved subscribers measure what
//! they feel of it. `cargo xtask attacks` runs it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for the terminal, in real time"
)]

mod connections;
mod crowd;
mod frames;
mod http2;
mod raw;
mod requests;
mod server;
mod tally;
mod target;
mod times;
#[path = "../../../../crates/eventcast/tests/wire/client/mod.rs"]
mod wire;

use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::tally::Tally;
use crate::target::Target;

/// The channel of the well-behaved.
const NEWS: &str = "news";

/// Where to, and how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    address: SocketAddr,
    quick: bool,
}

impl Field {
    pub(crate) fn scale(self, long: usize, quick: usize) -> usize {
        if self.quick { quick } else { long }
    }
}

type Running = Pin<Box<dyn Future<Output = Result<Tally, String>> + Send>>;

/// An attack, by its name.
type Attack = (&'static str, fn(Field) -> Running);

const ATTACKS: &[Attack] = &[
    ("connects and cuts", |field| {
        Box::pin(connections::cut(field))
    }),
    ("never reading", |field| {
        Box::pin(connections::unread(field))
    }),
    ("byte by byte", |field| Box::pin(connections::slow(field))),
    ("heads and queries", |field| {
        Box::pin(requests::heads(field))
    }),
    ("WebSocket frames", |field| Box::pin(frames::frames(field))),
    ("HTTP/2 floods", |field| Box::pin(http2::floods(field))),
    ("tickets", |field| Box::pin(requests::tickets(field))),
    ("session keys", |field| Box::pin(requests::keys(field))),
    ("channel names", |field| Box::pin(requests::names(field))),
    ("changes", |field| Box::pin(frames::changes(field))),
];

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        [] => attack(false).await,
        ["--quick"] => attack(true).await,
        ["--times"] => times::measure().await,
        ["serve"] => server::serve(false).await,
        ["serve", "--quick"] => server::serve(true).await,
        _ => Err("only --quick or --times is taken".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attacks: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn attack(quick: bool) -> Result<(), String> {
    let target = Target::start(quick).await?;
    let field = Field {
        address: target.address,
        quick,
    };
    let crowd = Crowd::start(target.address);
    tokio::time::sleep(Duration::from_secs(2)).await;
    crowd.catches_up().await?;
    // What is taken once and kept, such as the allocator's arenas, is no leak.
    for (_, attack) in ATTACKS {
        attack(field).await?;
    }
    crowd.catches_up().await?;
    tokio::time::sleep(SETTLE).await;
    for (name, attack) in ATTACKS {
        let mut rounds = 0;
        while !round(name, *attack, field, &target, &crowd).await? {
            rounds += 1;
            if rounds == ROUNDS {
                return Err(format!("{name}: memory grows with every attack"));
            }
        }
    }
    let refusals = target.holds().await?.counters["refusals"].clone();
    let again = crowd.finish().await?;
    target.stop().await?;
    println!(
        "attacks: {} lost=0 doubled=0 cut_of_others={again} refusals={refusals}",
        ATTACKS.len()
    );
    Ok(())
}

/// One attack, with what was felt of it. `false` if all is as it was but memory, which is more: the
/// allocator may have kept it, and then there is no more after the next one.
async fn round(
    name: &str,
    attack: fn(Field) -> Running,
    field: Field,
    target: &Target,
    crowd: &Crowd,
) -> Result<bool, String> {
    crowd.latencies();
    tokio::time::sleep(Duration::from_millis(if field.quick { 700 } else { 5_000 })).await;
    let quiet = crowd.latencies();
    let before = target.holds().await?;
    target.highest();
    let began = Instant::now();
    let tally = attack(field).await?;
    let lasted = began.elapsed().as_secs_f64();
    let (during, highest) = (crowd.latencies(), target.highest());
    crowd.catches_up().await?;
    // Little is to come back after a little: the attack again tells sooner than a wait.
    let of_memory = if field.quick { SETTLE } else { SETTLES };
    let after = target.returns_to(&before, SETTLES, of_memory).await?;
    target.is_calm()?;
    let figure = |share: f64| {
        let (quiet, during) = (quiet.at(share), during.at(share));
        format!("{quiet:.2} -> {during:.2} ms (x{:.1})", during / quiet)
    };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{name}: {tally}; {lasted:.1} s\n    median {}, p99 {}, memory {:.1} -> {:.1} (at most {:.1}) MiB, files {} -> {}",
        figure(0.5),
        figure(0.99),
        mib(before.memory),
        mib(after.memory),
        mib(highest.max(after.memory)),
        before.files,
        after.files,
    );
    match after.is_back_but_for_memory(&before) {
        true => Ok(after.is_back_to(&before)),
        false => Err(format!("{name}: it held {before:?}, and now {after:?}")),
    }
}

/// How often memory may grow: a leak does so each time.
const ROUNDS: usize = 3;
const SETTLE: Duration = Duration::from_secs(3);
/// How long the server may take to hold no more than before.
const SETTLES: Duration = Duration::from_secs(60);
