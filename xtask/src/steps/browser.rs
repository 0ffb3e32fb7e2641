//! A real browser against the examples' pages.

use std::fs;
use std::time::Duration;

use crate::examples::{start_hub, start_pages};
use crate::failure::{Failure, Result, While as _};
use crate::process::Running;
use crate::steps::{Options, examples};
use crate::tools;
use crate::workspace::Workspace;

const SCRIPT: &str = "xtask/browser/hub.mjs";
/// Takes the picture in the README anew; who changes the page copies it there.
const PICTURE_SCRIPT: &str = "xtask/browser/picture.mjs";
const PICTURE: &str = "docs/images/hub.png";
/// Goes through the examples' pages.
const PAGES_SCRIPT: &str = "xtask/browser/pages.mjs";
/// A README should open at once.
const MAX_PICTURE: usize = 200 << 10;

/// How long the browser may take for everything.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result {
    let node = tools::ensure(workspace, options, "node", "nodejs")?;
    let chromium = tools::ensure(workspace, options, "chromium", "chromium")?;
    let packages = workspace.target("xtask-node");
    tools::ensure_npm(workspace, options, &packages, "playwright-core", "1")?;
    examples::build(workspace)?;

    let drive = |script: &str, with: &[(&str, String)]| {
        let mut command = workspace.command(&node);
        command
            .arg(script)
            .env("CHROMIUM", &chromium)
            .env("NODE_PACKAGES", &packages)
            .envs(with.iter().map(|(name, value)| (name, value)));
        let mut browser = Running::start("browser", &mut command)?;
        browser
            .exits_cleanly(LIMIT)
            .during(format_args!("{script}, in the browser"))
    };

    let (hub, url) = start_hub(workspace)?;
    let url = ("HUB_URL", format!("http://{}/", url.authority));
    let screenshot = workspace.target("hub.png").display().to_string();
    let picture = workspace.target("hub-picture.png");
    drive(SCRIPT, &[url.clone(), ("SCREENSHOT", screenshot)])?;
    drive(
        PICTURE_SCRIPT,
        &[url, ("PICTURE", picture.display().to_string())],
    )?;
    drop(hub);
    let taken = fs::read(&picture).during("the picture")?;
    let shown = fs::read(workspace.path(PICTURE)).during(PICTURE)?;
    same_kind(&taken, &shown)?;

    let pages = start_pages(workspace)?;
    let urls: Vec<String> = pages
        .iter()
        .map(|(_, name, url)| format!("\"{name}\":\"http://{}/\"", url.authority))
        .collect();
    drive(
        PAGES_SCRIPT,
        &[("PAGES", format!("{{{}}}", urls.join(",")))],
    )
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
