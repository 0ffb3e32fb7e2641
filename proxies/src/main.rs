//! The documented nginx and HAProxy configurations between the hub example and clients of every
//! transport. `cargo xtask test proxies` runs it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for the terminal, in real time"
)]

mod cell;
mod certificate;
mod client;
mod cut;
mod deploy;
mod docs;
mod hub;
mod lines;
mod link;
mod matrix;
mod program;
mod proxy;
mod random;
mod route;
mod subscription;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::prelude::*;

use crate::certificate::Identity;
use crate::hub::Hub;
use crate::proxy::Stage;
use crate::route::Route;

/// What the command line asked for.
#[derive(Clone, Debug, Default)]
struct Options {
    hub: PathBuf,
    nginx: PathBuf,
    haproxy: PathBuf,
    /// For configurations and certificates.
    folder: PathBuf,
    clients: usize,
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("proxies: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxies: FAILED with --seed {}: {error}", options.seed);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), String> {
    docs::check()?;
    let folder = &options.folder;
    // What an earlier run left is of no use.
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let identity = Identity::write(folder)?;
    let stage = Stage {
        nginx: &options.nginx,
        haproxy: &options.haproxy,
        folder,
        identity: &identity,
    };
    let hub = async |heartbeat| Hub::start(&options.hub, folder, &identity, heartbeat).await;
    let begin = Instant::now();
    matrix::run(&stage, &hub("0.5").await?, &hub("15").await?, options.seed).await?;
    println!("cells: {:.1} s", begin.elapsed().as_secs_f64());
    for route in [Route::HaproxyHttp1, Route::NginxHttp1] {
        let hub = async || hub("1").await;
        let moved = deploy::deploy(&stage, route, hub, options.clients, options.seed).await;
        moved.map_err(|error| format!("deploy behind {route}: {error}"))?;
    }
    Ok(())
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        clients: 300,
        seed: 1,
        ..Options::default()
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("hub") => options.hub = parser.value()?.into(),
            Long("nginx") => options.nginx = parser.value()?.into(),
            Long("haproxy") => options.haproxy = parser.value()?.into(),
            Long("folder") => options.folder = parser.value()?.into(),
            Long("clients") => options.clients = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    let paths = [
        &options.hub,
        &options.nginx,
        &options.haproxy,
        &options.folder,
    ];
    if paths.iter().any(|path| path.as_os_str().is_empty()) {
        return Err("--hub, --nginx, --haproxy and --folder take a PATH each".into());
    }
    Ok(options)
}
