//! The soak, the drain and the like: the real hub and real connections.

use crate::build::Build;
use crate::failure::Result;
use crate::workspace::{Workspace, run};

/// Builds both programs and runs the soak with the given arguments.
pub(crate) fn soak(workspace: &Workspace, build: Build, args: &[String]) -> Result {
    run_with_hub(workspace, build, "eventcast-soak", args)
}

/// The same with the program that restarts a hub under its clients.
pub(crate) fn drain(workspace: &Workspace, build: Build, args: &[String]) -> Result {
    run_with_hub(workspace, build, "eventcast-drain", args)
}

/// The same with the program that has the log's server, or a hub, fail.
pub(crate) fn outage(workspace: &Workspace, build: Build, args: &[String]) -> Result {
    run_with_hub(workspace, build, "eventcast-outage", args)
}

/// Attacks on a server, which the program starts itself.
pub(crate) fn attacks(workspace: &Workspace, build: Build, args: &[String]) -> Result {
    let program = build.binary(workspace, PACKAGE, "eventcast-attacks")?;
    run(workspace.command(program).args(args))
}

/// Clients that vanish without a word, in a network namespace.
pub(crate) fn vanish(workspace: &Workspace) -> Result {
    let program = Build::Dev.binary(workspace, PACKAGE, "eventcast-vanish")?;
    run(&mut workspace.command(program))
}

fn run_with_hub(workspace: &Workspace, build: Build, program: &str, args: &[String]) -> Result {
    let hub = build.hub(workspace)?;
    let program = build.binary(workspace, PACKAGE, program)?;
    run(workspace.command(program).arg("--hub").arg(hub).args(args))
}

const PACKAGE: &str = "eventcast-soak";
