//! What a delivery costs, end to end: eventcast on every transport beside the least that any
//! server could do, and beside what people write by hand.
//!
//! Run with
//! ```text
//! cargo bench -p eventcast-benches --bench fanout
//! cargo bench -p eventcast-benches --bench fanout -- --quick
//! ```
//! or a part of it: `-- paced`, `-- flat "eventcast SSE"`. `-- --help` lists the names.
//!
//! Each server is a process of its own on one core, and so is each one's load generator on another:
//! this program again, with `--serve` or `--load`. All are up at the same time and take turns, so
//! that what else the machine does meets all of them alike. Linux only.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its terminal"
)]

#[cfg(target_os = "linux")]
#[path = "fanout/mod.rs"]
mod fanout;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match fanout::main(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanout: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("fanout: it needs epoll and CPU affinity, which only Linux has");
    ExitCode::FAILURE
}
