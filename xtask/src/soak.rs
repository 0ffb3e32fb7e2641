//! The soak: the release hub, real connections, random cuts.

use crate::failure::Result;
use crate::workspace::{Workspace, run};

/// Builds both programs and runs the soak with the given arguments.
pub(crate) fn soak(workspace: &Workspace, args: &[String]) -> Result {
    let hub = ["-p", "eventcast-examples", "--example", "hub"];
    let soak = ["-p", "eventcast-soak"];
    for what in [&hub[..], &soak[..]] {
        run(workspace.cargo(&["build", "--release"]).args(what))?;
    }
    let program = workspace.target("release/eventcast-soak");
    let hub = workspace.target("release/examples/hub");
    run(workspace.command(program).arg("--hub").arg(hub).args(args))
}
