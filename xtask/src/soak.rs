//! The soak and the drain: the release hub and real connections.

use crate::failure::Result;
use crate::workspace::{Workspace, run};

/// Builds both programs and runs the soak with the given arguments.
pub(crate) fn soak(workspace: &Workspace, args: &[String]) -> Result {
    run_with_hub(workspace, "eventcast-soak", args)
}

/// The same with the program that restarts a hub under its clients.
pub(crate) fn drain(workspace: &Workspace, args: &[String]) -> Result {
    run_with_hub(workspace, "eventcast-drain", args)
}

/// The same with the program that has the log's server, or a hub, fail.
pub(crate) fn outage(workspace: &Workspace, args: &[String]) -> Result {
    run_with_hub(workspace, "eventcast-outage", args)
}

/// Attacks on a server, which the program starts itself.
pub(crate) fn attacks(workspace: &Workspace, args: &[String]) -> Result {
    let program = "eventcast-attacks";
    let soak = ["-p", "eventcast-soak", "--bin", program];
    run(workspace.cargo(&["build", "--release"]).args(soak))?;
    let program = workspace.target(&format!("release/{program}"));
    run(workspace.command(program).args(args))
}

/// Clients that vanish without a word, in a network namespace.
pub(crate) fn vanish(workspace: &Workspace) -> Result {
    let program = "eventcast-vanish";
    run(&mut workspace.cargo(&["build", "-p", "eventcast-soak", "--bin", program]))?;
    run(&mut workspace.command(workspace.target(&format!("debug/{program}"))))
}

fn run_with_hub(workspace: &Workspace, program: &str, args: &[String]) -> Result {
    let hub = ["-p", "eventcast-examples", "--example", "hub"];
    let soak = ["-p", "eventcast-soak", "--bin", program];
    for what in [&hub[..], &soak[..]] {
        run(workspace.cargo(&["build", "--release"]).args(what))?;
    }
    let program = workspace.target(&format!("release/{program}"));
    let hub = workspace.target("release/examples/hub");
    run(workspace.command(program).arg("--hub").arg(hub).args(args))
}
