//! A server on a free port, and clients that see nothing but its bytes.
//!
//! Every wait has a deadline that only a hang meets; nothing here is timed.
#![allow(dead_code, reason = "no test uses all of it")]

pub(crate) mod client;
pub(crate) mod http2;
pub(crate) mod stream;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod websocket;

use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use eventcast::{
    Denied, Epoch, Event, EventService, Hub, HubConfig, Permissions, Position, Server,
    ServerConfig, ServiceConfig,
};
use http::request::Parts;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use client::{Client, Response};
use stream::EventStream;

/// A running server.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) service: EventService,
    pub(crate) hub: Hub,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl TestServer {
    /// One with these settings.
    pub(crate) async fn start(
        hub: HubConfig,
        service: ServiceConfig,
        server: ServerConfig,
    ) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(any, hub, service, server).await
    }

    /// Where a drain is not what is tested, a shutdown ends all sessions at once.
    pub(crate) async fn start_at(
        address: SocketAddr,
        hub: HubConfig,
        service: ServiceConfig,
        server: ServerConfig,
    ) -> Self {
        let service = EventService::new(Hub::with_config(hub), service);
        let bound = Server::bind(address, service.clone()).await.unwrap();
        let server = server.with_drain_window(Duration::ZERO);
        Self::run(bound.with_config(server), service)
    }

    /// One that was made by hand.
    pub(crate) fn run(server: Server, service: EventService) -> Self {
        let (shutdown, begins) = oneshot::channel::<()>();
        let address = server.local_addr();
        let running = tokio::spawn(server.run(async {
            // A dropped sender is no shutdown: the test is over, or does not want one.
            if begins.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Self {
            address,
            hub: service.hub().clone(),
            service,
            shutdown: Some(shutdown),
            running,
        }
    }

    /// One that everybody may subscribe to and nobody may publish to, with ids that are known.
    pub(crate) async fn standard() -> Self {
        Self::start(known_ids(), quiet(), ServerConfig::new()).await
    }

    /// One that everybody may subscribe and publish to.
    pub(crate) async fn open() -> Self {
        Self::start(
            known_ids(),
            quiet().with_authenticator(everything),
            ServerConfig::new(),
        )
        .await
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Sends a request over a connection of its own and reads the whole response.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect().await;
        client.send(request).await;
        client.response().await
    }

    /// Opens an event stream.
    pub(crate) async fn stream(&self, target: &str) -> EventStream {
        self.stream_with(target, &[]).await
    }

    pub(crate) async fn stream_with(&self, target: &str, headers: &[(&str, &str)]) -> EventStream {
        let mut client = self.connect().await;
        client.send(get(target, headers)).await;
        EventStream::read_from(client).await
    }

    /// Publishes a text from inside, and returns its id.
    pub(crate) fn publish(&self, channel: &str, text: impl Display) -> String {
        let event = Event::text(text.to_string());
        self.hub.try_publish(channel, event).unwrap().to_string()
    }

    /// Publishes for as long as there is a session.
    pub(crate) async fn publish_until_cut(&self) {
        let text = "x".repeat(16 << 10);
        within(async {
            while self.service.subscribers() != eventcast::Subscribers::default() {
                self.publish("news", &text);
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Whatever happened before: another client is served as if nothing had.
    pub(crate) async fn assert_serves(&self) {
        let response = self.ask(get("/healthz", &[])).await;
        assert_eq!(response.head.status, 200);
        let mut stream = self.stream("/events?channel=still-there").await;
        let id = self.publish("still-there", "hello");
        let event = stream.event().await;
        assert_eq!((event.data.as_str(), event.last_event_id), ("hello", id));
    }

    /// Waits until no session is open.
    pub(crate) async fn assert_sessions_end(&self) {
        within(self.service.sessions_ended()).await;
        assert_eq!(
            self.service.subscribers(),
            eventcast::Subscribers::default()
        );
    }

    /// Lets `run`'s shutdown be done.
    pub(crate) fn begin_shutdown(&mut self) {
        let sender = self.shutdown.take().expect("a shutdown begins once");
        sender.send(()).expect("the server runs");
    }

    /// Waits for `run` to return.
    pub(crate) async fn finished(self) {
        within(self.running).await.unwrap();
    }
}

/// Waits for what has to come, however slow the machine is.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future)
        .await
        .expect("what should come does not come")
}

/// A hub whose epoch is known, so that ids are too.
pub(crate) fn known_ids() -> HubConfig {
    HubConfig::new().with_epoch(known_epoch())
}

pub(crate) fn known_epoch() -> Epoch {
    Epoch::from_bits(EPOCH_BITS)
}

/// The id of such a hub's `sequence`.
pub(crate) fn id(sequence: u64) -> String {
    Position::new(Epoch::from_bits(EPOCH_BITS), sequence).to_string()
}

/// A service that tells every client the same `retry`: of none, a random share is none.
pub(crate) fn quiet() -> ServiceConfig {
    ServiceConfig::new().with_retry(Duration::ZERO)
}

/// An authenticator.
pub(crate) fn everything(_: &Parts) -> Result<Permissions, Denied> {
    Ok(Permissions::all())
}

/// An authenticator that lets everybody do everything, but only below `public/`.
pub(crate) fn only_public(_: &Parts) -> Result<Permissions, Denied> {
    Ok(Permissions::all().only_channels(|name| name.as_str().starts_with("public/")))
}

pub(crate) fn get(target: &str, headers: &[(&str, &str)]) -> String {
    request("GET", target, headers)
}

/// A request without a body.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "\r\n"
}

/// A POST with a body of known length.
pub(crate) fn post(target: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let length = body.as_ref().len().to_string();
    let headers = [headers, &[("Content-Length", &length)]].concat();
    let mut bytes = request("POST", target, &headers).into_bytes();
    bytes.extend_from_slice(body.as_ref());
    bytes
}

/// What all requests call the server.
pub(crate) const HOST: &str = "events.test";
const EPOCH_BITS: u64 = 7;
const HANG: Duration = Duration::from_secs(20);
