//! The measured process, seen from this one.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::memory::Memory;
use crate::tls::Identity;

/// A running server; it ends with this value.
pub(crate) struct ServerProcess {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    plain: SocketAddr,
    encrypted: SocketAddr,
    identity: Identity,
}

impl ServerProcess {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let identity = Identity::new()?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--serve", &identity.certificate, &identity.key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().expect("it is piped");
        let mut answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut addresses = String::new();
        answers.read_line(&mut addresses)?;
        let (plain, encrypted) = addresses
            .trim()
            .split_once(' ')
            .ok_or("it does not start")?;
        Ok(Self {
            process,
            orders,
            answers,
            plain: plain.parse()?,
            encrypted: encrypted.parse()?,
            identity,
        })
    }

    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        connect(self.plain)
    }

    /// To where it speaks TLS.
    pub(crate) fn connect_encrypted(&self) -> io::Result<TcpStream> {
        connect(self.encrypted)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
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

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What clients call the server.
pub(crate) const HOST: &str = "events.test";
/// A server that sends nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const SETTLING: Duration = Duration::from_millis(500);
