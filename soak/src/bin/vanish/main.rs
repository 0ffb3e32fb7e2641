//! Clients in a network namespace of their own, whose link goes down without a word: how long until
//! the server says so. `cargo xtask vanish` runs it; it needs Linux, root and `ip`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for the terminal, in real time"
)]

mod client;
mod network;

use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use eventcast::{
    DisconnectReason, Disconnected, EventService, Hub, Server, ServerConfig, ServiceConfig,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc::unbounded_channel;

use crate::network::Network;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match (arguments.next().as_deref(), arguments.next()) {
        (Some("client"), Some(address)) => client::run(&address).await,
        (Some("server"), Some(network)) => serve(&Network::named(network)).await,
        (None, _) => run().await,
        _ => Err("it takes no arguments".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vanish: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the network, and runs the rest on its near side.
async fn run() -> Result<(), String> {
    let made = Network::make()?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let status = made
        .0
        .near_command()
        .arg(program)
        .args(["server", made.0.name()])
        .status()
        .await
        .map_err(|error| format!("cannot start the server: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("the server's side ended with {status}"))
}

async fn serve(network: &Network) -> Result<(), String> {
    let (sender, mut calls) = unbounded_channel::<(Instant, Disconnected)>();
    let service = ServiceConfig::new()
        .with_heartbeat(HEARTBEAT)
        .with_write_timeout(WRITE_TIMEOUT)
        .with_poll_wait(POLL_WAIT)
        .with_on_disconnect(move |session| {
            let _ = sender.send((Instant::now(), session.clone()));
        });
    let service = EventService::new(Hub::new(), service);
    let config = ServerConfig::new()
        .with_write_timeout(WRITE_TIMEOUT)
        .with_ping_interval(PING);
    let server = Server::bind((network.address(), 0), service.clone()).await;
    let server = server.map_err(|error| format!("cannot listen: {error}"))?;
    let address = server.local_addr();
    tokio::spawn(server.with_config(config).run(std::future::pending()));

    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = network
        .far_command()
        .arg(program)
        .args(["client", &address.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start the clients: {error}"))?;
    let output = child.stdout.take().ok_or("the clients have no output")?;
    let mut lines = BufReader::new(output).lines();
    let line = lines.next_line().await.map_err(|error| error.to_string())?;
    if line.as_deref() != Some("open") {
        return Err("the clients could not connect".to_owned());
    }
    let open = service.subscribers();
    if (open.poll, open.sse, open.stream, open.websocket) != (1, 2, 1, 1) {
        return Err(format!("not all sessions are open: {open:?}"));
    }

    network.cut()?;
    let cut = Instant::now();
    println!(
        "heartbeat {HEARTBEAT:?}, write timeout {WRITE_TIMEOUT:?}, ping {PING:?}, poll {POLL_WAIT:?}"
    );
    let mut polled = None;
    let mut told = 0;
    while told < 4 || polled.is_none() {
        if cut.elapsed() > PATIENCE {
            return Err(format!("after {PATIENCE:?}: {:?}", service.subscribers()));
        }
        if polled.is_none() && service.subscribers().poll == 0 {
            polled = Some(cut.elapsed());
            println!(
                "Poll        {:>6.2} s  answered",
                cut.elapsed().as_secs_f64()
            );
        }
        let Ok(call) = tokio::time::timeout(STEP, calls.recv()).await else {
            continue;
        };
        let (at, session) = call.ok_or("the service is gone")?;
        let kind = format!("{:?}", session.transport);
        let after = at.saturating_duration_since(cut);
        println!(
            "{kind:<11} {:>6.2} s  {:?}",
            after.as_secs_f64(),
            session.reason
        );
        if session.reason != DisconnectReason::Vanished {
            return Err("another reason than that it vanished".to_owned());
        }
        if after > LIMIT {
            return Err(format!("later than {LIMIT:?}"));
        }
        told += 1;
    }
    let ended = tokio::time::timeout(Duration::from_secs(1), service.sessions_ended()).await;
    if ended.is_err() || calls.try_recv().is_ok() {
        return Err("told twice, or something is left".to_owned());
    }
    Ok(())
}

const HEARTBEAT: Duration = Duration::from_secs(2);
const WRITE_TIMEOUT: Duration = Duration::from_secs(4);
const PING: Duration = Duration::from_secs(2);
const POLL_WAIT: Duration = Duration::from_secs(5);
/// The next heartbeat, one and a quarter write timeouts, and a second.
const LIMIT: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);
