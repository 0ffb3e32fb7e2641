//! The JavaScript client: its types and size, and its tests: against scripted servers and the hub
//! example, in Node.js, Chromium, Bun and Deno.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::steps::{Options, examples};
use crate::tools;
use crate::workspace::{Workspace, output, run as run_command};

const FOLDER: &str = "clients/js";
const NODE: u32 = 20;

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
    let bun = runtime(workspace, options, "@oven", "1", &BUN, "bin/bun")?;
    let deno = runtime(workspace, options, "@deno", "2", &DENO, "deno")?;

    examples::build(workspace)?;
    run_command(
        npm_command(workspace, &npm, &["test", "-s"])
            .env("EVENTCAST_HUB", workspace.target("debug/examples/hub"))
            .env("CHROMIUM", chromium)
            .env("NODE_PACKAGES", packages)
            .env("BUN", bun)
            .env("DENO", deno),
    )
}

/// What a runtime's package for this machine is called: for x86-64, and for 64-bit Arm.
type Names = [&'static str; 2];

const BUN: Names = ["bun-linux-x64", "bun-linux-aarch64"];
const DENO: Names = ["linux-x64-glibc", "linux-arm64-glibc"];

/// A JavaScript runtime from the npm package that has nothing but its program.
fn runtime(
    workspace: &Workspace,
    options: &Options,
    scope: &str,
    version: &str,
    names: &Names,
    program: &str,
) -> Result<PathBuf> {
    let name = match env::consts::ARCH {
        "x86_64" => names[0],
        "aarch64" => names[1],
        other => {
            return Err(Failure::new(format!("{scope} has no program for {other}")));
        }
    };
    let package = format!("{scope}/{name}");
    // A folder for each, because npm removes what it was not asked for.
    let folder = workspace.target(&format!("xtask-{name}"));
    tools::ensure_npm(workspace, options, &folder, &package, version)?;
    Ok(folder.join("node_modules").join(package).join(program))
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
