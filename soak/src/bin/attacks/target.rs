//! The process under attack, seen from outside.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::raw;

/// A running server.
pub(crate) struct Target {
    child: Child,
    pub(crate) address: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
    highest: Arc<AtomicU64>,
}

/// What a process holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Holds {
    /// Resident memory, in bytes.
    pub(crate) memory: u64,
    pub(crate) files: usize,
    pub(crate) counters: Value,
}

impl Target {
    pub(crate) async fn start(quick: bool) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .arg("serve")
            .args(quick.then_some("--quick"))
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start the server: {error}"))?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let line = BufReader::new(stdout).lines().next_line().await;
        let line = line.ok().flatten().ok_or("the server did not start")?;
        let address = line.parse().map_err(|_| format!("no address: {line}"))?;
        let stderr = child.stderr.take().ok_or("the server has no errors")?;
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let saying = Arc::clone(&said);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("server | {line}");
                saying
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        let highest: Arc<AtomicU64> = Arc::default();
        if let Some(pid) = child.id() {
            let highest = Arc::clone(&highest);
            tokio::spawn(async move {
                while let Some(memory) = memory(pid) {
                    highest.fetch_max(memory, Ordering::Relaxed);
                    sleep(Duration::from_millis(50)).await;
                }
            });
        }
        Ok(Self {
            child,
            address,
            said,
            highest,
        })
    }

    /// The most memory since this was asked last.
    pub(crate) fn highest(&self) -> u64 {
        self.highest.swap(0, Ordering::Relaxed)
    }

    pub(crate) async fn holds(&self) -> Result<Holds, String> {
        let pid = self.child.id().ok_or("the server has ended")?;
        let asking = raw::ask(self.address, "GET /counters HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = asking.await;
        let counters = serde_json::from_str(&answer.body);
        Ok(Holds {
            memory: memory(pid).ok_or(UNSEEN)?,
            files: std::fs::read_dir(format!("/proc/{pid}/fd"))
                .map_err(|_| UNSEEN)?
                .count(),
            counters: counters.map_err(|_| format!("no counters: {}", answer.outcome))?,
        })
    }

    /// Waits until it holds what it held before, memory to a tenth, and returns what it holds then,
    /// or in the end: once only memory is more, the wait is shorter.
    pub(crate) async fn returns_to(
        &self,
        before: &Holds,
        limit: Duration,
        limit_of_memory: Duration,
    ) -> Result<Holds, String> {
        let began = Instant::now();
        loop {
            let now = self.holds().await?;
            let limit = match now.is_back_but_for_memory(before) {
                true => limit_of_memory,
                false => limit,
            };
            if now.is_back_to(before) || began.elapsed() > limit {
                return Ok(now);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Tells of what should not have been said.
    pub(crate) fn is_calm(&self) -> Result<(), String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match said.iter().find(|line| line.contains("panicked")) {
            Some(line) => Err(format!("the server: {line}")),
            None => Ok(()),
        }
    }

    /// Ends it as it ends by itself.
    pub(crate) async fn stop(mut self) -> Result<(), String> {
        drop(self.child.stdin.take());
        match tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await {
            Ok(Ok(status)) if status.success() => self.is_calm(),
            other => Err(format!("the server ended with {other:?}")),
        }
    }
}

impl Holds {
    pub(crate) fn is_back_to(&self, before: &Self) -> bool {
        self.memory <= before.memory + before.memory / 10 && self.is_back_but_for_memory(before)
    }

    pub(crate) fn is_back_but_for_memory(&self, before: &Self) -> bool {
        let same = |name: &str| self.counters[name] == before.counters[name];
        self.files <= before.files
            && ["channels", "sse", "stream", "websocket"]
                .into_iter()
                .all(same)
    }
}

fn memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib << 10)
}

const UNSEEN: &str = "what the server holds is not seen here: this needs Linux";
