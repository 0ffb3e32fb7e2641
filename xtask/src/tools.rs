//! Programs that are not Rust's.

use std::env;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::steps::Options;
use crate::workspace::{Workspace, output, run};

/// Where `tool` is. Installs the Debian package that has it when it is missing
/// and that is allowed: by `--install`, by `CI=true`, or because root of a
/// Debian system runs this.
pub(crate) fn ensure(
    workspace: &Workspace,
    options: &Options,
    tool: &str,
    debian_package: &str,
) -> Result<PathBuf> {
    if let Some(found) = find(tool) {
        return Ok(found);
    }
    let root = output(workspace.command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let debian = Path::new("/etc/debian_version").exists();
    let ci = env::var_os("CI").is_some_and(|value| value == "true");
    let by_hand = format!("sudo apt-get update && sudo apt-get install -y {debian_package}");
    if !debian || !(options.install || ci || root) {
        return Err(Failure::new(format!(
            "`{tool}` is not installed; run: {by_hand}"
        )));
    }
    println!("`{tool}` is not installed: installing the Debian package {debian_package}");
    for args in [
        &["update"][..],
        &["install", "-y", "--no-install-recommends", debian_package],
    ] {
        let mut command = if root {
            workspace.command("apt-get")
        } else {
            let mut sudo = workspace.command("sudo");
            sudo.args(["--non-interactive", "apt-get"]);
            sudo
        };
        run(command
            .arg("-q")
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    find(tool).ok_or_else(|| {
        Failure::new(format!(
            "`{tool}` is still missing after installing {debian_package}"
        ))
    })
}

/// The npm package in `folder`, fetched unless it is there.
pub(crate) fn ensure_npm(
    workspace: &Workspace,
    options: &Options,
    folder: &Path,
    package: &str,
    version: &str,
) -> Result {
    if folder.join("node_modules").join(package).exists() {
        return Ok(());
    }
    let npm = ensure(workspace, options, "npm", "npm")?;
    std::fs::create_dir_all(folder)?;
    run(workspace
        .command(npm)
        .args([
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--prefix",
        ])
        .arg(folder)
        .arg(format!("{package}@{version}")))
}

fn find(tool: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(tool))
        .find(|path| path.is_file())
}
