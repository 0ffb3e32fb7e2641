//! A TCP connection on which every read has the same deadline.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result, While as _};

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    deadline: Instant,
}

impl Connection {
    pub(super) fn open(authority: &str, limit: Duration) -> Result<Self> {
        let stream = TcpStream::connect(authority).during(authority)?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            deadline: Instant::now() + limit,
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Status line and headers, without the empty line after them.
    pub(super) fn read_head(&mut self) -> Result<String> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            self.must_fill("the head of an answer")?;
        };
        let head = self.take(end);
        self.buffer.drain(..4);
        String::from_utf8(head).during("the head of an answer")
    }

    /// A line without its CR LF.
    pub(super) fn read_line(&mut self) -> Result<String> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                break at;
            }
            self.must_fill("a line")?;
        };
        let line = self.take(end);
        self.buffer.drain(..2);
        String::from_utf8(line).during("a line")
    }

    pub(super) fn read_exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.must_fill("more bytes")?;
        }
        Ok(self.take(length))
    }

    /// What has come, waiting only if nothing has; `None` at the end.
    pub(super) fn read_some(&mut self) -> Result<Option<Vec<u8>>> {
        if self.buffer.is_empty() && !self.fill()? {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.buffer)))
    }

    fn must_fill(&mut self, what: &str) -> Result {
        if self.fill()? {
            return Ok(());
        }
        Err(Failure::new(format!("the connection ended before {what}")))
    }

    /// Reads once; false at the end.
    fn fill(&mut self) -> Result<bool> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::new("no answer within the time limit"));
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    self.buffer.extend_from_slice(&chunk[..length]);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Err(Failure::new("no answer within the time limit"));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
