//! Where things are, and cargo.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Result, While as _};

/// The repository this tool was built from.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) published: bool,
}

impl Workspace {
    pub(crate) fn here() -> Self {
        let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest_dir.parent().unwrap_or(manifest_dir);
        Self {
            root: root.to_path_buf(),
        }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A folder under `target` for what steps leave behind.
    pub(crate) fn target(&self, relative: &str) -> PathBuf {
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        self.root.join(target).join(relative)
    }

    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        fs::read_to_string(self.path(relative)).during(relative)
    }

    pub(crate) fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        command.current_dir(&self.root).stdin(Stdio::null());
        command
    }

    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = self.command(cargo);
        command.args(args);
        command
    }

    /// The packages in the order cargo lists them.
    pub(crate) fn members(&self) -> Result<Vec<Member>> {
        let listing = output(&mut self.cargo(&[
            "tree",
            "--workspace",
            "--depth=0",
            "--prefix=none",
            "--edges=normal",
        ]))?;
        let mut members = Vec::new();
        for line in listing.lines().filter(|line| !line.trim().is_empty()) {
            let name = line.split_whitespace().next().unwrap_or_default();
            let folder = line
                .split_once('(')
                .and_then(|(_, rest)| rest.split_once(')'))
                .map(|(folder, _)| folder)
                .ok_or_else(|| Failure::new(format!("cargo tree said: {line}")))?;
            let manifest = fs::read_to_string(Path::new(folder).join("Cargo.toml"))
                .during(format_args!("the manifest of {name}"))?;
            members.push(Member {
                name: name.to_owned(),
                published: !manifest
                    .lines()
                    .any(|line| line.trim() == "publish = false"),
            });
        }
        if members.is_empty() {
            return Err(Failure::new("cargo tree lists no workspace member"));
        }
        Ok(members)
    }
}

/// Runs a command with its output on the terminal.
pub(crate) fn run(command: &mut Command) -> Result {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().during(&shown)?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{shown}` ended with {status}")))
}

/// Runs a command and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().during(&shown)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::new(format!(
        "`{shown}` ended with {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    )))
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut shown = program
        .file_name()
        .unwrap_or_else(|| command.get_program())
        .to_string_lossy()
        .into_owned();
    for arg in command.get_args() {
        shown.push(' ');
        shown.push_str(&arg.to_string_lossy());
    }
    shown
}
