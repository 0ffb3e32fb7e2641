//! A channel that a session has at some times and not at others, changed over other connections.

use std::net::SocketAddr;

use eventcast::Position;
use eventcast_testkit::transport::Seen;
use eventcast_testkit::{Ledger, Observer, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// What has to come of the channel, and what must not.
pub(crate) struct Changes {
    pub(crate) channel: &'static str,
    key: String,
    hub: Option<SocketAddr>,
    state: State,
    asked: Option<JoinHandle<Option<u64>>>,
}

enum State {
    /// Everything after this sequence comes.
    In(Observer, u64),
    /// Nothing after this sequence comes.
    Left(u64),
    /// The answer told no position, or there was none: anything may come until the next change.
    Unsure { joins: bool },
}

impl Changes {
    pub(crate) fn new(channel: &'static str) -> Self {
        Self {
            channel,
            key: String::new(),
            hub: None,
            state: State::Unsure { joins: true },
            asked: None,
        }
    }

    /// Begins anew with another hub, where the session's URL names the channel.
    pub(crate) fn begin(&mut self, hub: SocketAddr, key: &str) {
        self.hub = Some(hub);
        key.clone_into(&mut self.key);
        self.state = self.joined(0);
    }

    /// Asks for the channel, or to be without it.
    pub(crate) fn ask(&mut self) {
        let method = match self.joins() {
            true => "POST",
            false => "DELETE",
        };
        let (channel, key) = (self.channel, &self.key);
        let request = format!(
            "{method} /sessions/{key}?channel={channel} HTTP/1.1\r\nHost: localhost\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        self.asked = self
            .hub
            .map(|hub| tokio::spawn(async move { answer(hub, &request).await }));
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.asked.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Takes the answer, then what came since it was asked for; tells whether it was one.
    pub(crate) async fn answered(&mut self, seen: &mut Vec<Seen>) -> Result<bool, String> {
        let Some(asked) = self.asked.take() else {
            return Ok(false);
        };
        let joins = self.joins();
        let at = asked.await.map_err(|error| error.to_string())?;
        self.state = match (joins, at) {
            (true, Some(at)) => self.joined(at),
            (false, Some(at)) => State::Left(at),
            (joins, None) => State::Unsure { joins: !joins },
        };
        self.see(seen)?;
        Ok(at.is_some())
    }

    pub(crate) fn see(&mut self, seen: &mut Vec<Seen>) -> Result<(), String> {
        for seen in seen.drain(..) {
            let id = seen.id().and_then(|id| id.parse::<Position>().ok());
            match (&mut self.state, seen) {
                (State::In(observer, from), Seen::Event(_)) => {
                    let sequence = id.ok_or("an event without an id")?.sequence();
                    // A cut before the change was seen brings what came before it, too.
                    if sequence > *from {
                        observer.event(self.channel, sequence);
                    }
                }
                (State::In(observer, _), Seen::Gap { missed, .. }) => {
                    observer.gap(self.channel, missed, None);
                }
                (State::Left(at), Seen::Event(_)) if id.is_none_or(|id| id.sequence() > *at) => {
                    let (channel, key) = (self.channel, &self.key);
                    return Err(format!("{key} left {channel} at {at}, and {id:?} comes"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn check(&self, ledger: &Ledger) -> Result<(), String> {
        let State::In(observer, from) = &self.state else {
            return Ok(());
        };
        match observer.check(ledger) {
            // A gap of a resume may reach back before the channel was joined.
            Ok(()) | Err(Violation::FalseGap { .. } | Violation::Miscounted { .. }) => Ok(()),
            Err(violation) => Err(format!("{violation:?}, in a channel joined at {from}")),
        }
    }

    fn joins(&self) -> bool {
        matches!(self.state, State::Left(_) | State::Unsure { joins: true })
    }

    fn joined(&self, at: u64) -> State {
        State::In(Observer::new([self.channel], at), at)
    }
}

/// The sequence of the position at which the session was changed.
async fn answer(hub: SocketAddr, request: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(hub).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    let (_, id) = text.split_once("\"id\":\"")?;
    let id: Position = id.split('"').next()?.parse().ok()?;
    Some(id.sequence())
}
