//! Sends every message back, over the WebSocket adapter alone.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use eventcast::ws::{ClientHandler, ErrorCode, Mode, Refusal, WsConfig, upgrade};
use eventcast::{ChannelName, End, Event, Hub, Payload, Position, TokioTimer};
use http::request::Parts;
use http::{Request, Response};
use tokio::sync::watch;

/// The largest message.
const MAX_MESSAGE: usize = 16 << 20;

/// WebSockets without a channel, an opening message or a subprotocol.
pub(crate) struct Echo {
    hub: Hub,
    ending: watch::Sender<bool>,
}

impl Echo {
    pub(crate) fn new(hub: Hub) -> Self {
        let (ending, _) = watch::channel(false);
        Self { hub, ending }
    }

    /// Answers a handshake and serves the connection that it begins.
    pub(crate) fn answer(&self, request: &Parts) -> Response<Bytes> {
        let mut request = Request::from_parts(request.clone(), ());
        let (response, upgrade) = match upgrade(&mut request) {
            Ok(done) => done,
            Err(error) => {
                let detail = format!("{error}\n");
                return error.response().map(|()| detail.into());
            }
        };
        let mut session = self.hub.session().open().expect("no channel, no limit");
        // A plain session without channels would be over at once.
        session.stay_open();
        let handle = session.handle();
        let config = WsConfig::new()
            .with_max_message(MAX_MESSAGE)
            .with_read_buffer(64 << 10);
        let connection = upgrade.with_mode(Mode::Plain).serve(
            session,
            Arc::new(SendBack),
            Arc::new(TokioTimer),
            config,
        );
        let mut ending = self.ending.subscribe();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                _ = &mut connection => return,
                _ = ending.wait_for(|ending| *ending) => handle.end(End::Draining { retry: None }),
            }
            connection.await;
        });
        response.map(|()| Bytes::new())
    }

    /// Closes the connections and waits until they are gone.
    pub(crate) async fn end(&self) {
        self.ending.send_replace(true);
        self.ending.closed().await;
    }
}

struct SendBack;

#[async_trait]
impl ClientHandler for SendBack {
    async fn authorize_subscribe(&self, _: &ChannelName) -> Result<(), Refusal> {
        Err(nothing_but_echo())
    }

    async fn publish(&self, _: ChannelName, _: Event) -> Result<Position, Refusal> {
        Err(nothing_but_echo())
    }

    async fn message(&self, message: Payload) -> Result<Option<Payload>, Refusal> {
        Ok(Some(message))
    }
}

fn nothing_but_echo() -> Refusal {
    Refusal::new(ErrorCode::Forbidden, "there is nothing but an echo here")
}
