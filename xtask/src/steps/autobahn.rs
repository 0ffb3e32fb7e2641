//! The Autobahn suite's WebSocket cases against the echo example.

use std::time::Duration;

use crate::examples::start_echo;
use crate::failure::{Result, While as _};
use crate::process::Running;
use crate::steps::{Options, examples};
use crate::tools;
use crate::workspace::Workspace;

const SCRIPT: &str = "xtask/autobahn/echo.py";

/// How long all cases may take: seconds, and a slow machine's share.
const LIMIT: Duration = Duration::from_secs(300);

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result {
    let python = tools::ensure_pip(workspace, options, "kosoku", "0.1.0")?;
    examples::build(workspace)?;

    let (_echo, url) = start_echo(workspace)?;
    let mut suite = Running::start(
        "autobahn",
        workspace
            .command(python)
            .arg(SCRIPT)
            .env("ECHO_URL", format!("ws://{}/", url.authority)),
    )?;
    suite.exits_cleanly(LIMIT).during("in the Autobahn suite")
}
