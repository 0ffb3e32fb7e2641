//! The documented nginx and HAProxy configurations before the hub example.

use crate::failure::Result;
use crate::steps::Options;
use crate::tools;
use crate::workspace::{Workspace, run as run_command};

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result {
    let nginx = tools::ensure(workspace, options, "nginx", "nginx")?;
    let haproxy = tools::ensure(workspace, options, "haproxy", "haproxy")?;
    let hub = ["-p", "eventcast-examples", "--example", "hub"];
    let driver = ["-p", "eventcast-proxies"];
    for what in [&hub[..], &driver[..]] {
        run_command(workspace.cargo(&["build", "--release"]).args(what))?;
    }
    run_command(
        workspace
            .command(workspace.target("release/eventcast-proxies"))
            .arg("--hub")
            .arg(workspace.target("release/examples/hub"))
            .arg("--nginx")
            .arg(nginx)
            .arg("--haproxy")
            .arg(haproxy)
            .arg("--folder")
            .arg(workspace.target("xtask-proxies")),
    )
}
