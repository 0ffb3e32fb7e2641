//! The README and the generated documentation.

use crate::book;
use crate::failure::{Failure, Result};
use crate::steps::Options;
use crate::workspace::{Workspace, run};

/// The facade, whose documentation tests compile the README's snippets.
const FACADE: &str = "crates/eventcast";

/// What a reader sees first, then what a contributor sees: links from public
/// to private items are wrong only in the first.
pub(super) fn build(workspace: &Workspace, _: &Options) -> Result {
    for visible in [&[][..], &["--document-private-items"]] {
        run(workspace
            .cargo(&["doc", "--workspace", "--no-deps", "--all-features"])
            .args(visible)
            .env("RUSTDOCFLAGS", "-Dwarnings"))?;
    }
    Ok(())
}

pub(super) fn readme(workspace: &Workspace, _: &Options) -> Result {
    let readme = workspace.read("README.md")?;
    let manifest = workspace.read("Cargo.toml")?;
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .map(|value| value.trim().trim_matches('"'))
        .ok_or_else(|| Failure::new("Cargo.toml has no rust-version"))?;
    let stated: Vec<&str> = stated_versions(&readme).collect();
    if stated.is_empty() {
        return Err(Failure::new(format!(
            "README.md does not say `Rust {version}`"
        )));
    }
    if let Some(other) = stated.iter().find(|stated| **stated != version) {
        return Err(Failure::new(format!(
            "README.md says Rust {other}, rust-version in Cargo.toml is {version}"
        )));
    }

    if readme.contains("```rust") && !is_facade_documentation(workspace, &readme)? {
        return Err(Failure::new(format!(
            "README.md has Rust snippets that nothing compiles: {FACADE} must include it"
        )));
    }
    println!("README.md: Rust {version}");
    book::check(workspace)
}

/// The guides as a book, and their scripts.
pub(super) fn book(workspace: &Workspace, options: &Options) -> Result {
    book::build(workspace, options)
}

/// Every version that follows the words "Rust 1.".
fn stated_versions(readme: &str) -> impl Iterator<Item = &str> {
    readme.match_indices("Rust 1.").map(|(at, _)| {
        let version = &readme[at + "Rust ".len()..];
        let end = version
            .find(|c: char| c != '.' && !c.is_ascii_digit())
            .unwrap_or(version.len());
        version[..end].trim_end_matches('.')
    })
}

/// Whether the facade's documentation is this very text: by a link or copy in
/// its folder, or by including the file itself.
fn is_facade_documentation(workspace: &Workspace, readme: &str) -> Result<bool> {
    let library = workspace.read(&format!("{FACADE}/src/lib.rs"))?;
    if library.contains("include_str!(\"../../../README.md\")") {
        return Ok(true);
    }
    Ok(library.contains("include_str!(\"../README.md\")")
        && workspace.read(&format!("{FACADE}/README.md"))? == readme)
}

#[cfg(test)]
mod tests {
    use super::stated_versions;

    #[test]
    fn versions_end_where_the_number_ends() {
        let text = "needs Rust 1.95. Rust 1.88.0, or Rust 1.9";
        let found: Vec<&str> = stated_versions(text).collect();
        assert_eq!(found, ["1.95", "1.88.0", "1.9"]);
    }
}
