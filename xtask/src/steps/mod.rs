//! The steps of `cargo xtask test` and what runs them.

mod autobahn;
mod browser;
mod clients;
mod code;
mod deny;
mod docs;
mod examples;
mod proxies;
mod purity;
mod recipes;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::build::Build;
use crate::failure::Result;
use crate::workspace::Workspace;

/// What the command line asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// The long checks too: the soak for ten minutes, each fuzz target for two, all attacks, and each
    /// crate built from its package.
    pub(crate) full: bool,
    /// Missing tools may be installed.
    pub(crate) install: bool,
    /// Names of the steps to run; empty means all.
    pub(crate) only: Vec<&'static str>,
}

impl Options {
    /// How the programs are built that run for long when everything does.
    fn build(&self) -> Build {
        match self.full {
            true => Build::Release,
            false => Build::Dev,
        }
    }
}

/// One part of the check.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    run: fn(&Workspace, &Options) -> Result,
}

/// What takes seconds comes first.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "the code is formatted",
        run: code::fmt,
    },
    Step {
        name: "purity",
        about: "the core knows no transport, adapters not each other",
        run: purity::run,
    },
    Step {
        name: "readme",
        about: "README and guides: links, headings, chapters, commands, versions",
        run: docs::readme,
    },
    Step {
        name: "package",
        about: "each published crate packs what it needs",
        run: code::package,
    },
    Step {
        name: "deny",
        about: "licences and sources of all dependencies",
        run: deny::run,
    },
    Step {
        name: "clippy",
        about: "no warnings, per package and with all features",
        run: code::clippy,
    },
    Step {
        name: "tests",
        about: "unit, integration and documentation tests",
        run: code::tests,
    },
    Step {
        name: "loom",
        about: "the core's races, under every interleaving",
        run: code::loom,
    },
    Step {
        name: "docs",
        about: "documentation without warnings",
        run: docs::build,
    },
    Step {
        name: "examples",
        about: "every example is started and asked something, the guides' commands are run",
        run: examples::run,
    },
    Step {
        name: "book",
        about: "the guides build as a book, and their scripts are JavaScript",
        run: docs::book,
    },
    Step {
        name: "autobahn",
        about: "the Autobahn suite's WebSocket cases against the echo example",
        run: autobahn::run,
    },
    Step {
        name: "fuzz",
        about: "every fuzz target, for a moment (long: `cargo xtask fuzz`)",
        run: code::fuzz,
    },
    Step {
        name: "soak",
        about: "the real hub under random cuts, for a moment (long: `cargo xtask soak`)",
        run: code::soak,
    },
    Step {
        name: "drain",
        about: "a hub ends under 200 clients, who lose nothing unannounced (long: `cargo xtask drain`)",
        run: code::drain,
    },
    Step {
        name: "attacks",
        about: "a real server under attack, while others lose nothing (long: `cargo xtask attacks`)",
        run: code::attacks,
    },
    Step {
        name: "outage",
        about: "hubs and their log's server are killed, nothing is lost (long: `cargo xtask outage`)",
        run: code::outage,
    },
    Step {
        name: "proxies",
        about: "nginx and HAProxy as docs/deploying.md has them, with cuts and a deploy",
        run: proxies::run,
    },
    Step {
        name: "browser",
        about: "a real browser goes through the pages of the hub and the other examples",
        run: browser::run,
    },
    Step {
        name: "clients",
        about: "the JavaScript client, in Node.js and a real browser",
        run: clients::run,
    },
    Step {
        name: "recipes",
        about: "docs/clients.md: clients that are not ours, with cuts",
        run: recipes::run,
    },
];

/// Runs the steps until one fails, then says how it went.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> ExitCode {
    if options.full {
        println!("--full: the soak runs for ten minutes, each fuzz target for two, all attacks");
    }
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|step| options.only.is_empty() || options.only.contains(&step.name))
        .collect();
    let began = Instant::now();
    let mut passed: Vec<(&str, Duration)> = Vec::new();
    let mut failed = None;
    for step in &chosen {
        println!("==> {}: {}", step.name, step.about);
        let started = Instant::now();
        let result = (step.run)(workspace, options);
        let took = started.elapsed();
        match result {
            Ok(()) => {
                println!("<== {} passed in {}\n", step.name, seconds(took));
                passed.push((step.name, took));
            }
            Err(failure) => {
                println!("<== {} FAILED in {}\n", step.name, seconds(took));
                failed = Some((step.name, took, failure));
                break;
            }
        }
    }

    for (name, took) in &passed {
        println!("{name:<10}passed {:>9}", seconds(*took));
    }
    let Some((name, took, failure)) = failed else {
        println!(
            "xtask: {} of {} steps passed in {}",
            passed.len(),
            STEPS.len(),
            seconds(began.elapsed())
        );
        return ExitCode::SUCCESS;
    };
    println!("{name:<10}FAILED {:>9}", seconds(took));
    for step in &chosen[passed.len() + 1..] {
        println!("{:<10}not run", step.name);
    }
    // Both streams: logs often keep only one of them.
    println!("xtask: step `{name}` failed: {failure}");
    eprintln!("xtask: step `{name}` failed: {failure}");
    ExitCode::FAILURE
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
