//! The log against a real nats-server, which each test starts, kills and restarts by itself.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod access;
mod log;
mod outages;
mod server;
mod sink;

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{
    Append, Attached, Backplane, Body, ChannelName, Event, Position, Retention, Timestamp,
};
use eventcast_nats::{NatsBackplane, NatsConfig};

use server::Server;
use sink::Notes;

pub(crate) fn config(server: &Server) -> NatsConfig {
    // The tests' servers lose nothing: they are killed, not cut off from power.
    NatsConfig::new([server.url()], "test").with_synced_server()
}

/// Notices soon that a server is silent, and on a busy machine now and then one that is not.
pub(crate) fn impatient(server: &Server) -> NatsConfig {
    config(server).with_heartbeat(Duration::from_millis(300))
}

pub(crate) struct Node {
    pub(crate) log: Arc<NatsBackplane>,
    pub(crate) sink: Arc<Notes>,
    pub(crate) attached: Attached,
}

pub(crate) async fn node(config: NatsConfig) -> Node {
    let log = Arc::new(NatsBackplane::new(config));
    let sink = Notes::new();
    let attached = log.attach(sink.clone()).await.unwrap();
    Node {
        log,
        sink,
        attached,
    }
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

pub(crate) fn append(name: &str, bodies: Vec<Body>) -> Append {
    Append {
        channel: channel(name),
        bodies,
        retention: Retention::new(),
        time: Timestamp::from_millis(1),
    }
}

pub(crate) fn text(text: &str) -> Body {
    Body::Event(Event::text(text.to_owned()))
}

pub(crate) fn keyed(text: &str, key: &str) -> Body {
    let event = Event::text(text.to_owned());
    Body::Event(event.with_idempotency_key(key).unwrap())
}

impl Node {
    pub(crate) async fn publish(&self, name: &str, what: &str) -> Position {
        self.log
            .append(append(name, vec![text(what)]))
            .await
            .unwrap()[0]
    }
}
