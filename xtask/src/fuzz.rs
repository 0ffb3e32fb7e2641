//! The fuzz targets, under libFuzzer.

use std::fs;
use std::time::Duration;

use crate::failure::{Failure, Result, While as _};
use crate::process::Running;
use crate::steps::Options;
use crate::tools;
use crate::workspace::{Workspace, run};

/// `cargo xtask fuzz [--seconds N] [TARGET…]`.
pub(crate) fn command(workspace: &Workspace, args: &[String]) -> Result {
    let mut seconds = 300;
    let mut chosen = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let number = args.next().and_then(|number| number.parse().ok());
            seconds = number
                .filter(|seconds| *seconds > 0)
                .ok_or_else(|| Failure::new("--seconds takes a number above 0"))?;
        } else {
            chosen.push(arg.clone());
        }
    }
    fuzz(workspace, &Options::default(), seconds, &chosen)
}

/// Builds all targets and runs the chosen ones, or all, one after the other.
pub(crate) fn fuzz(
    workspace: &Workspace,
    options: &Options,
    seconds: u64,
    chosen: &[String],
) -> Result {
    let targets = targets(workspace)?;
    if let Some(unknown) = chosen.iter().find(|name| !targets.contains(name)) {
        let known = targets.join(", ");
        return Err(Failure::new(format!(
            "there is no fuzz target `{unknown}`, only {known}"
        )));
    }
    tools::ensure(workspace, options, "c++", "g++")?;
    let program = tools::ensure_cargo_tool(workspace, "cargo-fuzz", "0.13.2", &[])?;
    let cargo_fuzz = |action: &str| {
        let mut command = workspace.command(&program);
        command
            .args(["fuzz", action, "--sanitizer", "none", "--target-dir"])
            .arg(workspace.target("fuzz"))
            .env("RUSTFLAGS", "-Dwarnings");
        command
    };
    run(&mut cargo_fuzz("build"))?;

    let is_chosen = |name: &&String| chosen.is_empty() || chosen.contains(name);
    for name in targets.iter().filter(is_chosen) {
        let corpus = workspace.target(&format!("fuzz-corpus/{name}"));
        fs::create_dir_all(&corpus)?;
        let mut command = cargo_fuzz("run");
        command
            .arg(name)
            .arg(corpus)
            .arg(workspace.path(&format!("fuzz/seeds/{name}")))
            .args(["--", "-timeout=20", "-print_final_stats=1", "-verbosity=0"])
            .arg(format!("-max_total_time={seconds}"));
        let dictionary = workspace.path(&format!("fuzz/dictionaries/{name}.dict"));
        if dictionary.exists() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        println!("{name}: {seconds} s");
        let inputs = runs(name, &mut command, seconds)
            .during(format_args!("{name} broke its contract, or did not run"))?;
        println!("{name}: {inputs} inputs");
    }
    Ok(())
}

/// Runs one target to its end and returns how many inputs it took.
fn runs(name: &str, command: &mut std::process::Command, seconds: u64) -> Result<u64> {
    let mut running = Running::start(name, command)?;
    let limit = Duration::from_secs(seconds + 300);
    let inputs = running.line("count of inputs", limit, |line| {
        let count = line.strip_prefix("stat::number_of_executed_units:")?;
        count.trim().parse::<u64>().ok()
    })?;
    running.exits_cleanly(limit)?;
    if inputs < FEWEST {
        return Err(Failure::new(format!("only {inputs} inputs were tried")));
    }
    Ok(inputs)
}

/// The names of the targets' programs.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace.path("fuzz/fuzz_targets")).during("fuzz/fuzz_targets")? {
        if let Some(stem) = entry?.path().file_stem() {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    if names.is_empty() {
        return Err(Failure::new("there are no fuzz targets"));
    }
    Ok(names)
}

/// Below this a target does not do what it is for: each takes thousands a second.
const FEWEST: u64 = 1_000;
