//! The documented nginx and HAProxy configurations before the hub example.

use crate::failure::Result;
use crate::steps::Options;
use crate::tools;
use crate::workspace::{Workspace, run as run_command};

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result {
    let nginx = tools::ensure(workspace, options, "nginx", "nginx")?;
    let haproxy = tools::ensure(workspace, options, "haproxy", "haproxy")?;
    let build = options.build();
    let hub = build.hub(workspace)?;
    let driver = build.binary(workspace, "eventcast-proxies", "eventcast-proxies")?;
    run_command(
        workspace
            .command(driver)
            .arg("--hub")
            .arg(hub)
            .arg("--nginx")
            .arg(nginx)
            .arg("--haproxy")
            .arg(haproxy)
            .arg("--folder")
            .arg(workspace.target("xtask-proxies")),
    )
}
