//! `eventcast`: subscribes, publishes and watches, from a terminal or a script.

mod args;
mod ask;
mod connect;
mod exit;
mod last_id;
mod output;
mod publish;
mod signals;
mod subscribe;
mod tls;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::args::{Args, Command};
use crate::exit::{Exit, Result};

fn main() -> ExitCode {
    // Clap ends the process with 2 on wrong usage, and with 0 after a help that was asked for.
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let exit = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(run(args.command));
            // A read of standard input may go on for ever.
            runtime.shutdown_timeout(Duration::ZERO);
            done
        }
        Err(error) => Err(Exit::failed(format!("cannot start: {error}"))),
    };
    let Err(exit) = exit else {
        return ExitCode::SUCCESS;
    };
    if let Some(why) = exit.why {
        // There may be nobody to tell.
        let _ = writeln!(io::stderr(), "eventcast: {why}");
    }
    ExitCode::from(exit.code)
}

async fn run(command: Command) -> Result {
    let command = async {
        match command {
            // These two end by themselves, for they have an id to keep.
            Command::Subscribe(subscribe) => subscribe::run(subscribe.into()).await,
            Command::Watch(watch) => subscribe::run(watch.into()).await,
            Command::Publish(publish) => publish::run(publish).await,
            Command::History(history) => ask::history(history).await,
            Command::Request(request) => ask::request(request).await,
        }
    };
    Box::pin(command).await
}
