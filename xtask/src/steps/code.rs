//! Steps that are cargo's own commands.

#[path = "../../../crates/eventcast-nats/tests/nats/program.rs"]
#[allow(dead_code, reason = "nobody is started here")]
mod nats;

use crate::failure::{Failure, Result};
use crate::steps::Options;
use crate::tools;
use crate::workspace::{Workspace, output, run};

pub(super) fn fmt(workspace: &Workspace, _: &Options) -> Result {
    run(&mut workspace.cargo(&["fmt", "--all", "--check"]))
}

/// Libraries one at a time, without what their tests depend on, so that no feature is on only
/// because a neighbour asked for it; then everything with every feature.
pub(super) fn clippy(workspace: &Workspace, _: &Options) -> Result {
    let members = workspace.members()?;
    for member in members.iter().filter(|member| member.published) {
        run(&mut workspace.cargo(&["clippy", "-p", &member.name, "--", "-Dwarnings"]))?;
    }
    run(&mut workspace.cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-Dwarnings",
    ]))
}

pub(super) fn tests(workspace: &Workspace, options: &Options) -> Result {
    ensure_log_servers(workspace, options)?;
    if !nats::nats_syncs() {
        println!(
            "not run: NATS that syncs each message, for this nats-server is older than 2.10 \
             (NATS_SERVER=PATH takes another)"
        );
    }
    run(&mut workspace.cargo(&["test", "--workspace", "--all-features"]))
}

/// Tests start servers of their own.
fn ensure_log_servers(workspace: &Workspace, options: &Options) -> Result {
    tools::ensure(workspace, options, "redis-server", "redis-server")?;
    if std::env::var_os("NATS_SERVER").is_none() {
        tools::ensure(workspace, options, "nats-server", "nats-server")?;
    }
    Ok(())
}

/// The core's races, under every interleaving. The flag changes every crate, so it builds aside.
pub(super) fn loom(workspace: &Workspace, _: &Options) -> Result {
    let mut cargo = workspace.cargo(&[
        "test",
        "--release",
        "-p",
        "eventcast-core",
        "--test",
        "loom",
        "--target-dir",
        "target/loom",
    ]);
    run(cargo.env("RUSTFLAGS", "--cfg loom"))
}

/// Ten seconds for each target, or two minutes.
pub(super) fn fuzz(workspace: &Workspace, options: &Options) -> Result {
    let seconds = if options.full { 120 } else { 10 };
    crate::fuzz::fuzz(workspace, options, seconds, &[])
}

/// Two rounds of a few seconds, or ten minutes.
pub(super) fn soak(workspace: &Workspace, options: &Options) -> Result {
    let minutes = if options.full { "10" } else { "0.2" };
    let args = ["--minutes", minutes, "--clients", "100"].map(str::to_owned);
    crate::soak::soak(workspace, options.build(), &args)
}

pub(super) fn drain(workspace: &Workspace, options: &Options) -> Result {
    let args = ["--connections", "200", "--window", "3"].map(str::to_owned);
    crate::soak::drain(workspace, options.build(), &args)
}

pub(super) fn attacks(workspace: &Workspace, options: &Options) -> Result {
    crate::soak::attacks(workspace, options.build(), &unless_full(options))
}

pub(super) fn outage(workspace: &Workspace, options: &Options) -> Result {
    ensure_log_servers(workspace, options)?;
    crate::soak::outage(workspace, options.build(), &unless_full(options))
}

fn unless_full(options: &Options) -> Vec<String> {
    let quick = (!options.full).then(|| "--quick".to_owned());
    quick.into_iter().collect()
}

/// What each package holds; the long check builds each from its package, against the others' packages.
pub(super) fn package(workspace: &Workspace, options: &Options) -> Result {
    let members = workspace.members()?;
    for member in members.iter().filter(|member| member.published) {
        let name = &member.name;
        let listing = output(&mut workspace.cargo(&[
            "package",
            "--quiet",
            "--list",
            "--allow-dirty",
            "-p",
            name,
        ]))?;
        let files: Vec<&str> = listing.lines().collect();
        for needed in ["Cargo.toml", "README.md", "src/lib.rs"] {
            if !files.contains(&needed) {
                return Err(Failure::new(format!("the package {name} lacks {needed}")));
            }
        }
        println!("{name}: {} files", files.len());
    }
    if !options.full {
        println!(
            "not run: building each from its package (--full), the oldest dependencies (by hand, see \
             CONTRIBUTING.md), semver-checks (there is no release to compare with)"
        );
        return Ok(());
    }
    let mut cargo = workspace.cargo(&["package", "--workspace", "--all-features", "--allow-dirty"]);
    for member in members.iter().filter(|member| !member.published) {
        cargo.args(["--exclude", &member.name]);
    }
    run(&mut cargo)
}
