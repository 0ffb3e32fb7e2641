//! Publishes at full speed, each event under a key of its own, again and again until it is
//! acknowledged: by this hub or by another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use eventcast::Position;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::raw;
use crate::shared::{CHANNELS, Shared};

/// Publishes until told to stop; what it began by then is acknowledged.
pub(crate) async fn publish(shared: Arc<Shared>, number: usize) -> Result<(), String> {
    let mut hub = number;
    let mut stream = None;
    while !shared.is_stopped() {
        let event = shared.next.fetch_add(1, Ordering::Relaxed);
        let channel = event as usize % CHANNELS;
        let payload = format!("{event:<100}");
        let began = Instant::now();
        loop {
            let connected = match stream.take() {
                Some(stream) => Some(stream),
                None => connect(&shared, hub).await,
            };
            if let Some(mut connected) = connected {
                match attempt(&mut connected, event, channel, &payload).await? {
                    Attempt::Acknowledged(sequence) => {
                        shared.acknowledge(channel, event, sequence)?;
                        stream = Some(connected);
                        break;
                    }
                    Attempt::Refused => stream = Some(connected),
                    Attempt::Cut => {}
                }
            }
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "event {event} is not acknowledged for {PATIENCE:?}"
                ));
            }
            shared.retries.fetch_add(1, Ordering::Relaxed);
            hub += 1;
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

enum Attempt {
    Acknowledged(u64),
    /// Not stored, or nobody knows.
    Refused,
    /// Nobody knows, and the connection is gone.
    Cut,
}

async fn connect(shared: &Shared, hub: usize) -> Option<TcpStream> {
    let connected = raw::connect(shared.hub(hub)).await;
    connected.ok()
}

async fn attempt(
    stream: &mut TcpStream,
    event: u64,
    channel: usize,
    payload: &str,
) -> Result<Attempt, String> {
    let length = payload.len();
    let request = format!(
        "POST /channels/c{channel} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\
         Idempotency-Key: e{event}\r\nContent-Length: {length}\r\n\r\n{payload}"
    );
    if stream.write_all(request.as_bytes()).await.is_err() {
        return Ok(Attempt::Cut);
    }
    let Ok(answer) = timeout(ANSWER, raw::answer(stream)).await else {
        return Ok(Attempt::Cut);
    };
    match answer.outcome.as_str() {
        "200" => {
            let id = answer.body.split('"').nth(7);
            let id = id.and_then(|id| id.parse::<Position>().ok());
            let id = id.ok_or_else(|| format!("no id in {answer:?}"))?;
            Ok(Attempt::Acknowledged(id.sequence()))
        }
        "cut" => Ok(Attempt::Cut),
        "503" | "504" | "507" => Ok(Attempt::Refused),
        _ => Err(format!("a publish is answered with {answer:?}")),
    }
}

/// Longer than a hub waits for its log.
const ANSWER: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(20);
/// Shorter than an idempotency key is known.
const PATIENCE: Duration = Duration::from_secs(90);
