//! Each session that is over is told of once, with the reason.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::{DisconnectReason, Disconnected, End, ServerConfig, ServiceConfig, TransportKind};
use http::Method;
use support::client::Client;
use support::http2::{Answer, Http2};
use support::websocket::{CLOSE, frame, handshake};
use support::{TestServer, get, known_ids, quiet, within};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const NEWS: &str = "/events?channel=news";
const SOON: Duration = Duration::from_millis(200);
const ALL: [TransportKind; 4] = [
    TransportKind::Poll,
    TransportKind::Sse,
    TransportKind::Stream,
    TransportKind::WebSocket,
];
/// Those that go on.
const LASTING: [TransportKind; 3] = [
    TransportKind::Sse,
    TransportKind::Stream,
    TransportKind::WebSocket,
];

/// A server, and what it calls back.
struct Watched {
    server: TestServer,
    calls: UnboundedReceiver<Disconnected>,
    id: String,
}

impl Watched {
    async fn start(service: ServiceConfig, server: ServerConfig) -> Self {
        let (sender, calls) = unbounded_channel();
        let service = service.with_on_disconnect(move |session| {
            let _ = sender.send(session.clone());
        });
        let server = TestServer::start(known_ids(), service, server).await;
        let id = server.publish("other", "");
        Self { server, calls, id }
    }

    /// A request that opens a session of this kind.
    fn request(&self, kind: TransportKind) -> String {
        let poll = format!("{NEWS}&last_event_id={}", self.id);
        match kind {
            TransportKind::Poll => get(&poll, &[("Accept", "application/json")]),
            TransportKind::Stream => get(NEWS, &[("Accept", "application/x-ndjson")]),
            TransportKind::WebSocket => handshake(NEWS, &[]),
            _ => get(NEWS, &[]),
        }
    }

    async fn open(&self, kind: TransportKind, behind: &str) -> Client {
        let client = self.server.connect().await;
        self.open_over(client, kind, behind).await
    }

    async fn open_over(&self, mut client: Client, kind: TransportKind, behind: &str) -> Client {
        client.send(self.request(kind) + behind).await;
        self.is_open().await;
        if kind != TransportKind::Poll {
            client.take_until("open").await;
        }
        client
    }

    /// Over HTTP/2.
    async fn open_stream(&self, client: &Http2, kind: TransportKind) -> Answer {
        let poll = format!("{NEWS}&last_event_id={}", self.id);
        let request = match kind {
            TransportKind::WebSocket => {
                let (_, mut answer) = client.extended("websocket", NEWS, &[]).await;
                answer.data().await.unwrap().unwrap();
                return answer;
            }
            TransportKind::Poll => {
                let accept = [("accept", "application/json")];
                let request = client.request(Method::GET, &poll, &accept);
                let mut requests = client.requests.clone();
                let (response, send) = requests.send_request(request, true).unwrap();
                self.is_open().await;
                // The answer never comes: what is left is to give it up, as this does.
                drop((response, send));
                return self.open_nothing(client).await;
            }
            TransportKind::Stream => {
                client.request(Method::GET, NEWS, &[("accept", "application/x-ndjson")])
            }
            _ => client.request(Method::GET, NEWS, &[]),
        };
        let (_, mut answer) = client.try_send(request, "").await.unwrap();
        answer.data().await.unwrap().unwrap();
        answer
    }

    async fn open_nothing(&self, client: &Http2) -> Answer {
        let request = client.request(Method::GET, "/healthz", &[]);
        client.try_send(request, "").await.unwrap().1
    }

    async fn is_open(&self) {
        within(async {
            while self.server.service.subscribers() == eventcast::Subscribers::default() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// The next call, which has to be this one, and the last.
    async fn told(
        &mut self,
        kind: TransportKind,
        reason: DisconnectReason,
        how: &str,
    ) -> Disconnected {
        let call = within(self.calls.recv()).await.unwrap();
        let seen = (call.transport, call.reason);
        assert_eq!(seen, (kind, reason), "{how}");
        self.server.assert_sessions_end().await;
        assert!(self.calls.try_recv().is_err(), "{kind:?} {how}: told twice");
        call
    }
}

#[tokio::test]
async fn a_client_that_leaves() {
    let mut watched = Watched::start(quiet(), ServerConfig::new()).await;
    for kind in ALL {
        drop(watched.open(kind, "").await);
        watched.told(kind, DisconnectReason::Left, "FIN").await;
        watched.open(kind, "").await.reset();
        watched.told(kind, DisconnectReason::Left, "RST").await;
        let mut client = watched.open(kind, "").await;
        client.finish().await;
        watched
            .told(kind, DisconnectReason::Left, "half-closed")
            .await;
    }
    // A poll with more behind it is told of with its answer.
    for kind in [TransportKind::Sse, TransportKind::Stream] {
        drop(watched.open(kind, "G").await);
        watched
            .told(kind, DisconnectReason::Left, "a byte behind")
            .await;
    }
    let mut client = watched.open(TransportKind::WebSocket, "").await;
    client.send(frame(CLOSE, &1000_u16.to_be_bytes())).await;
    let left = watched.told(TransportKind::WebSocket, DisconnectReason::Left, "close");
    assert_eq!(left.await.session, None);
    drop(watched.open(TransportKind::Sse, "").await);
    let left = watched.told(TransportKind::Sse, DisconnectReason::Left, "key");
    assert_eq!(left.await.session.unwrap().len(), 32);
}

#[tokio::test]
async fn a_client_that_leaves_over_http2() {
    let mut watched = Watched::start(quiet(), ServerConfig::new()).await;
    for kind in ALL {
        let client = Http2::connect(&watched.server).await;
        watched.open_stream(&client, kind).await.reset();
        watched
            .told(kind, DisconnectReason::Left, "RST_STREAM")
            .await;
    }
    for kind in LASTING {
        let client = Http2::connect(&watched.server).await;
        let _answer = watched.open_stream(&client, kind).await;
        client.running.abort();
        watched.told(kind, DisconnectReason::Left, "FIN").await;
    }
}

#[tokio::test]
async fn a_session_that_the_server_ends() {
    for over_http2 in [false, true] {
        for kind in ALL {
            let mut watched = Watched::start(quiet(), ServerConfig::new()).await;
            if over_http2 && kind != TransportKind::Poll {
                let client = Http2::connect(&watched.server).await;
                let mut answer = watched.open_stream(&client, kind).await;
                watched.server.service.end_sessions(End::Closed);
                while let Some(Ok(_)) = answer.data().await {
                    if kind == TransportKind::WebSocket {
                        break;
                    }
                }
                drop(client);
                drop(answer);
            } else {
                let client = watched.open(kind, "").await;
                watched.server.service.end_sessions(End::Closed);
                drop(client);
            }
            // A WebSocket's client may be gone before it is told.
            let ended = DisconnectReason::Ended(End::Closed);
            watched.told(kind, ended, "ended").await;
        }
    }
}

#[tokio::test]
async fn a_client_that_stops_reading() {
    let server = ServerConfig::new().with_write_timeout(SOON);
    let service = quiet().with_write_timeout(SOON);
    let mut watched = Watched::start(service, server).await;
    for kind in LASTING {
        let client = Client::connect_narrow(watched.server.address).await;
        let _stuck = watched.open_over(client, kind, "").await;
        watched.flood().await;
        watched
            .told(kind, DisconnectReason::Stalled, "stalled")
            .await;
    }
    for kind in LASTING {
        let client = Http2::connect(&watched.server).await;
        let request = client.request(Method::GET, NEWS, &[]);
        let _stuck = match kind {
            TransportKind::WebSocket => watched.open_stream(&client, kind).await,
            _ => client.try_send(request, "").await.unwrap().1,
        };
        watched.flood().await;
        let call = within(watched.calls.recv()).await.unwrap();
        assert_eq!(
            call.reason,
            DisconnectReason::Stalled,
            "{kind:?} over HTTP/2"
        );
        watched.server.assert_sessions_end().await;
        assert!(watched.calls.try_recv().is_err());
    }
}

impl Watched {
    /// Publishes until nobody is there to be sent more.
    async fn flood(&self) {
        within(async {
            while self.server.service.subscribers() != eventcast::Subscribers::default() {
                self.server.publish("news", "x".repeat(16 << 10));
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_websocket_that_answers_no_ping() {
    let service = quiet().with_heartbeat(Duration::from_millis(20));
    let mut watched = Watched::start(service, ServerConfig::new()).await;
    let _silent = watched.open(TransportKind::WebSocket, "").await;
    let told = watched.told(
        TransportKind::WebSocket,
        DisconnectReason::Vanished,
        "silent",
    );
    let lasted = told.await.lasted;
    assert!(lasted >= Duration::from_millis(50), "{lasted:?}");
}

#[tokio::test]
async fn a_client_that_breaks_the_rules() {
    let mut watched = Watched::start(quiet(), ServerConfig::new()).await;
    let mut client = watched.open(TransportKind::Sse, "").await;
    while client.try_send(vec![b'x'; 16 << 10]).await.is_ok() {}
    let told = watched.told(TransportKind::Sse, DisconnectReason::Violation, "flood");
    told.await;
    let mut client = watched.open(TransportKind::WebSocket, "").await;
    client.send(frame(0x7f, b"")).await;
    client.take_all().await;
    drop(client);
    let told = watched.told(
        TransportKind::WebSocket,
        DisconnectReason::Violation,
        "frame",
    );
    told.await;
}

#[tokio::test]
async fn a_shutdown_that_waits_no_longer() {
    let config = ServerConfig::new().with_shutdown_grace(SOON);
    let mut watched = Watched::start(quiet(), config).await;
    let client = Client::connect_narrow(watched.server.address).await;
    let _stuck = watched.open_over(client, TransportKind::Sse, "").await;
    for _ in 0..1_000 {
        watched.server.publish("news", "x".repeat(16 << 10));
        tokio::task::yield_now().await;
    }
    watched.server.begin_shutdown();
    let told = watched.told(TransportKind::Sse, DisconnectReason::Cut, "cut");
    told.await;
}

#[tokio::test]
async fn a_poll_that_is_answered_is_no_disconnect() {
    let mut watched = Watched::start(quiet(), ServerConfig::new()).await;
    let mut client = watched.open(TransportKind::Poll, "").await;
    watched.server.publish("news", "x");
    assert_eq!(client.response().await.head.status, 200);
    drop(client);
    watched.server.assert_sessions_end().await;
    assert!(watched.calls.try_recv().is_err());
}
