//! What an idle session costs: the resident memory of a server with many of them.
//!
//! Run with
//! ```text
//! cargo bench -p eventcast-benches --bench idle
//! cargo bench -p eventcast-benches --bench idle -- --quick
//! ```
//! and, of one transport only, with its name: `-- "SSE, HTTP/2"`.
//!
//! The server is a process of its own: this program again, with `--serve`. The clients are plain
//! sockets in this one, so nothing of theirs is measured. Linux only.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its terminal"
)]

#[path = "idle/client.rs"]
mod client;
#[path = "idle/http1.rs"]
mod http1;
#[path = "idle/http2.rs"]
mod http2;
#[path = "idle/memory.rs"]
mod memory;
#[path = "idle/report.rs"]
mod report;
#[path = "idle/run.rs"]
mod run;
#[path = "idle/serve.rs"]
mod serve;
#[path = "idle/server.rs"]
mod server;
#[path = "idle/tls.rs"]
mod tls;

use std::error::Error;
use std::process::ExitCode;

use crate::client::Kind;

fn main() -> ExitCode {
    match bench(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &[String]) -> Result<(), Box<dyn Error>> {
    let mut sessions = 2_000;
    let mut kinds = Kind::ALL.to_vec();
    for arg in args {
        match arg.as_str() {
            "--serve" => return serve::serve(&args[1], &args[2]),
            "--quick" => sessions = 200,
            // What cargo adds.
            "--bench" => {}
            name => kinds.retain(|kind| kind.name() == name),
        }
    }
    if kinds.is_empty() {
        let names = Kind::ALL.map(Kind::name).join("`, `");
        return Err(format!("there are --quick, and one of `{names}`").into());
    }
    if !cfg!(target_os = "linux") {
        return Err("it reads /proc/PID/smaps_rollup, which only Linux has".into());
    }
    raise_file_limit(sessions as u64 + 100)?;
    let runs = kinds
        .into_iter()
        .map(|kind| run::run(kind, sessions))
        .collect::<Result<Vec<_>, _>>()?;
    print!("{}", report::table(sessions, &runs));
    let path = report::write_json(sessions, &runs)?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

/// Makes room for a socket a connection, in this process and in the servers that it starts.
fn raise_file_limit(needed: u64) -> Result<(), Box<dyn Error>> {
    let limit = rlimit::increase_nofile_limit(needed)?;
    if limit < needed {
        return Err(format!(
            "{needed} open files are needed and {limit} allowed: run `ulimit -n {needed}` first"
        )
        .into());
    }
    Ok(())
}
