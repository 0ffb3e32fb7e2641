//! One connection between a harness's server and the kit as its client.

use std::time::Duration;

use eventcast_core::End;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::harness::{Decoder, Harness, ServerEnd};
use super::seen::Seen;
use super::sessions::{Seat, Sessions};
use super::wire::{ClientEnd, Cut, Traffic, pipe};
use crate::faulty::{Faults, FaultyIo};
use crate::verdict::ensure;

/// Room for what the client has not read: more than any case but those about room sends.
pub(super) const ROOM: usize = 4 << 20;

pub(super) struct Link {
    client: ClientEnd,
    decoder: Box<dyn Decoder>,
    sessions: Sessions,
    server: Option<JoinHandle<()>>,
}

impl Link {
    pub(super) fn open(harness: &dyn Harness, seat: Seat) -> Self {
        Self::open_with(harness, seat, ROOM, Faults::new())
    }

    pub(super) fn open_with(
        harness: &dyn Harness,
        seat: Seat,
        room: usize,
        faults: Faults,
    ) -> Self {
        let (client, server) = pipe(room);
        let io = ServerEnd(FaultyIo::new(server, faults));
        let mut decoder = harness.decoder_for(&seat.sessions);
        client.send(&decoder.reply());
        Self {
            client,
            decoder,
            sessions: seat.sessions.clone(),
            server: Some(tokio::spawn(harness.serve_requests(
                seat.session,
                seat.sessions,
                io,
            ))),
        }
    }

    /// Reads until nothing more comes.
    pub(super) async fn read(&mut self) -> Result<Vec<Seen>, String> {
        self.read_bytes(usize::MAX).await.map(|(seen, _)| seen)
    }

    /// Reads at most so many bytes; tells how many there were.
    pub(super) async fn read_bytes(&mut self, limit: usize) -> Result<(Vec<Seen>, usize), String> {
        let mut seen = Vec::new();
        let mut read = 0;
        for _ in 0..MOST_READS {
            self.wait().await;
            let bytes = self.client.take(limit - read);
            if bytes.is_empty() {
                return Ok((seen, read));
            }
            read += bytes.len();
            self.decoder
                .decode(&bytes, &mut seen)
                .map_err(|error| format!("what came cannot be decoded: {error}"))?;
            let reply = self.decoder.reply();
            if !reply.is_empty() {
                self.client.send(&reply);
            }
            if self.decoder.closes() {
                self.client.cut(Cut::Closed);
            }
        }
        Err("the server never falls silent".to_owned())
    }

    /// Lets the server do all it can do now, without reading: simulated time moves on only when
    /// nothing else can.
    pub(super) async fn wait(&mut self) {
        sleep(Duration::from_millis(1)).await;
    }

    pub(super) fn cut(&self, how: Cut) {
        self.client.cut(how);
    }

    /// Ends the session that is being served.
    pub(super) fn end(&self, end: End) {
        self.sessions.end(end);
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.client.traffic()
    }

    /// Drops the connection on the server's side.
    pub(super) async fn drop_server(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
        self.wait().await;
    }

    /// Waits for the server to have ended and closed.
    pub(super) async fn ended(&mut self, within: Duration) -> Result<(), String> {
        if let Some(mut server) = self.server.take() {
            match timeout(within, &mut server).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.is_cancelled() => {}
                Ok(Err(error)) => return Err(format!("the server fails: {error}")),
                Err(_) => {
                    server.abort();
                    return Err(format!("the connection is still served after {within:?}"));
                }
            }
        }
        let closed = self.traffic().closed;
        ensure!(
            closed,
            "the server is done but the connection is not closed"
        );
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

const MOST_READS: usize = 100_000;
