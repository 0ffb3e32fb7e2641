//! Commands in shell blocks: those that a hub can answer are run, of the others the names are
//! looked up.

use std::process::Stdio;

use super::markdown::Page;
use super::{Source, sources};
use crate::examples::{EXAMPLES, start_hub};
use crate::failure::{Failure, Result};
use crate::steps::{Options, STEPS};
use crate::tools;
use crate::workspace::Workspace;

/// Where the pages have the hub.
const HUB: &str = "127.0.0.1:8080";
/// Programs whose commands are for other machines, or install something.
/// `eventcast` is the command line client, whose own tests run it.
const NOT_RUN: &[&str] = &["npm", "npx", "sudo", "nc", "git", "eventcast", "tail"];

/// Pages whose blocks are whole programs, which have a check of their own.
const PROGRAMS: &[&str] = &["docs/clients.md"];

/// What becomes of a command.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Its names are there.
    LookedUp,
    /// It is run against the hub example.
    Run,
    /// Nobody runs it here.
    Not,
}

struct Command<'a> {
    place: String,
    words: Vec<&'a str>,
}

/// Looks all commands up and says how many there are.
pub(super) fn check(workspace: &Workspace, sources: &[Source]) -> Result<String> {
    let mut counts = [0; 3];
    for (place, text) in all(sources) {
        let words = text.split_whitespace();
        let words = words.skip_while(|word| word.contains('=')).collect();
        let command = Command { place, words };
        counts[command.kind(workspace)? as usize] += 1;
    }
    let [looked_up, run, not] = counts;
    Ok(format!(
        "{} commands ({looked_up} looked up, {run} run with the examples, {not} for elsewhere)",
        looked_up + run + not
    ))
}

/// Runs what asks the hub, against a real one. A stream that goes on is read for a second.
pub(crate) fn run_all(workspace: &Workspace, options: &Options) -> Result {
    tools::ensure(workspace, options, "curl", "curl")?;
    let (_hub, url) = start_hub(workspace)?;
    for (place, text) in all(&sources(workspace)?) {
        if !text.contains(HUB) || !text.contains("curl") {
            continue;
        }
        let script = text.replace(HUB, &url.authority).replace(
            "curl ",
            "curl --silent --show-error --fail-with-body --max-time 1 ",
        );
        let output = workspace
            .command("sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .output()?;
        // 28: curl's time is over.
        let goes_on = output.status.code() == Some(28) && !output.stdout.is_empty();
        if !output.status.success() && !goes_on {
            let said = String::from_utf8_lossy(&output.stdout);
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!("{place}: {text}\n{said}{complaint}")));
        }
        println!("{place}: {text}");
    }
    Ok(())
}

/// The commands of all shell blocks, without comments and with continued lines joined.
fn all(sources: &[Source]) -> Vec<(String, String)> {
    let mut commands = Vec::new();
    for source in sources {
        if PROGRAMS.contains(&source.path.as_str()) {
            continue;
        }
        let page = Page::parse(&source.text);
        for block in page.blocks.iter().filter(|block| block.is("sh")) {
            let mut whole = String::new();
            for line in &block.lines {
                let line = line.split(" # ").next().unwrap_or(line).trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let continued = line.strip_suffix('\\');
                whole.push_str(continued.unwrap_or(line));
                if continued.is_none() && !line.ends_with('|') {
                    let place = format!("{}:{}", source.path, block.line);
                    commands.push((place, std::mem::take(&mut whole)));
                }
            }
        }
    }
    commands
}

impl Command<'_> {
    fn kind(&self, workspace: &Workspace) -> Result<Kind> {
        let at_hub = self.words.iter().any(|word| word.contains(HUB));
        match self.words[..] {
            ["cargo", "xtask", command, ..] => self.has_xtask(command),
            ["cargo", ..] => self.has_targets(workspace),
            ["curl", ..] | ["printf", ..] if at_hub => Ok(Kind::Run),
            ["curl", ..] => Ok(Kind::Not),
            [program, ..] if NOT_RUN.contains(&program) => Ok(Kind::Not),
            _ => Err(self.wrong("nobody has said what becomes of such a command")),
        }
    }

    /// The command is in the list that `cargo xtask` prints, and so are the steps.
    fn has_xtask(&self, command: &str) -> Result<Kind> {
        if !crate::usage().contains(&format!("\n  {command} ")) {
            return Err(self.wrong("there is no such command"));
        }
        let mut steps = self.words.iter().skip(3);
        match steps
            .find(|word| !word.starts_with('-') && STEPS.iter().all(|step| step.name != **word))
        {
            Some(word) if command == "test" => {
                Err(self.wrong(&format!("there is no step `{word}`")))
            }
            _ => Ok(Kind::LookedUp),
        }
    }

    fn has_targets(&self, workspace: &Workspace) -> Result<Kind> {
        for pair in self.words.windows(2) {
            let found = match pair {
                ["--example", name] => EXAMPLES.iter().any(|example| example.name == *name),
                ["--bench", name] => workspace
                    .read("benches/Cargo.toml")?
                    .contains(&format!("name = \"{name}\"")),
                ["-p", name] => workspace
                    .members()?
                    .iter()
                    .any(|member| member.name == *name),
                _ => true,
            };
            if !found {
                return Err(self.wrong(&format!("there is no `{}`", pair[1])));
            }
        }
        Ok(Kind::LookedUp)
    }

    fn wrong(&self, why: &str) -> Failure {
        Failure::new(format!("{}: {}: {why}", self.place, self.words.join(" ")))
    }
}
