//! Requests as bytes, and what came of them in a word.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What a request came to.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The status, or `cut`.
    pub(crate) outcome: String,
    /// Of an answer with a length.
    pub(crate) body: String,
}

pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends bytes and reads an answer.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]> + Send) -> Answer {
    let Ok(mut stream) = connect(address).await else {
        return cut();
    };
    // It may be refused before it is sent.
    let _ = stream.write_all(request.as_ref()).await;
    answer(&mut stream).await
}

/// Reads an answer; of one without a length only the head.
pub(crate) async fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => return cut(),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < end + 4 + length {
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => break,
        }
    }
    let status = head.get(9..12).unwrap_or("???");
    let is_later = matches!(status, "429" | "503");
    let outcome = match is_later && !head.contains("\r\nretry-after: ") {
        true => format!("{status} without Retry-After"),
        false => status.to_owned(),
    };
    let body = bytes.get(end + 4..).unwrap_or_default();
    Answer {
        outcome,
        body: String::from_utf8_lossy(body).into_owned(),
    }
}

/// Reads to the end of a connection, as far as it tells one.
pub(crate) async fn drain(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(1..) = stream.read(&mut bytes).await {}
}

/// Whether the server is rid of a connection: it closes, or resets.
pub(crate) async fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    timeout(within, drain(stream)).await.is_ok()
}

pub(crate) fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: attacked.test\r\n{headers}\r\n")
}

pub(crate) fn post(target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: attacked.test\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let mut windows = bytes.windows(needle.len());
    windows.position(|window| window == needle)
}

fn cut() -> Answer {
    Answer {
        outcome: "cut".to_owned(),
        ..Answer::default()
    }
}

/// A number that looks random: the same for the same seed.
pub(crate) fn scramble(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

pub(crate) const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: eventcast.v1+json\r\n";
