//! The recipes of `docs/clients.md`, as they stand there, against the hub example.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::examples::start_hub;
use crate::failure::{Failure, Result, While as _};
use crate::process::Running;
use crate::steps::{Options, examples};
use crate::tools;
use crate::wire::{Cutter, Url, post};
use crate::workspace::{Workspace, run as run_command};

const PAGE: &str = "docs/clients.md";
const BROWSER: &str = "xtask/recipes/browser.mjs";
/// The address in the recipes.
const ADDRESS: &str = "127.0.0.1:8080";
const CHANNEL: &str = "/channels/news";
const NPM: &[(&str, &str)] = &[
    ("@microsoft/fetch-event-source", "2"),
    ("esbuild", "0.28"),
    ("eventsource", "5"),
    ("playwright-core", "1"),
    ("reconnecting-websocket", "4"),
];
const PYPI: &[(&str, &str)] = &[
    ("httpx", "0.28.1"),
    ("httpx_sse", "0.4.3"),
    ("websockets", "17.4"),
];

const WEBSOCAT: &str = "1.14.1";

/// How long a program may take to start, a browser included.
const START: Duration = Duration::from_secs(60);
/// How long it may take to come back after a cut.
const BACK: Duration = Duration::from_secs(40);
const ANSWER: Duration = Duration::from_secs(10);

/// A program in the page.
#[derive(Debug, PartialEq, Eq)]
struct Recipe {
    /// The heading that it stands below.
    name: String,
    /// What runs it.
    runner: String,
    code: String,
}

impl Recipe {
    /// An event stream is cut in a block, a WebSocket between two messages.
    fn reads_blocks(&self) -> bool {
        !self.code.contains("ws://")
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result {
    let recipes = recipes(&workspace.read(PAGE)?)?;
    let kitchen = Kitchen::new(workspace, options)?;
    examples::build(workspace)?;
    let (_hub, hub) = start_hub(workspace)?;
    let cutter = Cutter::start(&hub.authority)?;

    let mut readers = Vec::new();
    for recipe in &recipes {
        let running = kitchen.start(recipe, cutter.authority())?;
        readers.push(Reader {
            name: &recipe.name,
            running,
            last: 0,
        });
    }
    let mut publisher = Publisher { hub, last: 0 };
    let deadline = Instant::now() + START;
    while readers.iter().any(|reader| reader.last == 0) {
        publisher.publish(1)?;
        for reader in &mut readers {
            reader.begin(deadline)?;
        }
    }
    publisher.publish(3)?;
    all_see(&mut readers, publisher.last)?;

    let before = cutter.connections();
    cutter.cut();
    publisher.publish(3)?;
    all_see(&mut readers, publisher.last)?;
    let new = cutter.connections() - before;
    if new < recipes.len() {
        return Err(Failure::new(format!(
            "{} recipes came back over {new} connections",
            recipes.len()
        )));
    }

    cutter.cut_in_blocks();
    publisher.publish(3)?;
    all_see(&mut readers, publisher.last)?;
    let streams = recipes
        .iter()
        .filter(|recipe| recipe.reads_blocks())
        .count();
    if cutter.cuts_in_blocks() != streams {
        return Err(Failure::new(format!(
            "{} of {streams} event streams were cut in a block",
            cutter.cuts_in_blocks()
        )));
    }
    // What came twice would be seen before this one.
    publisher.publish(1)?;
    all_see(&mut readers, publisher.last)?;
    println!("{} recipes saw each event once", recipes.len());
    Ok(())
}

fn all_see(readers: &mut [Reader<'_>], last: u64) -> Result {
    let deadline = Instant::now() + BACK;
    readers
        .iter_mut()
        .try_for_each(|reader| reader.see(last, deadline))
}

struct Publisher {
    hub: Url,
    last: u64,
}

impl Publisher {
    fn publish(&mut self, count: u64) -> Result {
        for _ in 0..count {
            self.last += 1;
            let url = self.hub.with_target(CHANNEL);
            post(&url, "text/plain", &format!("event {}", self.last), ANSWER)?.success()?;
        }
        Ok(())
    }
}

/// A recipe that runs, and the last event that it printed.
struct Reader<'a> {
    name: &'a str,
    running: Running,
    last: u64,
}

impl Reader<'_> {
    /// Looks for a first event, for a moment.
    fn begin(&mut self, deadline: Instant) -> Result {
        if self.last == 0 {
            match self
                .running
                .line("event", Duration::from_millis(50), number)
            {
                Ok(first) => self.last = first,
                Err(failure) if Instant::now() > deadline => return Err(failure),
                // It may have ended; then that is told at the deadline.
                Err(_) => sleep(Duration::from_millis(10)),
            }
        }
        Ok(())
    }

    /// Wants every event up to this one, each once and in order.
    fn see(&mut self, last: u64, deadline: Instant) -> Result {
        while self.last < last {
            let left = deadline.saturating_duration_since(Instant::now());
            let next = self.running.line("event", left, number)?;
            if next != self.last + 1 {
                return Err(Failure::new(format!(
                    "{} printed event {next} after event {}",
                    self.name, self.last
                )));
            }
            self.last = next;
        }
        Ok(())
    }
}

/// The number of the event in a line.
fn number(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("event ")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// The recipes with a comment that says what runs them.
fn recipes(page: &str) -> Result<Vec<Recipe>> {
    let mut recipes = Vec::new();
    let mut name = "";
    let mut runner = None;
    let mut code: Option<String> = None;
    for line in page.lines() {
        if let Some(text) = &mut code {
            if line.trim_end() == "```" {
                recipes.push(Recipe {
                    name: name.to_owned(),
                    runner: runner.take().unwrap_or_default(),
                    code: code.take().unwrap_or_default(),
                });
            } else {
                text.push_str(line);
                text.push('\n');
            }
        } else if let Some(heading) = line.strip_prefix("## ") {
            name = heading;
        } else if let Some(comment) = line.strip_prefix("<!-- recipe: ") {
            runner = comment.strip_suffix(" -->").map(str::to_owned);
        } else if line.starts_with("```") && runner.is_some() {
            code = Some(String::new());
        }
    }
    match recipes.len() {
        0 => Err(Failure::new(format!("{PAGE} has no recipes"))),
        _ if code.is_some() => Err(Failure::new(format!("{PAGE}: a block without an end"))),
        _ => Ok(recipes),
    }
}

/// What runs the recipes.
struct Kitchen<'a> {
    workspace: &'a Workspace,
    folder: PathBuf,
    node: PathBuf,
    chromium: PathBuf,
    python: PathBuf,
    websocat: PathBuf,
}

impl<'a> Kitchen<'a> {
    fn new(workspace: &'a Workspace, options: &Options) -> Result<Self> {
        let node = tools::ensure(workspace, options, "node", "nodejs")?;
        let chromium = tools::ensure(workspace, options, "chromium", "chromium")?;
        tools::ensure(workspace, options, "curl", "curl")?;
        let folder = workspace.target("xtask-recipes");
        tools::ensure_npm_all(workspace, options, &folder, NPM)?;
        let python = tools::ensure_pip_all(workspace, options, "recipes", PYPI)?;
        let websocat =
            tools::ensure_cargo_tool(workspace, "websocat", WEBSOCAT, &["--no-default-features"])?;
        Ok(Self {
            workspace,
            folder,
            node,
            chromium,
            python,
            websocat,
        })
    }

    fn start(&self, recipe: &Recipe, authority: &str) -> Result<Running> {
        let name: String = recipe
            .name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        let code = recipe.code.replace(ADDRESS, authority);
        if code == recipe.code {
            return Err(Failure::new(format!("{name} does not name {ADDRESS}")));
        }
        let file = self.folder.join(format!("{name}.mjs"));
        fs::write(&file, code).during(&name)?;
        let mut command = match recipe.runner.as_str() {
            "browser" => self.in_a_page(&file, authority)?,
            "node" => self.with(&self.node, &file),
            "python" => self.with(&self.python, &file),
            "sh" => {
                let own = self.folder.join(format!("{name}.work"));
                // What a former run left behind would be gone on from.
                let _ = fs::remove_dir_all(&own);
                fs::create_dir_all(&own).during(&name)?;
                let mut command = self.with(Path::new("sh"), &file);
                command.current_dir(own).env("PATH", self.path()?);
                command
            }
            other => return Err(Failure::new(format!("{name}: nothing runs `{other}`"))),
        };
        Running::start(&name, &mut command)
    }

    /// Where a script finds what it names.
    fn path(&self) -> Result<OsString> {
        let tools = self.websocat.parent().map(Path::to_path_buf);
        let known = env::var_os("PATH").unwrap_or_default();
        env::join_paths(tools.into_iter().chain(env::split_paths(&known))).during("PATH")
    }

    fn with(&self, program: &Path, file: &Path) -> Command {
        let mut command = self.workspace.command(program);
        command.arg(file);
        command
    }

    /// The browser wants one file, as a bundler makes it.
    fn in_a_page(&self, file: &Path, authority: &str) -> Result<Command> {
        let bundle = file.with_extension("bundle.js");
        let esbuild = self.folder.join("node_modules/.bin/esbuild");
        let mut bundling = self.workspace.command(esbuild);
        bundling
            .args(["--bundle", "--format=esm", "--log-level=warning"])
            .arg(file)
            .arg(format!("--outfile={}", bundle.display()));
        run_command(&mut bundling)?;
        let mut command = self.workspace.command(&self.node);
        command
            .arg(BROWSER)
            .env("PAGE", format!("http://{authority}/healthz"))
            .env("SCRIPT", bundle)
            .env("CHROMIUM", &self.chromium)
            .env("NODE_PACKAGES", &self.folder);
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_a_recipe() {
        let page = "## One\n```js\nno();\n```\n<!-- recipe: node -->\n```js\nyes();\n```\n\
                    ## Two\n<!-- recipe: sh -->\n\n```sh\nyes\n\nno\n```\n";
        let recipe = |name: &str, runner: &str, code: &str| Recipe {
            name: name.to_owned(),
            runner: runner.to_owned(),
            code: code.to_owned(),
        };
        let expected = [
            recipe("One", "node", "yes();\n"),
            recipe("Two", "sh", "yes\n\nno\n"),
        ];
        assert_eq!(recipes(page).expect("two recipes"), expected);
        assert!(recipes("## None").is_err());
    }

    #[test]
    fn numbers_are_found_in_lines_of_any_kind() {
        assert_eq!(number("9j76cpsn-a1 event 17"), Some(17));
        assert_eq!(number(r#"{"id":"x","data":"event 8"}"#), Some(8));
        assert_eq!(number("event: tick"), None);
    }
}
