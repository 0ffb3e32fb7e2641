//! Links: that what they lead to is there.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::Source;
use super::markdown::Page;
use crate::failure::{Failure, Result};
use crate::workspace::Workspace;

/// Checks all links into the repository and says how many there are.
pub(super) fn check(workspace: &Workspace, sources: &[Source]) -> Result<String> {
    let mut wrong = Vec::new();
    let (mut inside, mut outside) = (0, 0);
    for source in sources {
        for (line, target) in Page::parse(&source.text).links() {
            if target.contains("://") || target.starts_with("mailto:") {
                outside += 1;
                continue;
            }
            // Items of Rust, which rustdoc checks.
            if target.contains("::")
                || source.path.starts_with("crates/") && !target.contains(['.', '#'])
            {
                continue;
            }
            inside += 1;
            if let Err(why) = leads_somewhere(workspace, source, &target) {
                wrong.push(format!("{}:{line}: {target}: {why}", source.path));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(format!(
            "{inside} links ({outside} to elsewhere, which nobody fetched)"
        ));
    }
    Err(Failure::new(wrong.join("\n")))
}

fn leads_somewhere(workspace: &Workspace, source: &Source, target: &str) -> Result {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let here = Path::new(&source.path);
    let path = match file {
        "" => here.to_path_buf(),
        file => normal(&here.parent().unwrap_or(here).join(file)),
    };
    if here.starts_with("docs") && !path.starts_with("docs") {
        return Err(Failure::new(
            "the book does not have what is outside of docs/",
        ));
    }
    if !workspace.path(&path.to_string_lossy()).exists() {
        return Err(Failure::new("there is no such file"));
    }
    if anchor.is_empty() {
        return Ok(());
    }
    let text = workspace.read(&path.to_string_lossy())?;
    let anchors: BTreeSet<String> = Page::parse(&text).anchors();
    if anchors.contains(anchor) {
        return Ok(());
    }
    Err(Failure::new("there is no such heading"))
}

/// Without `..`, which need not be the file system's.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}
