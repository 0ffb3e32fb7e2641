//! What people write by hand: axum, and tokio's broadcast channel.

use std::convert::Infallible;
use std::io;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use super::publish;
use crate::fanout::payload::payload;
use crate::fanout::spec::{Kind, ServerSpec};

type Sender = broadcast::Sender<(u64, String)>;

pub(super) async fn serve(spec: &ServerSpec) -> io::Result<()> {
    let (sender, _) = broadcast::channel(1024);
    let route = match spec.kind {
        Kind::AxumSse => get(sse),
        _ => get(websocket),
    };
    let app = Router::new()
        .route("/events", route)
        .with_state(sender.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|stream| {
        // It is for speed only.
        let _ = stream.set_nodelay(true);
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    publish(address, move |number, time| {
        // Nobody may be there.
        let _ = sender.send((number, payload(number, time)));
    })
    .await
}

async fn sse(State(sender): State<Sender>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(sender.subscribe());
    let events = events.filter_map(async |event| {
        let (number, text) = event.ok()?;
        Some(Ok(Event::default().id(number.to_string()).data(text)))
    });
    Sse::new(Box::pin(events)).keep_alive(KeepAlive::default())
}

async fn websocket(State(sender): State<Sender>, upgrade: WebSocketUpgrade) -> Response {
    let receiver = sender.subscribe();
    upgrade
        .on_upgrade(|socket| forward(socket, receiver))
        .into_response()
}

async fn forward(mut socket: WebSocket, mut receiver: broadcast::Receiver<(u64, String)>) {
    loop {
        tokio::select! {
            event = receiver.recv() => {
                let Ok((_, text)) = event else { return };
                if socket.send(Message::Text(text.into())).await.is_err() {
                    return;
                }
            }
            message = socket.recv() => {
                if !matches!(message, Some(Ok(_))) {
                    return;
                }
            }
        }
    }
}
