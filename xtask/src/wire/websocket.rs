//! A WebSocket client.

use std::time::Duration;

use super::Url;
use super::connection::Connection;
use super::http::header;
use crate::failure::{Failure, Result, While as _};

/// The key of RFC 6455, section 1.3, and the answer that belongs to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;

#[derive(Debug)]
pub(crate) struct WebSocket {
    connection: Connection,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Text(String),
    Binary(Vec<u8>),
}

impl WebSocket {
    /// Shakes hands; `limit` is for all that is read afterwards too.
    pub(crate) fn open(url: &Url, protocol: Option<&str>, limit: Duration) -> Result<Self> {
        let Url {
            authority, target, ..
        } = url;
        let cookie = url.cookie_header();
        let offer = protocol.map_or_else(String::new, |protocol| {
            format!("Sec-WebSocket-Protocol: {protocol}\r\n")
        });
        let mut connection = Connection::open(authority, limit)?;
        connection.write(
            format!(
                "GET {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\
                 {cookie}{offer}\r\n"
            )
            .as_bytes(),
        )?;
        let head = connection
            .read_head()
            .during(format_args!("upgrading {target}"))?;
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(Failure::new(format!("{target} was not upgraded: {head}")));
        }
        for (name, wanted) in [
            ("sec-websocket-accept", Some(ACCEPT)),
            ("sec-websocket-protocol", protocol),
        ] {
            let given = header(&head, name);
            if given != wanted {
                return Err(Failure::new(format!(
                    "{target}: {name} is {given:?}, not {wanted:?}"
                )));
            }
        }
        Ok(Self { connection })
    }

    /// Sends a message of at most 125 bytes.
    pub(crate) fn send(&mut self, message: &Message) -> Result {
        let (opcode, payload) = match message {
            Message::Text(text) => (TEXT, text.as_bytes()),
            Message::Binary(bytes) => (BINARY, &bytes[..]),
        };
        let length = u8::try_from(payload.len()).ok().filter(|len| *len <= 125);
        let length = length.ok_or_else(|| Failure::new("a message that is too long to send"))?;
        let mask = [0x1f, 0x2e, 0x3d, 0x4c];
        let mut frame = vec![0x80 | opcode, 0x80 | length];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        self.connection.write(&frame)
    }

    /// The next text message; others are passed over.
    pub(crate) fn text(&mut self) -> Result<String> {
        loop {
            if let Message::Text(text) = self.message()? {
                return Ok(text);
            }
        }
    }

    /// The next message. One in several frames comes in as many parts.
    pub(crate) fn message(&mut self) -> Result<Message> {
        loop {
            let start = self.connection.read_exactly(2)?;
            if start[1] & 0x80 != 0 {
                return Err(Failure::new("the server masked a frame"));
            }
            let length = match start[1] & 0x7f {
                126 => self.number(2)?,
                127 => self.number(8)?,
                short => usize::from(short),
            };
            let payload = self.connection.read_exactly(length)?;
            match start[0] & 0x0f {
                TEXT => {
                    let text = String::from_utf8(payload).during("a text message")?;
                    return Ok(Message::Text(text));
                }
                BINARY => return Ok(Message::Binary(payload)),
                CLOSE => return Err(Failure::new("the server closed the WebSocket")),
                _ => {}
            }
        }
    }

    fn number(&mut self, bytes: usize) -> Result<usize> {
        let bytes = self.connection.read_exactly(bytes)?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
}
