//! Programs that are not part of Rust.

use std::env;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::steps::Options;
use crate::workspace::{Workspace, output, run};

/// Where `tool` is. [Installs](install) the Debian package that has it when it is missing.
pub(crate) fn ensure(
    workspace: &Workspace,
    options: &Options,
    tool: &str,
    debian_package: &str,
) -> Result<PathBuf> {
    if let Some(found) = find(tool) {
        return Ok(found);
    }
    install(workspace, options, &format!("`{tool}`"), &[debian_package])?;
    find(tool).ok_or_else(|| {
        Failure::new(format!(
            "`{tool}` is still missing after installing {debian_package}"
        ))
    })
}

/// Installs Debian packages where that is allowed: by `--install`, by `CI=true`, or because root of
/// a Debian system runs this. Fails with the command to run where it is not.
fn install(workspace: &Workspace, options: &Options, what: &str, packages: &[&str]) -> Result {
    let root = output(workspace.command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let debian = Path::new("/etc/debian_version").exists();
    let ci = env::var_os("CI").is_some_and(|value| value == "true");
    let by_hand = format!(
        "sudo apt-get update && sudo apt-get install -y {}",
        packages.join(" ")
    );
    if !debian || !(options.install || ci || root) {
        return Err(Failure::new(format!(
            "{what} is not installed; run: {by_hand}"
        )));
    }
    println!("{what} is not installed: installing {}", packages.join(" "));
    let flags = ["install", "-y", "--no-install-recommends"];
    for args in [&["update"][..], &[&flags[..], packages].concat()] {
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
    Ok(())
}

/// The npm package in `folder`, fetched unless it is there.
pub(crate) fn ensure_npm(
    workspace: &Workspace,
    options: &Options,
    folder: &Path,
    package: &str,
    version: &str,
) -> Result {
    ensure_npm_all(workspace, options, folder, &[(package, version)])
}

/// The npm packages in `folder`, with their versions; fetched unless all are there.
pub(crate) fn ensure_npm_all(
    workspace: &Workspace,
    options: &Options,
    folder: &Path,
    packages: &[(&str, &str)],
) -> Result {
    let installed = folder.join("node_modules");
    if packages
        .iter()
        .all(|(name, _)| installed.join(name).exists())
    {
        return Ok(());
    }
    let npm = ensure(workspace, options, "npm", "npm")?;
    std::fs::create_dir_all(folder)?;
    let named = packages
        .iter()
        .map(|(name, version)| format!("{name}@{version}"));
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
        .args(named))
}

/// A Python that has the package of PyPI, in an environment of its own under `target/tools`; made
/// unless it is there.
pub(crate) fn ensure_pip(
    workspace: &Workspace,
    options: &Options,
    package: &str,
    version: &str,
) -> Result<PathBuf> {
    let name = format!("{package}-{version}");
    ensure_pip_all(workspace, options, &name, &[(package, version)])
}

/// A Python that has these packages and versions of PyPI, each by the name that it is imported by,
/// in the environment `name` under `target/tools`; made unless it is there.
pub(crate) fn ensure_pip_all(
    workspace: &Workspace,
    options: &Options,
    name: &str,
    packages: &[(&str, &str)],
) -> Result<PathBuf> {
    let folder = workspace.target(&format!("tools/{name}"));
    let python = folder.join("bin/python");
    let names: Vec<&str> = packages.iter().map(|(name, _)| *name).collect();
    let import = format!("import {}", names.join(", "));
    let mut imports = workspace.command(&python);
    if python.is_file() && output(imports.args(["-c", &import])).is_ok() {
        return Ok(python);
    }
    make_environment(workspace, options, &folder, packages)?;
    Ok(python)
}

/// An environment with these packages and nothing else.
fn make_environment(
    workspace: &Workspace,
    options: &Options,
    folder: &Path,
    packages: &[(&str, &str)],
) -> Result {
    let system = ensure_python(workspace, options)?;
    run(workspace
        .command(system)
        .args(["-m", "venv", "--clear"])
        .arg(folder))?;
    let named = packages
        .iter()
        .map(|(name, version)| format!("{name}=={version}"));
    run(workspace
        .command(folder.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet"])
        .args(["--disable-pip-version-check", "--only-binary", ":all:"])
        .args(named))
}

/// A Python of the system that can make environments.
fn ensure_python(workspace: &Workspace, options: &Options) -> Result<PathBuf> {
    let suitable = || {
        let python = find("python3")?;
        let mut command = workspace.command(&python);
        output(command.args(["-c", PYTHON_IS_SUITABLE])).ok()?;
        Some(python)
    };
    if let Some(python) = suitable() {
        return Ok(python);
    }
    let what = "Python 3.10 or later with `venv`";
    install(workspace, options, what, &["python3", "python3-venv"])?;
    suitable().ok_or_else(|| Failure::new(format!("this system's packages do not provide {what}")))
}

const PYTHON_IS_SUITABLE: &str =
    "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";

/// A program of this version from crates.io, with flags for its features; installed under `target` unless it is there.
pub(crate) fn ensure_cargo_tool(
    workspace: &Workspace,
    name: &str,
    version: &str,
    features: &[&str],
) -> Result<PathBuf> {
    let root = workspace.target("tools");
    let program = root.join("bin").join(name);
    let said = output(workspace.command(&program).arg("--version"));
    if said.is_ok_and(|said| said.split_whitespace().any(|word| word == version)) {
        return Ok(program);
    }
    // Built without optimization: it only starts others.
    run(workspace
        .cargo(&["install", "--locked", "--debug", "--force", "--root"])
        .arg(&root)
        .arg("--target-dir")
        .arg(root.join("build"))
        .args(features)
        .arg(format!("{name}@{version}")))?;
    Ok(program)
}

/// A program that comes in a package of PyPI, in an environment of its own under `target/tools`; made
/// unless it is there.
pub(crate) fn ensure_pip_program(
    workspace: &Workspace,
    options: &Options,
    package: &str,
    version: &str,
    program: &str,
) -> Result<PathBuf> {
    let folder = workspace.target(&format!("tools/{package}-{version}"));
    let path = folder.join("bin").join(program);
    if output(workspace.command(&path).arg("--version")).is_err() {
        make_environment(workspace, options, &folder, &[(package, version)])?;
    }
    Ok(path)
}

fn find(tool: &str) -> Option<PathBuf> {
    // Servers are there, which the PATH of an ordinary user leaves out.
    let servers = PathBuf::from("/usr/sbin");
    env::split_paths(&env::var_os("PATH")?)
        .chain([servers])
        .map(|folder| folder.join(tool))
        .find(|path| path.is_file())
}
