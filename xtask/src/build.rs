//! Programs of this workspace that the checks run.

use std::path::PathBuf;

use crate::failure::Result;
use crate::workspace::{Workspace, run};

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// As the other checks build the examples: most of it is there already.
    Dev,
    /// As users run it, for what is to be measured or runs for long.
    Release,
}

impl Build {
    /// Builds a binary of a package.
    pub(crate) fn binary(
        self,
        workspace: &Workspace,
        package: &str,
        name: &str,
    ) -> Result<PathBuf> {
        self.build(workspace, &["-p", package, "--bin", name])?;
        Ok(workspace.target(&format!("{}/{name}", self.folder())))
    }

    /// Builds the hub example.
    pub(crate) fn hub(self, workspace: &Workspace) -> Result<PathBuf> {
        self.build(workspace, &["-p", "eventcast-examples", "--example", "hub"])?;
        Ok(workspace.target(&format!("{}/examples/hub", self.folder())))
    }

    fn build(self, workspace: &Workspace, what: &[&str]) -> Result {
        let mut cargo = workspace.cargo(&["build"]);
        if self == Self::Release {
            cargo.arg("--release");
        }
        run(cargo.args(what))
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}
