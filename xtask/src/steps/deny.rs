//! What the published crates depend on: under which licences, and from where.

use std::collections::BTreeSet;

use crate::failure::{Failure, Result};
use crate::steps::Options;
use crate::workspace::{Workspace, output, run as run_command};

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// By cargo-deny where it is installed; it takes minutes to build, so otherwise licences and sources
/// are read here, from what cargo knows, and what is left out is said.
pub(super) fn run(workspace: &Workspace, _: &Options) -> Result {
    if output(&mut workspace.cargo(&["deny", "--version"])).is_ok() {
        run_command(&mut workspace.cargo(&["deny", "check", "bans", "licenses", "sources"]))?;
    } else {
        let packages = licences(workspace)?;
        let sources = sources(workspace)?;
        println!(
            "{packages} packages have licences that deny.toml allows, {sources} are from crates.io"
        );
        println!(
            "NOT RUN: bans (doubles and wildcards), for want of cargo-deny: cargo install cargo-deny"
        );
    }
    println!("NOT RUN: advisories, whose database has to be fetched: cargo deny check advisories");
    Ok(())
}

fn licences(workspace: &Workspace) -> Result<usize> {
    let manifest = workspace.read("deny.toml")?;
    let allowed = allowed(&manifest);
    let mut tree = workspace.cargo(&["tree", "--all-features", "--target", "all"]);
    tree.args(["-e", "normal,build", "--prefix", "none", "-f", "{p}|{l}"]);
    for member in workspace
        .members()?
        .iter()
        .filter(|member| member.published)
    {
        tree.args(["-p", &member.name]);
    }
    let tree = output(&mut tree)?;
    let packages: BTreeSet<&str> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .collect();
    for line in &packages {
        let (package, expression) = line.split_once('|').unwrap_or((line, ""));
        if !is_allowed(expression, &allowed) {
            return Err(Failure::new(format!(
                "{package} has the licence {expression:?}, which deny.toml does not allow"
            )));
        }
    }
    Ok(packages.len())
}

/// The strings of the list `allow`.
fn allowed(manifest: &str) -> Vec<&str> {
    let list = manifest.split("\nallow = [").nth(1).unwrap_or("");
    let list = list.split("\n]").next().unwrap_or("");
    let lines = list.lines().map(str::trim);
    let strings = lines.filter(|line| line.starts_with('"'));
    strings
        .map(|line| line.trim_end_matches(',').trim_matches('"'))
        .collect()
}

/// An SPDX expression, or the older form with a slash: some licence of each alternative is enough.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ");
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let mut tokens = spaced.split_whitespace().peekable();
    either(&mut tokens, allowed) && tokens.next().is_none()
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(tokens: &mut Tokens<'_>, allowed: &[&str]) -> bool {
    let mut good = both(tokens, allowed);
    while tokens.next_if_eq(&"OR").is_some() {
        good |= both(tokens, allowed);
    }
    good
}

fn both(tokens: &mut Tokens<'_>, allowed: &[&str]) -> bool {
    let mut good = one(tokens, allowed);
    while tokens.next_if_eq(&"AND").is_some() {
        good &= one(tokens, allowed);
    }
    good
}

fn one(tokens: &mut Tokens<'_>, allowed: &[&str]) -> bool {
    match tokens.next() {
        Some("(") => {
            let good = either(tokens, allowed);
            tokens.next_if_eq(&")").is_some() && good
        }
        Some(licence) => match tokens.next_if_eq(&"WITH").and_then(|_| tokens.next()) {
            Some(exception) => allowed.contains(&&*format!("{licence} WITH {exception}")),
            None => allowed.contains(&licence),
        },
        None => false,
    }
}

fn sources(workspace: &Workspace) -> Result<usize> {
    let lock = workspace.read("Cargo.lock")?;
    let sources = lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "));
    let sources: Vec<&str> = sources.map(|source| source.trim_matches('"')).collect();
    match sources.iter().find(|source| **source != REGISTRY) {
        Some(other) => Err(Failure::new(format!(
            "Cargo.lock names another source: {other}"
        ))),
        None => Ok(sources.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::{allowed, is_allowed};

    #[test]
    fn expressions() {
        let list = "[licenses]\nallow = [\n    # Why.\n    \"MIT\",\n    \"A WITH B\",\n]\n";
        let allowed = allowed(list);
        assert_eq!(allowed, ["MIT", "A WITH B"]);
        for good in [
            "MIT",
            "X OR MIT",
            "MIT/X",
            "(X OR MIT) AND MIT",
            "A WITH B",
            "X AND Y OR MIT",
        ] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in [
            "",
            "X",
            "MIT AND X",
            "A",
            "MIT WITH B",
            "(MIT",
            "MIT X",
            "MIT AND (X OR Y)",
        ] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }
}
