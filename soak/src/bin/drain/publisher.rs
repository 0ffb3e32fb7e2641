//! One publisher of a hub, until it is told to stop or the hub is gone.

use std::net::SocketAddr;
use std::time::Duration;

use eventcast::Position;
use eventcast_testkit::Ledger;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

pub(crate) const CHANNELS: [&str; 4] = ["a", "b", "c", "d"];

/// Returns what was acknowledged.
pub(crate) async fn publish(address: SocketAddr, stop: watch::Receiver<bool>) -> Ledger {
    let mut ledger = Ledger::new();
    for channel in CHANNELS.iter().cycle() {
        if *stop.borrow() {
            break;
        }
        // Over a connection of its own, as through a balancer.
        match publish_one(address, channel).await {
            Some(sequence) => ledger.published(channel, sequence),
            None => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    ledger
}

async fn publish_one(address: SocketAddr, channel: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!(
        "POST /channels/{channel} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: 5\r\n\r\nhello"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (_, rest) = answer.split_once("\"id\":\"")?;
    let id: Position = rest.split('"').next()?.parse().ok()?;
    Some(id.sequence())
}

const PAUSE: Duration = Duration::from_millis(100);
