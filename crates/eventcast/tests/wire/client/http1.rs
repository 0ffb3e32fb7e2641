//! HTTP/1.1, by its bytes.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Ask, Decoder, Sink, Transport};

pub(super) async fn speak<S>(mut io: S, mut ask: Ask, seen: Sink) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut unread = Vec::new();
    let mut decoder = Decoder::new(ask.transport);
    loop {
        send(&mut io, request(&ask).as_bytes()).await?;
        let head = loop {
            if let Some(end) = find(&unread, b"\r\n\r\n") {
                let head: Vec<u8> = unread.drain(..end + 4).collect();
                break String::from_utf8_lossy(&head).to_ascii_lowercase();
            }
            receive(&mut io, &mut unread).await?;
        };
        let mut framing = Framing::of(&head)?;
        loop {
            while let Some(bytes) = framing.take(&mut unread)? {
                seen.with(|seen| decoder.decode(&bytes, seen))?;
            }
            send(&mut io, &decoder.reply()).await?;
            if framing.is_done() {
                break;
            }
            receive(&mut io, &mut unread).await?;
        }
        seen.with(|seen| decoder.ended(seen))?;
        match decoder.again() {
            Some(id) => ask.id = id.or(ask.id),
            None if ask.transport == Transport::Poll => return Ok(()),
            // The server said that it closes, so it does.
            None => loop {
                receive(&mut io, &mut unread).await?;
            },
        }
    }
}

fn request(ask: &Ask) -> String {
    let id = ask.id_header().map(|id| format!("Last-Event-ID: {id}\r\n"));
    let id = id.unwrap_or_default();
    let upgrade = match ask.transport {
        Transport::WebSocket => UPGRADE,
        _ => "",
    };
    let target = ask.target();
    format!("GET {target} HTTP/1.1\r\nHost: events.test\r\n{upgrade}{id}\r\n")
}

enum Framing {
    /// What is still to come of a chunk, once its length is known.
    Chunked(Option<usize>),
    Ended,
    Length(usize),
    /// What comes after an upgrade.
    Raw,
}

impl Framing {
    fn of(head: &str) -> Result<Self, String> {
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "));
        match (head.get(9..12), length) {
            (Some("101"), _) => Ok(Self::Raw),
            (Some("200"), Some(length)) => Ok(Self::Length(length.parse().expect("a length"))),
            (Some("200"), None) if head.contains("transfer-encoding: chunked") => {
                Ok(Self::Chunked(None))
            }
            _ => Err(format!("answered with {head}")),
        }
    }

    fn is_done(&self) -> bool {
        matches!(self, Self::Ended | Self::Length(0))
    }

    /// Takes what has come of the body.
    fn take(&mut self, from: &mut Vec<u8>) -> Result<Option<Vec<u8>>, String> {
        let left = match self {
            Self::Ended => return Ok(None),
            Self::Raw => &mut from.len(),
            Self::Length(left) => left,
            Self::Chunked(left) => {
                if let Some(0) = left {
                    if from.len() < 2 {
                        return Ok(None);
                    }
                    from.drain(..2);
                    *left = None;
                }
                if left.is_none() {
                    let Some(end) = find(from, b"\r\n") else {
                        return Ok(None);
                    };
                    let size = String::from_utf8_lossy(&from[..end]).into_owned();
                    let size = usize::from_str_radix(&size, 16);
                    let size = size.map_err(|error| format!("a chunk's size: {error}"))?;
                    if size == 0 {
                        // The body's end has an empty line after it.
                        if from.len() >= end + 4 {
                            from.drain(..end + 4);
                            *self = Self::Ended;
                        }
                        return Ok(None);
                    }
                    from.drain(..end + 2);
                    *left = Some(size);
                }
                left.as_mut().expect("it was set")
            }
        };
        let count = from.len().min(*left);
        *left -= count;
        Ok((count > 0).then(|| from.drain(..count).collect()))
    }
}

async fn send<S: AsyncWrite + Unpin>(io: &mut S, bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Ok(());
    }
    let sent = async {
        io.write_all(bytes).await?;
        io.flush().await
    };
    sent.await.map_err(|error| error.to_string())
}

async fn receive<S: AsyncRead + Unpin>(io: &mut S, into: &mut Vec<u8>) -> Result<(), String> {
    match io.read_buf(into).await {
        Ok(1..) => Ok(()),
        // TLS tells the end before the stream has one.
        Ok(0) => std::future::pending().await,
        Err(error) => Err(error.to_string()),
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
