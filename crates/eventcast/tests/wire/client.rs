//! A client that understands the wire by itself, over any stream: bytes in, events seen.

use std::time::Duration;

use eventcast::Position;
use eventcast::sse::Parser;
use eventcast_testkit::Observer;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Sse,
    WebSocket,
}

/// One client over any number of connections, each of which resumes with the last id it saw.
pub(crate) struct Client<S> {
    channels: Vec<&'static str>,
    /// How long nothing comes before all has come.
    quiet: Duration,
    connection: Option<Connection<S>>,
    last_id: Option<String>,
    pub(crate) observer: Observer,
    /// Gaps, but for those of a resume from another run.
    pub(crate) gaps: usize,
    /// Channels whose loss a resume from another run has told.
    pub(crate) broken: Vec<String>,
}

struct Connection<S> {
    stream: S,
    /// Bytes that came and are not understood yet.
    unread: Vec<u8>,
    head_done: bool,
    decoder: Decoder,
}

enum Decoder {
    Sse {
        parser: Box<Parser>,
        /// What is still to come of a chunk.
        left: usize,
    },
    WebSocket,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(channels: &[&'static str], quiet: Duration) -> Self {
        Self {
            channels: channels.to_vec(),
            quiet,
            connection: None,
            last_id: None,
            observer: Observer::new(channels.iter().copied(), 0),
            gaps: 0,
            broken: Vec::new(),
        }
    }

    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Drops the connection, if there is one, and resumes over another.
    pub(crate) async fn attach(&mut self, mut stream: S, transport: Transport) {
        let channels: Vec<_> = self
            .channels
            .iter()
            .map(|name| format!("channel={name}"))
            .collect();
        let mut query = format!("{}&start=earliest&format=json", channels.join("&"));
        let (headers, decoder) = match transport {
            Transport::Sse => (
                "",
                Decoder::Sse {
                    parser: Box::default(),
                    left: 0,
                },
            ),
            Transport::WebSocket => (UPGRADE, Decoder::WebSocket),
        };
        let id = self.last_id.clone().unwrap_or_default();
        let mut id_header = String::new();
        match transport {
            Transport::Sse if !id.is_empty() => id_header = format!("Last-Event-ID: {id}\r\n"),
            _ => query = format!("{query}&last_event_id={id}"),
        }
        let request =
            format!("GET /events?{query} HTTP/1.1\r\nHost: test\r\n{headers}{id_header}\r\n");
        // A server that is gone is noticed at the next read.
        let _ = stream.write_all(request.as_bytes()).await;
        self.connection = Some(Connection {
            stream,
            unread: Vec::new(),
            head_done: false,
            decoder,
        });
    }

    pub(crate) fn detach(&mut self) {
        self.connection = None;
    }

    /// Reads until nothing more comes.
    pub(crate) async fn read_all(&mut self) {
        self.read_up_to(usize::MAX).await;
    }

    /// Reads so many bytes, or all there are.
    pub(crate) async fn read_up_to(&mut self, mut limit: usize) {
        let mut buffer = vec![0; 4096];
        while limit > 0 {
            let Some(connection) = &mut self.connection else {
                return;
            };
            let room = limit.min(buffer.len());
            let read = connection.stream.read(&mut buffer[..room]);
            match tokio::time::timeout(self.quiet, read).await {
                Ok(Ok(count)) if count > 0 => {
                    limit -= count;
                    connection.unread.extend_from_slice(&buffer[..count]);
                    self.understand();
                }
                _ => return,
            }
        }
    }

    fn understand(&mut self) {
        let mut connection = self.connection.take().expect("a connection");
        if !connection.head_done {
            let Some(end) = find(&connection.unread, b"\r\n\r\n") else {
                self.connection = Some(connection);
                return;
            };
            connection.unread.drain(..end + 4);
            connection.head_done = true;
        }
        match &mut connection.decoder {
            Decoder::Sse { parser, left } => {
                while let Some(chunk) = take_chunked(&mut connection.unread, left) {
                    parser
                        .push(&chunk, |event| self.block(&event))
                        .expect("small events");
                }
            }
            Decoder::WebSocket => {
                while let Some((opcode, payload)) = take_frame(&mut connection.unread) {
                    if opcode == TEXT {
                        self.message(&payload);
                    }
                }
            }
        }
        self.connection = Some(connection);
    }

    /// A block of an event stream. What a browser would keep as its last id, so does this.
    fn block(&mut self, event: &eventcast::sse::ParsedEvent) {
        let before = self.last_id.clone();
        if !event.last_event_id.is_empty() {
            self.last_id = Some(event.last_event_id.clone());
        }
        let id = (self.last_id != before).then(|| sequence(&self.last_id));
        let data: Value = serde_json::from_str(&event.data).expect("the envelope is JSON");
        match event.event_type() {
            "eventcast.open" | "eventcast.position" => self.id(id),
            "eventcast.gap" => self.gap(&data, id),
            "eventcast.draining" => {}
            _ => self.event(&data),
        }
    }

    fn message(&mut self, text: &[u8]) {
        let message: Value = serde_json::from_slice(text).expect("messages are JSON");
        if let Some(id) = message["id"].as_str() {
            self.last_id = Some(id.to_owned());
        }
        let id = message["id"].as_str().map(|_| sequence(&self.last_id));
        match message["type"].as_str() {
            Some("open" | "position") => self.id(id),
            Some("gap") => self.gap(&message, id),
            Some("draining") => {}
            None => self.event(&message),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn id(&mut self, id: Option<u64>) {
        if let Some(id) = id {
            self.observer.id(id);
        }
    }

    fn gap(&mut self, gap: &Value, id: Option<u64>) {
        let channel = gap["channel"].as_str().expect("a channel");
        if gap["reason"] == "epoch" {
            self.broken.push(channel.to_owned());
            return self.id(id);
        }
        self.gaps += 1;
        self.observer.gap(channel, gap["missed"].as_u64(), id);
    }

    fn event(&mut self, event: &Value) {
        let id = event["id"].as_str().map(str::to_owned);
        let channel = event["channel"].as_str().expect("a channel");
        assert_eq!(id, self.last_id, "an event's id is the position after it");
        self.observer.event(channel, sequence(&id));
    }
}

fn sequence(id: &Option<String>) -> u64 {
    let id: Position = id.as_ref().expect("an id").parse().expect("our own id");
    id.sequence()
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

/// What has come of a chunked body, without the chunks' own lines.
fn take_chunked(bytes: &mut Vec<u8>, left: &mut usize) -> Option<Vec<u8>> {
    if *left == 0 {
        let start = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
        let line = find(&bytes[start..], b"\r\n")?;
        let size = std::str::from_utf8(&bytes[start..start + line]).expect("a size");
        *left = usize::from_str_radix(size, 16).expect("a size");
        bytes.drain(..start + line + 2);
    }
    let come = bytes.len().min(*left);
    *left -= come;
    (come > 0).then(|| bytes.drain(..come).collect())
}

/// A whole unmasked frame: its opcode and payload.
fn take_frame(bytes: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (size, start) = match *bytes.get(1)? {
        126 => {
            let size = bytes.get(2..4)?.try_into().ok()?;
            (usize::from(u16::from_be_bytes(size)), 4)
        }
        127 => panic!("no test sends so much"),
        short => (usize::from(short), 2),
    };
    assert_eq!(bytes[0] & 0xf0, 0x80, "a whole message");
    let opcode = bytes[0] & 0x0f;
    let payload = bytes.get(start..start + size)?.to_vec();
    bytes.drain(..start + size);
    Some((opcode, payload))
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const TEXT: u8 = 1;
