//! A server and its load generator, as processes that this one started.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;

use super::spec::{Kind, LoadSpec, Outcome, ServerSpec, Shape, Turn};

/// Who takes turns with others. Both processes end with this value.
pub(crate) struct Contestant {
    pub(crate) kind: Kind,
    note: &'static str,
    // Ends first: clients do not outlive their server.
    load: Process,
    server: Process,
    load_spec: LoadSpec,
}

/// What a server is given that is no matter of its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) retained: Option<usize>,
    pub(crate) linger_millis: u64,
    pub(crate) prometheus: bool,
    pub(crate) note: &'static str,
}

impl Contestant {
    /// Starts a server, and connects all that its shape says.
    pub(crate) fn start(
        kind: Kind,
        shape: Shape,
        settings: Settings,
    ) -> Result<Self, Box<dyn Error>> {
        let mut server = Process::start(
            "--serve",
            &ServerSpec {
                kind,
                shape,
                core: SERVER_CORE,
                workers: settings.workers,
                retained: settings.retained,
                linger_millis: settings.linger_millis,
                prometheus: settings.prometheus,
            },
        )?;
        let addresses = server.line()?;
        let (address, control) = addresses.split_once(' ').ok_or("it does not start")?;
        let load_spec = LoadSpec {
            kind,
            shape,
            core: LOAD_CORE,
            address: address.to_owned(),
            control: control.to_owned(),
        };
        Ok(Self {
            kind,
            note: settings.note,
            load: start_load(&load_spec)?,
            server,
            load_spec,
        })
    }

    /// A further load generator of the same server, without clients of its own.
    pub(crate) fn second_load(&self) -> Result<Process, Box<dyn Error>> {
        let mut spec = self.load_spec.clone();
        spec.shape.sessions = 0;
        start_load(&spec)
    }

    pub(crate) fn take(&mut self, turn: Turn) -> Result<Outcome, Box<dyn Error>> {
        self.load.begin(turn)?;
        self.load.end()
    }

    pub(crate) fn begin(&mut self, turn: Turn) -> Result<(), Box<dyn Error>> {
        self.load.begin(turn)
    }

    pub(crate) fn end(&mut self) -> Result<Outcome, Box<dyn Error>> {
        self.load.end()
    }

    /// What the server holds, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64, Box<dyn Error>> {
        let process = self.server.child.id();
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let resident = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
        let number = resident.and_then(|rest| rest.split_whitespace().next());
        Ok(number.ok_or("smaps_rollup lacks Rss")?.parse()?)
    }

    pub(crate) fn name(&self) -> String {
        if self.note.is_empty() {
            self.kind.name().to_owned()
        } else {
            format!("{}, {}", self.kind.name(), self.note)
        }
    }
}

fn start_load(spec: &LoadSpec) -> Result<Process, Box<dyn Error>> {
    let mut load = Process::start("--load", spec)?;
    match load.line()?.as_str() {
        "ready" => Ok(load),
        _ => Err(format!("no clients of {}", spec.kind.name()).into()),
    }
}

/// This program again, in another part.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(part: &str, spec: &impl Serialize) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([part, &serde_json::to_string(spec)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self {
            orders: child.stdin.take().expect("it is piped"),
            answers: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
        })
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    pub(crate) fn begin(&mut self, turn: Turn) -> Result<(), Box<dyn Error>> {
        writeln!(self.orders, "{}", serde_json::to_string(&turn)?)?;
        Ok(())
    }

    pub(crate) fn end(&mut self) -> Result<Outcome, Box<dyn Error>> {
        let line = self.line()?;
        if line.is_empty() {
            return Err("a load generator gave up: it says why above".into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    pub(crate) fn take(&mut self, turn: Turn) -> Result<Outcome, Box<dyn Error>> {
        self.begin(turn)?;
        self.end()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which its answers told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;
