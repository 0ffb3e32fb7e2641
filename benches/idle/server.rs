//! The measured process, seen from this one.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::memory::Memory;

/// A running server; it ends with this value.
pub(crate) struct ServerProcess {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl ServerProcess {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().expect("it is piped");
        let mut answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut address = String::new();
        answers.read_line(&mut address)?;
        Ok(Self {
            process,
            orders,
            answers,
            address: address.trim().parse()?,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Publishes a burst to a channel.
    pub(crate) fn publish(&mut self, channel: &str) -> Result<(), Box<dyn Error>> {
        self.order(&format!("publish {channel}")).map(drop)
    }

    /// Waits until so many sessions are open.
    pub(crate) fn wait_for_sessions(&mut self, count: usize) -> Result<(), Box<dyn Error>> {
        for _ in 0..600 {
            if self.order("count")? == count.to_string() {
                return Ok(());
            }
            sleep(SETTLING);
        }
        Err(format!("the server does not come to {count} sessions").into())
    }

    /// The memory held once nothing is happening any more.
    pub(crate) fn memory(&self) -> Result<Memory, Box<dyn Error>> {
        sleep(SETTLING);
        Ok(Memory::of(self.process.id())?)
    }

    fn order(&mut self, order: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.orders, "{order}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim().to_owned())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself, which its answers told.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const SETTLING: Duration = Duration::from_millis(500);
