//! The client of the wire, on a service in this process.

pub(crate) mod client;

use std::time::Duration;

use eventcast::EventService;
use eventcast_testkit::Observer;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;

pub(crate) use client::Transport;

/// One client of a service, over any number of connections.
pub(crate) struct Client {
    service: EventService,
    pub(crate) client: client::Client<DuplexStream>,
}

impl Client {
    pub(crate) fn new(service: EventService, channels: &[&'static str]) -> Self {
        Self {
            service,
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
        let service = self.service.clone();
        let handler = service_fn(move |request| {
            let service = service.clone();
            async move { Ok::<_, std::convert::Infallible>(service.handle(request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(server), handler);
        tokio::spawn(connection.with_upgrades());
        self.client.detach();
        self.client.attach(client, transport).await;
    }

    /// Done once the server has sent what it can.
    pub(crate) async fn wait_for_server(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    pub(crate) async fn read_all(&mut self) {
        self.client.read_all().await;
    }

    pub(crate) async fn read_up_to(&mut self, limit: usize) {
        self.client.read_up_to(limit).await;
    }
}
