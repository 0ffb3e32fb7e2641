//! A real browser against the hub example.

use std::time::Duration;

use crate::examples::start_hub;
use crate::failure::{Result, While as _};
use crate::process::Running;
use crate::steps::{Options, examples};
use crate::tools;
use crate::workspace::Workspace;

const SCRIPT: &str = "xtask/browser/hub.mjs";

/// How long the browser may take for everything.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result {
    let node = tools::ensure(workspace, options, "node", "nodejs")?;
    let chromium = tools::ensure(workspace, options, "chromium", "chromium")?;
    let packages = workspace.target("xtask-node");
    tools::ensure_npm(workspace, options, &packages, "playwright-core", "1")?;
    examples::build(workspace)?;

    let (_hub, url) = start_hub(workspace)?;
    let mut browser = Running::start(
        "browser",
        workspace
            .command(node)
            .arg(SCRIPT)
            .env("HUB_URL", format!("http://{}/", url.authority))
            .env("CHROMIUM", chromium)
            .env("NODE_PACKAGES", packages)
            .env("SCREENSHOT", workspace.target("hub.png")),
    )?;
    browser.exits_cleanly(LIMIT).during("in the browser")
}
