//! The client of the wire, on a server's connections in this process.
#![allow(dead_code, reason = "no test uses all of it")]

pub(crate) mod client;
pub(crate) mod cuts;

use std::pin::Pin;
use std::time::Duration;

use eventcast::{EventService, ServerConfig};
use eventcast_testkit::Observer;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

pub(crate) use client::{Ask, Half, Protocol, Transport};

/// What a connection speaks, on both of its ends.
pub(crate) trait Speech: Copy {
    /// Serves a connection as the ready server does.
    fn serve<S>(self, service: EventService, io: S) -> Serving
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// A client's half.
    fn half(self, ask: Ask) -> Half;
}

pub(crate) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Speech for Protocol {
    fn serve<S>(self, service: EventService, io: S) -> Serving
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Box::pin(eventcast::serve_connection(
            service,
            ServerConfig::new(),
            #[cfg(feature = "tls")]
            None,
            io,
        ))
    }

    fn half(self, ask: Ask) -> Half {
        Half::new(|io, seen| client::speak(io, self, ask, seen))
    }
}

/// Done once the server has sent what it can.
pub(crate) async fn wait_for_server() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// One client of a service, over any number of connections.
pub(crate) struct Client<P> {
    service: EventService,
    speech: P,
    pub(crate) client: client::Client<DuplexStream>,
}

impl<P: Speech> Client<P> {
    pub(crate) fn new(service: EventService, speech: P, channels: &[&str]) -> Self {
        Self {
            service,
            speech,
            // Time is paused: this is over once every task is idle.
            client: client::Client::new(channels, Duration::from_millis(1)),
        }
    }

    pub(crate) fn observer(&self) -> &Observer {
        &self.client.observer
    }

    /// Drops the connection, if there is one, and makes another that resumes.
    pub(crate) async fn connect(&mut self, transport: Transport) {
        let (client, server) = tokio::io::duplex(1 << 16);
        tokio::spawn(self.speech.serve(self.service.clone(), server));
        self.client.detach();
        let half = self.speech.half(self.client.ask(transport));
        self.client.attach(client, half).await;
    }

    pub(crate) async fn read_all(&mut self) {
        self.client.read_all().await.unwrap();
    }

    pub(crate) async fn read_up_to(&mut self, limit: usize) {
        self.client.read_up_to(limit).await.unwrap();
    }
}
