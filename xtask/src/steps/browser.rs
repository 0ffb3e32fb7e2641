//! A real browser against the hub example.

use std::fs;
use std::time::Duration;

use crate::examples::start_hub;
use crate::failure::{Failure, Result, While as _};
use crate::process::Running;
use crate::steps::{Options, examples};
use crate::tools;
use crate::workspace::Workspace;

const SCRIPT: &str = "xtask/browser/hub.mjs";
/// Takes the picture in the README anew; who changes the page copies it there.
const PICTURE_SCRIPT: &str = "xtask/browser/picture.mjs";
const PICTURE: &str = "docs/images/hub.png";
/// A README should open at once.
const MAX_PICTURE: usize = 150 << 10;

/// How long the browser may take for everything.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result {
    let node = tools::ensure(workspace, options, "node", "nodejs")?;
    let chromium = tools::ensure(workspace, options, "chromium", "chromium")?;
    let packages = workspace.target("xtask-node");
    tools::ensure_npm(workspace, options, &packages, "playwright-core", "1")?;
    examples::build(workspace)?;

    let (_hub, url) = start_hub(workspace)?;
    let picture = workspace.target("hub-picture.png");
    for script in [SCRIPT, PICTURE_SCRIPT] {
        let mut browser = Running::start(
            "browser",
            workspace
                .command(&node)
                .arg(script)
                .env("HUB_URL", format!("http://{}/", url.authority))
                .env("CHROMIUM", &chromium)
                .env("NODE_PACKAGES", &packages)
                .env("SCREENSHOT", workspace.target("hub.png"))
                .env("PICTURE", &picture),
        )?;
        browser
            .exits_cleanly(LIMIT)
            .during(format_args!("{script}, in the browser"))?;
    }
    let taken = fs::read(&picture).during("the picture")?;
    let shown = fs::read(workspace.path(PICTURE)).during(PICTURE)?;
    same_kind(&taken, &shown)
}

/// Fonts and ids differ from machine to machine, so only the measures are compared.
fn same_kind(taken: &[u8], shown: &[u8]) -> Result {
    let measures = |png: &[u8]| png.get(16..24).map(<[u8]>::to_vec);
    if shown.len() > MAX_PICTURE || measures(taken) != measures(shown) {
        return Err(Failure::new(format!(
            "{PICTURE} is too large, or has not the measures of the one that was taken: copy \
             hub-picture.png there from the target directory"
        )));
    }
    Ok(())
}
