//! The hub, as a process.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running hub.
pub(crate) struct Hub {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Hub {
    pub(crate) async fn start(path: &str, more: &[&str]) -> Result<Self, String> {
        let mut child = Command::new(path)
            .args(["--listen", "127.0.0.1:0", "--retain-count", "2000"])
            .args(more)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {path}: {error}"))?;
        let stdout = child.stdout.take().ok_or("the hub has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let address = line.split("http://").nth(1);
            let address = address.and_then(|rest| rest.trim_end_matches('/').parse().ok());
            if let Some(address) = address {
                // Read on, or the hub would find its output closed.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(Self { child, address });
            }
        }
        Err("the hub ended before it said where it listens".to_owned())
    }

    /// Ends it without warning.
    pub(crate) async fn kill(mut self) {
        let _ = self.child.kill().await;
    }

    /// Asks it to end.
    pub(crate) async fn terminate(mut self) -> Result<(), String> {
        let id = self.child.id().ok_or("the hub has ended by itself")?;
        let told = Command::new("kill")
            .args(["-TERM", &id.to_string()])
            .status()
            .await;
        told.map_err(|error| format!("cannot send SIGTERM: {error}"))?;
        match self.child.wait().await {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("the hub ended with {other:?}")),
        }
    }
}
