//! The hub example, as a process, and how to publish there.

use std::net::SocketAddr;
use std::path::Path;

use http::{Method, StatusCode};
use tokio::process::Command;

use crate::certificate::Identity;
use crate::link::{Door, Link, Protocol};
use crate::program::Program;
use crate::random::Random;

pub(crate) struct Hub {
    pub(crate) program: Program,
    pub(crate) plain: SocketAddr,
    pub(crate) encrypted: SocketAddr,
    identity: Identity,
}

impl Hub {
    pub(crate) async fn start(
        path: &Path,
        folder: &Path,
        identity: &Identity,
        heartbeat: &str,
    ) -> Result<Self, String> {
        let mut command = Command::new(path);
        command
            .args(["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"])
            .arg("--cert")
            .arg(folder.join("certificate.pem"))
            .arg("--key")
            .arg(folder.join("key.pem"))
            .args(["--heartbeat", heartbeat]);
        let mut program = Program::start("hub", &mut command)?;
        let plain = program.line(|line| address(line, "hub on http://")).await?;
        let encrypted = program.line(|line| address(line, "on https://")).await?;
        Ok(Self {
            program,
            plain,
            encrypted,
            identity: identity.clone(),
        })
    }

    /// Someone who publishes, without a proxy: the example takes events from this machine only.
    pub(crate) async fn publisher(&self) -> Result<Publisher, String> {
        let door = Door {
            plain: self.plain,
            encrypted: self.encrypted,
            identity: self.identity.clone(),
        };
        let link = Link::open(&door, Protocol::Http1, usize::MAX).await;
        Ok(Publisher {
            link: link.map_err(|trouble| trouble.to_string())?,
        })
    }
}

fn address(line: &str, before: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once(before)?;
    address.trim_end_matches('/').parse().ok()
}

pub(crate) struct Publisher {
    link: Link,
}

impl Publisher {
    /// Publishes event number `n`, with so many bytes beside the number.
    pub(crate) async fn publish(
        &mut self,
        channel: &str,
        n: u64,
        bytes: usize,
    ) -> Result<(), String> {
        let body = format!("{{\"n\":{n},\"fill\":\"{}\"}}", "x".repeat(bytes));
        let json = [("content-type", "application/json")];
        let target = format!("/channels/{channel}");
        match self.link.ask(Method::POST, &target, &json, &body).await {
            Ok((StatusCode::OK, _)) => Ok(()),
            other => Err(format!("publishing {n}: {other:?}")),
        }
    }

    /// Publishes these numbers, one after the other, a few milliseconds apart.
    pub(crate) async fn series(
        &mut self,
        channel: &str,
        numbers: std::ops::Range<u64>,
        random: &mut Random,
    ) -> Result<(), String> {
        for n in numbers {
            self.publish(channel, n, random.below(300)).await?;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(())
    }
}
