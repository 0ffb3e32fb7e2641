//! Starts every example.

use std::collections::BTreeSet;
use std::fs;

use crate::book;
use crate::examples::EXAMPLES;
use crate::failure::{Failure, Result, While as _};
use crate::steps::Options;
use crate::tools;
use crate::workspace::{self, Workspace};

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result {
    let files = files(workspace)?;
    if let Some(name) = files
        .iter()
        .find(|name| EXAMPLES.iter().all(|example| example.name != **name))
    {
        return Err(Failure::new(format!(
            "example {name} is not asked anything: give it a row in xtask/src/examples/mod.rs"
        )));
    }
    if let Some(example) = EXAMPLES
        .iter()
        .find(|example| !files.contains(example.name))
    {
        return Err(Failure::new(format!(
            "example {} is to be asked something but examples/{}.rs is missing",
            example.name, example.name
        )));
    }
    // One has a cluster of its own.
    tools::ensure(workspace, options, "redis-server", "redis-server")?;
    build(workspace)?;
    for example in EXAMPLES {
        example
            .asked(workspace)
            .during(format_args!("example {}", example.name))?;
        println!("example {} is as it should be", example.name);
    }
    book::run_commands(workspace, options)
}

pub(super) fn build(workspace: &Workspace) -> Result {
    workspace::run(&mut workspace.cargo(&["build", "--examples", "-p", "eventcast-examples"]))
}

/// The names of the example programs.
fn files(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(workspace.path("examples")).during("examples")? {
        let path = entry?.path();
        let is_program = path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name().is_some_and(|name| name != "lib.rs");
        if let Some(stem) = path.file_stem().filter(|_| is_program) {
            names.insert(stem.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}
