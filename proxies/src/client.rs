//! A client by the rules of the protocol, which checks that it gets a series whole and in order.

use std::time::Duration;

use serde_json::Value;

use crate::lines::Step;
use crate::link::{Door, Link, Protocol, Trouble};
use crate::subscription::{Subscription, Transport};

/// A client of one channel, whose events have the numbers 0, 1, 2 and so on.
pub(crate) struct Client {
    pub(crate) transport: Transport,
    pub(crate) protocol: Protocol,
    channel: String,
    id: Option<String>,
    /// The number of the next event.
    pub(crate) next: u64,
    /// What a poll waits for, in seconds.
    pub(crate) wait: u32,
    subscription: Option<Subscription>,
}

/// What a step was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Event,
    Heartbeat,
    /// The first message, or a place in the log.
    Position,
    /// All before it is of another log.
    OtherLog,
    /// Come back after so many milliseconds.
    Draining(u64),
    /// The end.
    End,
}

impl Client {
    pub(crate) fn new(transport: Transport, protocol: Protocol, channel: &str) -> Self {
        Self {
            transport,
            protocol,
            channel: channel.to_owned(),
            id: None,
            next: 0,
            wait: 1,
            subscription: None,
        }
    }

    /// Connects and resumes; the connection breaks once `bytes` have come.
    pub(crate) async fn connect(&mut self, door: &Door, bytes: usize) -> Result<(), Trouble> {
        self.subscription = None;
        let connecting = async {
            let link = Link::open(door, self.protocol, bytes).await?;
            let id = self.id.as_deref();
            Subscription::open(link, self.transport, &self.channel, id, self.wait).await
        };
        let subscription = tokio::time::timeout(SILENCE, connecting).await;
        self.subscription = Some(subscription.map_err(|_| silent())??);
        Ok(())
    }

    /// What comes next.
    pub(crate) async fn see(&mut self) -> Result<Seen, Trouble> {
        let Some(subscription) = &mut self.subscription else {
            return Ok(Seen::End);
        };
        let step = subscription.next(self.id.as_deref());
        let step = tokio::time::timeout(SILENCE, step).await;
        match step.map_err(|_| silent())?? {
            None => Ok(Seen::End),
            Some(Step::Heartbeat) => Ok(Seen::Heartbeat),
            Some(Step::Message(message)) => self.take(&message).map_err(Trouble::Wrong),
        }
    }

    fn take(&mut self, message: &Value) -> Result<Seen, String> {
        if let Some(id) = message["id"].as_str() {
            self.id = Some(id.to_owned());
        }
        match message["type"].as_str() {
            None => {
                let number = message["data"]["n"].as_u64();
                if number != Some(self.next) {
                    let wanted = self.next;
                    return Err(format!("event {wanted} is due, and this comes: {message}"));
                }
                self.next += 1;
                Ok(Seen::Event)
            }
            Some("open" | "position") => Ok(Seen::Position),
            Some("gap") if message["reason"] == "epoch" => Ok(Seen::OtherLog),
            Some("draining") => Ok(Seen::Draining(message["retry"].as_u64().unwrap_or(2_000))),
            Some(_) => Err(format!("nothing of the kind is due: {message}")),
        }
    }
}

fn silent() -> Trouble {
    Trouble::Wrong(format!("nothing came for {SILENCE:?}"))
}

/// No hub here is silent for so long, unless a proxy holds back what it says.
const SILENCE: Duration = Duration::from_secs(20);
