//! Project tasks: `cargo xtask` lists them.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its terminal"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "elapsed time and deadlines of real processes are measured here, nothing is simulated"
)]

mod book;
mod build;
mod examples;
mod failure;
mod fuzz;
mod process;
mod soak;
mod steps;
mod tools;
mod wire;
mod workspace;

use std::process::ExitCode;

use crate::build::Build;
use crate::steps::{Options, STEPS};
use crate::workspace::Workspace;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        None | Some("help" | "--help" | "-h") => {
            print!("{}", usage());
            ExitCode::SUCCESS
        }
        Some("attacks") => done(soak::attacks(
            &Workspace::here(),
            Build::Release,
            &args[1..],
        )),
        Some("drain") => done(soak::drain(&Workspace::here(), Build::Release, &args[1..])),
        Some("fuzz") => done(fuzz::command(&Workspace::here(), &args[1..])),
        Some("outage") => done(soak::outage(&Workspace::here(), Build::Release, &args[1..])),
        Some("soak") => done(soak::soak(&Workspace::here(), Build::Release, &args[1..])),
        Some("vanish") if args.len() == 1 => done(soak::vanish(&Workspace::here())),
        Some("test") => test(&args[1..]),
        Some(other) => misused(&format!("there is no command `{other}`")),
    }
}

fn test(args: &[String]) -> ExitCode {
    let mut options = Options::default();
    for arg in args {
        match arg.as_str() {
            "--full" => options.full = true,
            "--install" => options.install = true,
            "--help" | "-h" => {
                print!("{}", usage());
                return ExitCode::SUCCESS;
            }
            name => match STEPS.iter().find(|step| step.name == name) {
                Some(step) => options.only.push(step.name),
                None if name.starts_with('-') => {
                    return misused(&format!("there is no flag `{name}`"));
                }
                None => return misused(&format!("there is no step `{name}`")),
            },
        }
    }
    steps::run(&Workspace::here(), &options)
}

fn done(result: failure::Result) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn misused(complaint: &str) -> ExitCode {
    eprintln!("xtask: {complaint}\n");
    eprint!("{}", usage());
    ExitCode::from(2)
}

pub(crate) fn usage() -> String {
    let mut text = String::from(
        "Usage: cargo xtask COMMAND\n\n\
         Commands:\n  \
           test [STEP…] [--full] [--install]   the whole check, or only the named steps\n  \
           attacks [--quick | --times]         a real server under attack: what others feel, what stays;\n                                      \
           how soon expiry and revocation end a session\n  \
           drain [--connections N] [--window S]\n                                      \
           a hub ends under its clients, who go on at another\n  \
           fuzz [--seconds N] [TARGET…]        every fuzz target, or these, for 300 s each\n  \
           outage [--quick] [--log fjall|redis|nats] [--fault TEXT] [--seconds N]\n                                      \
           hubs and their log's server fail under 500 clients (root)\n  \
           soak [--minutes N] [--clients N] [--seed S]\n                                      \
           the real hub under random cuts and restarts\n  \
           vanish                              how soon clients without a link are noticed (root, ip)\n\n\
         Flags:\n  \
           --full      the long checks too\n  \
           --install   install what a step needs and this system lacks (Debian packages)\n\n\
         Steps, in order:\n",
    );
    for step in STEPS {
        text.push_str(&format!("  {:<10}{}\n", step.name, step.about));
    }
    text
}
