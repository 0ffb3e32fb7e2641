//! A program that runs beside this one.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Killed when dropped.
pub(crate) struct Program {
    name: String,
    child: Child,
    lines: UnboundedReceiver<String>,
}

impl Program {
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let (sender, lines) = unbounded_channel();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(read(stdout, sender.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(read(stderr, sender));
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            lines,
        })
    }

    /// The first line from here on in which `wanted` finds something.
    pub(crate) async fn line<T: Send>(
        &mut self,
        wanted: impl Fn(&str) -> Option<T> + Send + Sync,
    ) -> Result<T, String> {
        let mut said = String::new();
        let finding = async {
            while let Some(line) = self.lines.recv().await {
                if let Some(found) = wanted(&line) {
                    return Some(found);
                }
                said.push_str(&line);
                said.push('\n');
            }
            None
        };
        let found = tokio::time::timeout(LIMIT, finding).await;
        found
            .ok()
            .flatten()
            .ok_or_else(|| format!("{} did not say what it should, but: {said}", self.name))
    }

    /// Done once somebody listens there. An error with what was said if the program ends.
    pub(crate) async fn listens(&mut self, address: std::net::SocketAddr) -> Result<(), String> {
        let begin = Instant::now();
        while begin.elapsed() < LIMIT {
            if let Ok(Some(status)) = self.child.try_wait() {
                let said = self.said();
                return Err(format!("{} ended with {status}:\n{said}", self.name));
            }
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("{} does not listen on {address}", self.name))
    }

    /// What it has said and nobody has read yet.
    pub(crate) fn said(&mut self) -> String {
        let mut said = String::new();
        while let Ok(line) = self.lines.try_recv() {
            said.push_str(&line);
            said.push('\n');
        }
        said
    }

    /// Sends SIGTERM.
    pub(crate) async fn terminate(&self) -> Result<(), String> {
        let id = self
            .child
            .id()
            .ok_or_else(|| format!("{} has ended", self.name))?;
        let told = Command::new("kill")
            .args(["-TERM", &id.to_string()])
            .status();
        told.await
            .map(|_| ())
            .map_err(|error| format!("cannot send SIGTERM: {error}"))
    }

    /// Waits for the end and wants exit code 0.
    pub(crate) async fn ends(&mut self) -> Result<(), String> {
        match tokio::time::timeout(LIMIT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(other) => Err(format!("{} ended with {other:?}", self.name)),
            Err(_) => Err(format!("{} does not end", self.name)),
        }
    }
}

async fn read(stream: impl AsyncRead + Unpin, lines: UnboundedSender<String>) {
    let mut stream = BufReader::new(stream).lines();
    while let Ok(Some(line)) = stream.next_line().await {
        // Nobody may be waiting any more; the pipe is still read to its end.
        let _ = lines.send(line);
    }
}

const LIMIT: Duration = Duration::from_secs(60);
