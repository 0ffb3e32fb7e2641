//! HTTP/1.1 requests, one a connection.

use std::time::Duration;

use super::Url;
use super::connection::Connection;
use crate::failure::{Failure, Result, While as _};

/// An answer whose body may still be coming.
#[derive(Debug)]
pub(crate) struct Response {
    status: u16,
    head: String,
    connection: Connection,
    framing: Framing,
    seen: String,
}

#[derive(Debug)]
enum Framing {
    Chunked,
    Ended,
    Length(usize),
    UntilClose,
}

/// Asks for `url`; `limit` is for the whole exchange, the body included.
pub(crate) fn get(url: &Url, accept: &str, limit: Duration) -> Result<Response> {
    let head = format!("Accept: {accept}\r\n");
    send(url, "GET", &head, b"", limit)
}

pub(crate) fn post(url: &Url, content_type: &str, body: &str, limit: Duration) -> Result<Response> {
    let head = format!(
        "Content-Type: {content_type}\r\nContent-Length: {}\r\n",
        body.len()
    );
    send(url, "POST", &head, body.as_bytes(), limit)
}

fn send(url: &Url, method: &str, headers: &str, body: &[u8], limit: Duration) -> Result<Response> {
    let Url {
        authority, target, ..
    } = url;
    let cookie = url.cookie_header();
    let asking = format!("{method} {target}");
    let mut connection = Connection::open(authority, limit)?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {authority}\r\n{headers}{cookie}Connection: close\r\n\r\n"
    );
    connection
        .write(&[head.as_bytes(), body].concat())
        .during(&asking)?;
    let head = connection.read_head().during(&asking)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| Failure::new(format!("{asking}: not an HTTP answer: {head}")))?;
    let framing = framing(&head)?;
    Ok(Response {
        status,
        head,
        connection,
        framing,
        seen: String::new(),
    })
}

impl Response {
    /// Fails with the answer's own words unless its status is a 2xx.
    pub(crate) fn success(mut self) -> Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let body = self.text().unwrap_or_default();
        Err(Failure::new(format!(
            "status {}: {}",
            self.status,
            body.trim()
        )))
    }

    /// A header's value; `name` in lower case.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The whole body.
    pub(crate) fn text(&mut self) -> Result<String> {
        while self.more()? {}
        Ok(self.seen.clone())
    }

    /// Reads until the body so far has `needle`, and returns the body so far.
    pub(crate) fn wait_for(&mut self, needle: &str) -> Result<&str> {
        while !self.seen.contains(needle) {
            let more = self.more().during(format_args!(
                "waiting for {needle:?} in a stream that so far says {:?}",
                self.seen
            ))?;
            if !more {
                return Err(Failure::new(format!(
                    "the stream ended without {needle:?}: {:?}",
                    self.seen
                )));
            }
        }
        Ok(&self.seen)
    }

    /// The body so far; it starts anew after this.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.seen)
    }

    fn more(&mut self) -> Result<bool> {
        let bytes = match self.framing {
            Framing::Ended => return Ok(false),
            Framing::Chunked => {
                let line = self.connection.read_line()?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).during("a chunk's size")?;
                let bytes = self.connection.read_exactly(size)?;
                self.connection.read_line()?;
                if size == 0 {
                    self.framing = Framing::Ended;
                }
                bytes
            }
            Framing::Length(length) => {
                self.framing = Framing::Ended;
                self.connection.read_exactly(length)?
            }
            Framing::UntilClose => match self.connection.read_some()? {
                Some(bytes) => bytes,
                None => {
                    self.framing = Framing::Ended;
                    return Ok(false);
                }
            },
        };
        self.seen.push_str(&String::from_utf8_lossy(&bytes));
        Ok(true)
    }
}

pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn framing(head: &str) -> Result<Framing> {
    if header(head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        return Ok(Framing::Chunked);
    }
    match header(head, "content-length") {
        Some(length) => Ok(Framing::Length(length.parse().during("content-length")?)),
        None => Ok(Framing::UntilClose),
    }
}
