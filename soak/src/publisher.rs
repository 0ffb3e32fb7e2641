//! Publishes over keep-alive connections, in bursts at full speed.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eventcast::Position;
use eventcast_testkit::Ledger;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::reader::{CHANNELS, Random};

/// Publishes until told to stop; what was acknowledged is in the ledger then.
pub(crate) async fn publish(
    address: SocketAddr,
    seed: u64,
    ledger: Arc<Mutex<Ledger>>,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut random = Random::new(seed);
    let mut stream = TcpStream::connect(address).await?;
    let mut unread = Vec::new();
    while !*stop.borrow() {
        for _ in 0..BURST {
            let mut requests = String::new();
            let mut channels = Vec::new();
            for _ in 0..PIPELINED {
                let channel = CHANNELS[random.below(CHANNELS.len())];
                let payload = "x".repeat(random.below(200));
                let length = payload.len();
                requests += &format!(
                    "POST /channels/{channel} HTTP/1.1\r\nHost: {address}\r\n\
                     Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{payload}"
                );
                channels.push(channel);
            }
            stream.write_all(requests.as_bytes()).await?;
            for channel in channels {
                let id = read_id(&mut stream, &mut unread).await?;
                let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
                ledger.published(channel, id);
            }
        }
        tokio::time::sleep(Duration::from_millis(random.below(200) as u64)).await;
    }
    Ok(())
}

/// The sequence in the next answer.
async fn read_id(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<u64> {
    loop {
        let text = String::from_utf8_lossy(unread);
        if let Some((_, rest)) = text.split_once("\"id\":\"")
            && let Some((id, rest)) = rest.split_once("\"}")
        {
            let id: Position = id.parse().map_err(io::Error::other)?;
            let rest = rest.len();
            unread.drain(..unread.len() - rest);
            return Ok(id.sequence());
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => unread.extend_from_slice(&buffer[..count]),
        }
    }
}

const PIPELINED: usize = 8;
const BURST: usize = 25;
