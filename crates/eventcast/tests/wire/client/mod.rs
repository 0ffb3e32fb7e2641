//! A client that understands the wire by itself, over any stream: bytes in, events seen.
#![allow(dead_code, unused_imports, reason = "nobody uses all of it")]

mod decoder;
mod half;
mod http1;
mod http2;
mod object;
mod websocket;

use std::time::Duration;

use eventcast::Position;
use eventcast_testkit::Observer;
use eventcast_testkit::transport::Seen;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) use decoder::Decoder;
pub(crate) use half::{Half, Sink};
pub(crate) use http2::request;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Poll,
    Sse,
    Stream,
    WebSocket,
}

pub(crate) const TRANSPORTS: [Transport; 4] = [
    Transport::Poll,
    Transport::Sse,
    Transport::Stream,
    Transport::WebSocket,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) transport: Transport,
    /// What of the query says which events; where an id is told, it replaces the start.
    pub(crate) query: String,
    pub(crate) id: Option<String>,
}

impl Ask {
    pub(crate) fn target(&self) -> String {
        let query = &self.query;
        // A header could not be sent by a browser's WebSocket.
        match (self.transport, &self.id) {
            (Transport::WebSocket, Some(id)) => {
                let id = id.replace(' ', "%20");
                format!("/events?{query}&last_event_id={id}")
            }
            (Transport::WebSocket, None) => format!("/events?{query}"),
            (Transport::Sse, _) => format!("/events?{query}&format=json"),
            (Transport::Stream, _) => format!("/events?{query}&transport=stream"),
            (Transport::Poll, _) => format!("/events?{query}&transport=poll"),
        }
    }

    pub(crate) fn id_header(&self) -> Option<&str> {
        let id = self.id.as_deref();
        id.filter(|_| self.transport != Transport::WebSocket)
    }
}

/// Speaks over a stream until the client has all it wants.
pub(crate) async fn speak<S>(io: S, protocol: Protocol, ask: Ask, seen: Sink) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    match protocol {
        Protocol::Http1 => http1::speak(io, ask, seen).await,
        Protocol::Http2 => http2::speak(io, ask, seen).await,
    }
}

/// Reads a body that comes without its protocol.
pub(crate) async fn read_body<S>(mut io: S, transport: Transport, seen: Sink) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut decoder = Decoder::new(transport);
    let mut bytes = [0; 4096];
    loop {
        let count = io.read(&mut bytes).await;
        let count = count.map_err(|error| error.to_string())?;
        seen.with(|seen| decoder.decode(&bytes[..count], seen))?;
        let sent = io.write_all(&decoder.reply()).await;
        sent.map_err(|error| error.to_string())?;
    }
}

/// One client over any number of connections, each of which resumes with the last id it saw.
pub(crate) struct Client<S> {
    query: String,
    /// How long nothing comes before all has come.
    quiet: Duration,
    connection: Option<(S, Half)>,
    transport: Transport,
    /// Whether anything has come over this connection.
    pub(crate) heard: bool,
    last_id: Option<String>,
    pub(crate) observer: Observer,
    /// A channel that the observer is told nothing of, and what came on it.
    pub(crate) aside: Option<(&'static str, Vec<Seen>)>,
    /// Events by transport, in the order of [`TRANSPORTS`].
    pub(crate) deliveries: [u64; 4],
    /// Gaps, but for those of a resume from another run.
    pub(crate) gaps: usize,
    /// Channels whose loss a resume from another run has told.
    pub(crate) broken: Vec<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(channels: &[&str], quiet: Duration) -> Self {
        Self {
            query: query(channels),
            quiet,
            connection: None,
            transport: Transport::Sse,
            heard: false,
            last_id: None,
            aside: None,
            deliveries: [0; 4],
            observer: Observer::new(channels.iter().copied(), 0),
            gaps: 0,
            broken: Vec::new(),
        }
    }

    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// What the next connection asks for.
    pub(crate) fn ask(&mut self, transport: Transport) -> Ask {
        self.transport = transport;
        Ask {
            transport,
            query: self.query.clone(),
            id: self.last_id.clone(),
        }
    }

    /// Drops the connection, if there is one, and goes on over another.
    pub(crate) async fn attach(&mut self, mut stream: S, mut half: Half) {
        // A server that is gone is noticed at the next read.
        let _ = stream.write_all(&half.outgoing()).await;
        self.heard = false;
        self.connection = Some((stream, half));
    }

    /// Asks with this query from now on.
    pub(crate) fn change_query(&mut self, query: String) {
        self.query = query;
    }

    pub(crate) fn detach(&mut self) {
        self.connection = None;
    }

    /// Reads until nothing more comes.
    pub(crate) async fn read_all(&mut self) -> Result<(), String> {
        self.read_up_to(usize::MAX).await
    }

    /// Reads so many bytes, or all there are.
    pub(crate) async fn read_up_to(&mut self, mut limit: usize) -> Result<(), String> {
        let mut buffer = vec![0; 4096];
        let mut seen = Vec::new();
        while limit > 0 {
            let Some((stream, half)) = &mut self.connection else {
                return Ok(());
            };
            let room = limit.min(buffer.len());
            let read = tokio::time::timeout(self.quiet, stream.read(&mut buffer[..room]));
            let Ok(Ok(count @ 1..)) = read.await else {
                return Ok(());
            };
            limit -= count;
            self.heard = true;
            half.receive(&buffer[..count], &mut seen)?;
            let reply = half.outgoing();
            let _ = stream.write_all(&reply).await;
            for seen in seen.drain(..) {
                self.see(seen);
            }
        }
        Ok(())
    }

    fn see(&mut self, seen: Seen) {
        if let Some(id) = seen.id() {
            self.last_id = Some(id.to_owned());
        }
        let id = seen.id().map(sequence);
        if matches!(seen, Seen::Event(_)) {
            self.deliveries[self.transport as usize] += 1;
        }
        if let Some((channel, aside)) = &mut self.aside
            && is_of(&seen, channel)
        {
            aside.push(seen);
            return self.id(id);
        }
        match seen {
            Seen::Event(event) => {
                let channel = event.channel.expect("a channel");
                self.observer.event(&channel, id.expect("an id"));
            }
            Seen::Gap {
                channel,
                reason,
                missed,
                ..
            } => {
                let channel = channel.expect("a channel");
                if reason != "epoch" {
                    self.gaps += 1;
                    return self.observer.gap(&channel, missed, id);
                }
                self.broken.push(channel);
                self.id(id);
            }
            _ => self.id(id),
        }
    }

    fn id(&mut self, id: Option<u64>) {
        if let Some(id) = id {
            self.observer.id(id);
        }
    }
}

/// Whether it is content of a channel; what another run tells is everybody's.
fn is_of(seen: &Seen, channel: &str) -> bool {
    match seen {
        Seen::Event(event) => event.channel.as_deref() == Some(channel),
        Seen::Gap {
            channel: of,
            reason,
            ..
        } => of.as_deref() == Some(channel) && reason != "epoch",
        _ => false,
    }
}

/// Channels or patterns, from the earliest events that are retained.
pub(crate) fn query(channels: &[&str]) -> String {
    let channels = channels.iter().map(|name| format!("channel={name}&"));
    channels.collect::<String>() + "start=earliest"
}

fn sequence(id: &str) -> u64 {
    let id: Position = id.parse().expect("our own id");
    id.sequence()
}
