//! The JavaScript client: its types, size and package, and its tests against the hub example.

use std::path::Path;
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::steps::{Options, examples};
use crate::tools;
use crate::workspace::{Workspace, output, run as run_command};

const FOLDER: &str = "clients/js";
const NODE: u32 = 20;
/// What `npm pack` has to hold, besides the manifest.
const PACKED: &[&str] = &[
    "src/index.js",
    "index.d.ts",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
];

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result {
    let node = tools::ensure(workspace, options, "node", "nodejs")?;
    let said = output(workspace.command(&node).arg("--version"))?;
    if major(&said).is_none_or(|major| major < NODE) {
        return Err(Failure::new(format!(
            "Node.js {NODE} or later is needed, `node` is {}",
            said.trim()
        )));
    }
    let npm = tools::ensure(workspace, options, "npm", "npm")?;
    let chromium = tools::ensure(workspace, options, "chromium", "chromium")?;
    let packages = workspace.target("xtask-node");
    tools::ensure_npm(workspace, options, &packages, "playwright-core", "1")?;
    let installed = workspace.path(FOLDER).join("node_modules");
    if !installed.join("esbuild").exists() || !installed.join("typescript").exists() {
        run_command(&mut npm_command(
            workspace,
            &npm,
            &["ci", "--no-audit", "--no-fund"],
        ))?;
    }
    for script in ["types", "size"] {
        run_command(&mut npm_command(workspace, &npm, &["run", "-s", script]))?;
    }
    packs(workspace, &npm)?;

    examples::build(workspace)?;
    run_command(
        npm_command(workspace, &npm, &["test", "-s"])
            .env("EVENTCAST_HUB", workspace.target("debug/examples/hub"))
            .env("CHROMIUM", chromium)
            .env("NODE_PACKAGES", packages),
    )
}

fn packs(workspace: &Workspace, npm: &Path) -> Result {
    let listing = output(&mut npm_command(
        workspace,
        npm,
        &["pack", "--dry-run", "--json"],
    ))?;
    match PACKED
        .iter()
        .find(|file| !listing.contains(&format!("\"path\": \"{file}\"")))
    {
        Some(missing) => Err(Failure::new(format!("`npm pack` leaves {missing} out"))),
        None => Ok(()),
    }
}

fn npm_command(workspace: &Workspace, npm: &Path, args: &[&str]) -> Command {
    let mut command = workspace.command(npm);
    command.current_dir(workspace.path(FOLDER)).args(args);
    command
}

fn major(version: &str) -> Option<u32> {
    let digits = version.trim().strip_prefix('v')?;
    digits.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(major("v20.19.2\n"), Some(20));
        assert_eq!(major("bun"), None);
    }
}
