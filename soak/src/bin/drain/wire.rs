//! The bytes of a session as JSON objects, whatever carries them.

use std::net::SocketAddr;

use eventcast::sse::Parser;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Transport;

/// One connection, after its request was sent.
pub(crate) struct Wire {
    transport: Transport,
    stream: TcpStream,
    unread: Vec<u8>,
    /// Out of its chunks.
    text: Vec<u8>,
    head_done: bool,
}

/// What came.
pub(crate) enum Seen {
    /// A message, a line, a block, or what a poll's answer holds.
    Objects(Vec<Value>),
    /// The connection is over.
    End,
}

impl Wire {
    pub(crate) async fn open(
        address: SocketAddr,
        transport: Transport,
        channel: &str,
        id: Option<&str>,
    ) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let (accept, more) = match transport {
            Transport::Poll => ("application/json", ""),
            Transport::Sse => ("text/event-stream", ""),
            Transport::Stream => ("application/x-ndjson", ""),
            Transport::WebSocket => ("*/*", UPGRADE),
        };
        let id = id.map(|id| format!("&last_event_id={id}"));
        let id = id.unwrap_or_default();
        let request = format!(
            "GET /events?channel={channel}&format=json{id} HTTP/1.1\r\nHost: {address}\r\n\
             Accept: {accept}\r\n{more}\r\n"
        );
        let request = match transport {
            Transport::Poll | Transport::Stream => request.replace("&format=json", ""),
            _ => request,
        };
        stream.write_all(request.as_bytes()).await?;
        Ok(Self {
            transport,
            stream,
            unread: Vec::new(),
            text: Vec::new(),
            head_done: false,
        })
    }

    /// Waits for more.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn next(&mut self) -> Result<Seen, String> {
        loop {
            let objects = self.understand()?;
            if !objects.is_empty() {
                return Ok(Seen::Objects(objects));
            }
            match self.stream.read_buf(&mut self.unread).await {
                Ok(count) if count > 0 => {}
                _ => return Ok(Seen::End),
            }
        }
    }

    fn understand(&mut self) -> Result<Vec<Value>, String> {
        if !self.head_done {
            let Some(end) = find(&self.unread, b"\r\n\r\n") else {
                return Ok(Vec::new());
            };
            let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
            self.unread.drain(..end + 4);
            self.head_done = true;
            if head.split(' ').nth(1) == Some("503") {
                return Ok(vec![json!({ "type": "refused" })]);
            }
        }
        match self.transport {
            Transport::Poll => Ok(self.document()),
            Transport::WebSocket => self.messages(),
            Transport::Sse => {
                self.unchunk()?;
                self.blocks()
            }
            Transport::Stream => {
                self.unchunk()?;
                self.lines()
            }
        }
    }

    fn document(&mut self) -> Vec<Value> {
        // Its end is the end of the JSON.
        let Ok(document) = serde_json::from_slice::<Value>(&self.unread) else {
            return Vec::new();
        };
        self.unread.clear();
        let mut objects = document["events"].as_array().cloned().unwrap_or_default();
        objects.push(json!({ "type": "position", "id": document["position"] }));
        if let Some(end) = document["end"].as_str() {
            objects.push(json!({ "type": end, "retry": document["retry"] }));
        }
        objects
    }

    fn messages(&mut self) -> Result<Vec<Value>, String> {
        let mut objects = Vec::new();
        while let Some(&[first, second]) = self.unread.first_chunk() {
            let (size, start) = match (second, self.unread.get(2..4)) {
                (126, None) => break,
                (126, Some(size)) => (usize::from(size[0]) << 8 | usize::from(size[1]), 4),
                (127.., _) => return Err("a frame that no hub sends here".into()),
                (short, _) => (usize::from(short), 2),
            };
            let Some(payload) = self.unread.get(start..start + size) else {
                break;
            };
            if first == FINAL_TEXT {
                objects.push(parse(payload)?);
            }
            self.unread.drain(..start + size);
        }
        Ok(objects)
    }

    fn unchunk(&mut self) -> Result<(), String> {
        while let Some(end) = find(&self.unread, b"\r\n") {
            let size = std::str::from_utf8(&self.unread[..end]).map_err(|e| e.to_string())?;
            let size = usize::from_str_radix(size, 16).map_err(|e| e.to_string())?;
            let whole = end + 2 + size + 2;
            if self.unread.len() < whole {
                break;
            }
            self.text.extend_from_slice(&self.unread[end + 2..][..size]);
            self.unread.drain(..whole);
        }
        Ok(())
    }

    fn lines(&mut self) -> Result<Vec<Value>, String> {
        let mut objects = Vec::new();
        while let Some(end) = find(&self.text, b"\n") {
            if end > 0 {
                objects.push(parse(&self.text[..end])?);
            }
            self.text.drain(..=end);
        }
        Ok(objects)
    }

    /// Blocks as the objects that other transports have in their place.
    fn blocks(&mut self) -> Result<Vec<Value>, String> {
        let mut objects = Vec::new();
        while let Some(end) = find(&self.text, b"\n\n") {
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            let mut parser = Parser::new();
            let mut parsed = None;
            let pushed = parser.push(&block, |event| parsed = Some(event));
            pushed.map_err(|error| error.to_string())?;
            let Some(event) = parsed else { continue };
            let mut object = parse(event.data.as_bytes())?;
            if let Some(kind) = event.event_type().strip_prefix("eventcast.") {
                object["type"] = kind.into();
                if !event.last_event_id.is_empty() {
                    object["id"] = event.last_event_id.into();
                }
                if let Some(retry) = parser.retry() {
                    object["retry"] = (retry.as_millis() as u64).into();
                }
            }
            objects.push(object);
        }
        Ok(objects)
    }
}

fn parse(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let mut windows = bytes.windows(needle.len());
    windows.position(|window| window == needle)
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const FINAL_TEXT: u8 = 0x81;
