//! One session on a connection of its own.

use std::error::Error;
use std::io::{self, Read, Write};

use crate::client::Connection;
use crate::server::HOST;

pub(crate) struct Http1<S>(S);

impl<S: Read + Write> Http1<S> {
    pub(crate) fn open(mut stream: S, websocket: bool, channel: &str) -> io::Result<Self> {
        let head = format!("GET /events?channel={channel} HTTP/1.1\r\nhost: {HOST}\r\n");
        let rest = if websocket {
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        } else {
            "accept: text/event-stream\r\n\r\n"
        };
        stream.write_all((head + rest).as_bytes())?;
        Ok(Self(stream))
    }
}

impl<S: Read> Connection for Http1<S> {
    fn read_through(&mut self, needle: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut received = Vec::new();
        let mut piece = [0; 16 << 10];
        loop {
            let looked_at = received.len().saturating_sub(needle.len());
            let count = self.0.read(&mut piece)?;
            if count == 0 {
                let text = String::from_utf8_lossy(&received);
                return Err(format!("the server hung up after: {text}").into());
            }
            received.extend_from_slice(&piece[..count]);
            let mut windows = received[looked_at..].windows(needle.len());
            if windows.any(|window| window == needle) {
                return Ok(());
            }
        }
    }
}
