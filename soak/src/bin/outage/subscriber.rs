//! One subscriber, who goes on at the other hub when it is cut, with the last id it has.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use eventcast::Position;
use eventcast_testkit::transport::Seen;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::raw;
use crate::shared::{CHANNELS, Shared};
use crate::wire::{Ask, Half, Protocol, Transport, speak};

/// What came, in its order.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) channel: usize,
    /// Sequences, and the numbers of what was published.
    pub(crate) events: Vec<(u64, u64)>,
    /// What it was told beside events.
    pub(crate) told: Vec<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// By the connection's end.
    Cut,
    Gap,
    Recovered,
    Stalled,
}

/// Reads until told to stop, and until it has what was acknowledged then.
pub(crate) async fn read(shared: Arc<Shared>, number: usize) -> Result<Log, String> {
    let channel = number % CHANNELS;
    let transport = match number / CHANNELS % 2 {
        0 => Transport::Sse,
        _ => Transport::WebSocket,
    };
    let mut log = Log {
        channel,
        ..Log::default()
    };
    let mut id = None;
    let mut hub = number / CHANNELS / 2;
    loop {
        let ended = connection(&shared, number, transport, hub, &mut id, &mut log).await?;
        if let Ended::All = ended {
            return Ok(log);
        }
        log.told.push(Told::Cut);
        hub += 1;
        sleep(PAUSE).await;
    }
}

enum Ended {
    All,
    Cut,
}

async fn connection(
    shared: &Shared,
    number: usize,
    transport: Transport,
    hub: usize,
    id: &mut Option<String>,
    log: &mut Log,
) -> Result<Ended, String> {
    let ask = Ask {
        transport,
        query: format!("channel=c{}&start=earliest", log.channel),
        id: id.clone(),
    };
    let Ok(mut stream) = raw::connect(shared.hub(hub)).await else {
        return Ok(Ended::Cut);
    };
    let mut half = Half::new(|io, seen| speak(io, Protocol::Http1, ask, seen));
    let mut bytes = vec![0; 16 << 10];
    let mut seen = Vec::new();
    loop {
        if stream.write_all(&half.outgoing()).await.is_err() {
            return Ok(Ended::Cut);
        }
        let reached = &shared.reached[number];
        let read = tokio::select! {
            read = stream.read(&mut bytes) => read,
            () = shared.has_all(log.channel, reached) => return Ok(Ended::All),
        };
        let Ok(count @ 1..) = read else {
            return Ok(Ended::Cut);
        };
        // A hub whose log is away refuses, and is asked again.
        if half.receive(&bytes[..count], &mut seen).is_err() {
            return Ok(Ended::Cut);
        }
        for seen in seen.drain(..) {
            if let Some(now) = seen.id() {
                *id = Some(now.to_owned());
            }
            let sequence = seen.id().and_then(|id| id.parse::<Position>().ok());
            let sequence = sequence.map(|id| id.sequence());
            match (seen, sequence) {
                (Seen::Event(event), Some(sequence)) => {
                    let text = String::from_utf8_lossy(&event.payload);
                    let event = text.trim().parse().map_err(|_| format!("payload {text}"))?;
                    log.events.push((sequence, event));
                    reached.store(sequence, Ordering::Release);
                }
                (Seen::Event(event), None) => match event.name.as_deref() {
                    Some("eventcast.stalled") => log.told.push(Told::Stalled),
                    Some("eventcast.recovered") => log.told.push(Told::Recovered),
                    other => return Err(format!("an event {other:?} without an id")),
                },
                (Seen::Gap { .. }, _) => log.told.push(Told::Gap),
                _ => {}
            }
        }
    }
}

const PAUSE: Duration = Duration::from_millis(20);
