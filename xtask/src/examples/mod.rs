//! The examples and the question each one is asked.

mod applications;
mod ask;

use std::time::Duration;

use crate::failure::Result;
use crate::process::Running;
use crate::wire::Url;
use crate::workspace::Workspace;

/// How long an example may take to start: cargo looks at it first.
const START: Duration = Duration::from_secs(60);

/// An example, how it is started and what is asked.
#[derive(Debug)]
pub(crate) struct Example {
    pub(crate) name: &'static str,
    args: &'static [&'static str],
    ask: fn(&mut Running) -> Result,
}

/// Every file among the examples has its row here.
pub(crate) const EXAMPLES: &[Example] = &[
    asked("axum_app", applications::axum_app),
    asked("chat", applications::chat),
    asked("cluster", ask::ends_by_itself),
    asked("custom_transport", ask::ends_by_itself),
    asked("dashboard", applications::dashboard),
    ECHO,
    asked("graceful_deploy", ask::ends_by_itself),
    asked("hello_sse", ask::counts_over_sse),
    asked("hello_ws", ask::counts_over_websocket),
    HUB,
    asked("line_server", applications::line_server),
    asked("plain_hyper", applications::plain_hyper),
    asked("replay_buffer", ask::ends_by_itself),
    asked("resumable_answer", applications::resumable_answer),
    asked("snapshot", ask::joins_its_stream),
    asked("ticker", applications::ticker),
];

const fn asked(name: &'static str, ask: fn(&mut Running) -> Result) -> Example {
    let args = &[];
    Example { name, args, ask }
}

const ECHO: Example = asked("echo", ask::sends_back);

const HUB: Example = Example {
    name: "hub",
    args: &["--listen", "127.0.0.1:0", "--echo"],
    ask: ask::hub,
};

impl Example {
    pub(crate) fn asked(&self, workspace: &Workspace) -> Result {
        let mut running = self.start(workspace)?;
        (self.ask)(&mut running)
    }

    /// `cargo run` becomes the example itself, so a signal reaches it.
    fn start(&self, workspace: &Workspace) -> Result<Running> {
        let mut command =
            workspace.cargo(&["run", "--quiet", "-p", "eventcast-examples", "--example"]);
        command.arg(self.name);
        if !self.args.is_empty() {
            command.arg("--").args(self.args);
        }
        Running::start(self.name, &mut command)
    }
}

/// The echo example, and where it listens.
pub(crate) fn start_echo(workspace: &Workspace) -> Result<(Running, Url)> {
    let running = ECHO.start(workspace)?;
    let url = listening(&running, &["ws"])?;
    Ok((running, url))
}

/// The hub example, and where it listens.
pub(crate) fn start_hub(workspace: &Workspace) -> Result<(Running, Url)> {
    let running = HUB.start(workspace)?;
    let url = listening(&running, &["http"])?;
    Ok((running, url))
}

/// Those with a page, and where they listen.
pub(crate) fn start_pages(workspace: &Workspace) -> Result<Vec<(Running, &'static str, Url)>> {
    let with_page = EXAMPLES.iter().filter(|example| {
        let page = format!("examples/pages/{}.html", example.name);
        workspace.path(&page).exists()
    });
    let start = |example: &Example| {
        let running = example.start(workspace)?;
        let url = listening(&running, &["http"])?;
        Ok((running, example.name, url))
    };
    with_page.map(start).collect()
}

/// The address in the first line that has one.
fn listening(running: &Running, schemes: &[&str]) -> Result<Url> {
    running.line("address", START, |line| Url::find(line, schemes))
}
