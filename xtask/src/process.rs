//! A running program whose lines can be waited for.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result, While as _};

/// A child process; killed when dropped while it runs.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    pid: u32,
    lines: Receiver<String>,
    status: Receiver<ExitStatus>,
    ended: bool,
}

impl Running {
    /// Starts the command. Its lines, of both streams, are echoed behind `name`.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .during(format_args!("starting {name}"))?;
        let pid = child.id();
        let (to_lines, lines) = mpsc::channel();
        let (to_status, status) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            read_lines(name, stdout, to_lines.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            read_lines(name, stderr, to_lines);
        }
        thread::spawn(move || {
            if let Ok(status) = child.wait() {
                let _ = to_status.send(status);
            }
        });
        Ok(Self {
            name: name.to_owned(),
            pid,
            lines,
            status,
            ended: false,
        })
    }

    /// The first line, from here on, in which `wanted` finds something.
    pub(crate) fn line<T>(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Failure::new(format!(
                        "{} printed no {what} within {limit:?}",
                        self.name
                    )));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(format!(
                        "{} ended without printing a {what}",
                        self.name
                    )));
                }
            }
        }
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) -> Result {
        signal("-TERM", self.pid)
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&self) -> Result {
        signal("-INT", self.pid)
    }

    /// Waits for the end and wants exit code 0.
    pub(crate) fn exits_cleanly(&mut self, limit: Duration) -> Result {
        let status = self
            .status
            .recv_timeout(limit)
            .map_err(|_| Failure::new(format!("{} did not end within {limit:?}", self.name)))?;
        self.ended = true;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("{} ended with {status}", self.name)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended && self.status.try_recv().is_err() {
            let _ = signal("-KILL", self.pid);
        }
    }
}

fn read_lines(name: &str, stream: impl Read + Send + 'static, lines: Sender<String>) {
    let name = name.to_owned();
    thread::spawn(move || {
        for line in BufReader::new(stream)
            .lines()
            .map_while(std::result::Result::ok)
        {
            println!("{name} | {line}");
            // Nobody may be waiting any more; the pipe is still read to its end.
            let _ = lines.send(line);
        }
    });
}

fn signal(signal: &str, pid: u32) -> Result {
    let status = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .during("kill")?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "kill {signal} {pid} ended with {status}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Running {
        Running::start("sh", Command::new("sh").args(["-c", script])).expect("sh starts")
    }

    #[test]
    fn a_line_of_either_stream_is_found() {
        let mut running = shell("echo out; echo port 7 >&2");
        let port = running.line("port", LONG, |line| {
            line.strip_prefix("port ").map(str::to_owned)
        });
        assert_eq!(port.expect("the line is printed"), "7");
        running.exits_cleanly(LONG).expect("exit code 0");
    }

    #[test]
    fn a_line_that_does_not_come_is_not_awaited_for_ever() {
        let running = shell("echo other; exec sleep 60");
        let missing = running.line("port", SOON, |_| None::<()>);
        let said = missing.expect_err("no line matches").to_string();
        assert_eq!(said, "sh printed no port within 20ms");
    }

    #[test]
    fn an_early_end_is_told_from_silence() {
        let mut running = shell("exit 3");
        let missing = running.line("port", LONG, |_| None::<()>);
        let said = missing.expect_err("no line comes").to_string();
        assert_eq!(said, "sh ended without printing a port");
        let said = running.exits_cleanly(LONG).expect_err("exit code 3");
        assert_eq!(said.to_string(), "sh ended with exit status: 3");
    }

    #[test]
    fn terminating_reaches_the_program() {
        let mut running = shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done");
        running
            .line("start", LONG, |line| (line == "ready").then_some(()))
            .expect("it starts");
        running.terminate().expect("it runs");
        running.exits_cleanly(LONG).expect("exit code 0");
    }
}
