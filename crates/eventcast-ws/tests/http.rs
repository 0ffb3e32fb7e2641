//! Connections with hyper at one end and another client at the other.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;

use common::{Publishing, TokioTimer, hub};
use eventcast_core::{End, Event, Hub};
use eventcast_ws::{UpgradeError, WsConfig, WsEnd, upgrade};
use futures_util::{SinkExt, StreamExt};
use http::Request;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Serves one HTTP connection whose every request is upgraded; tells how the WebSocket ended.
fn serve_http(hub: Hub, io: DuplexStream) -> mpsc::UnboundedReceiver<WsEnd> {
    let (ends, receiver) = mpsc::unbounded_channel();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (hub, ends) = (hub.clone(), ends.clone());
        async move {
            let (response, upgrade) = upgrade(&mut request).unwrap();
            let session = hub.subscribe("a").unwrap();
            let handler = Arc::new(Publishing(hub));
            let connection = upgrade.serve(session, handler, Arc::new(TokioTimer), WsConfig::new());
            tokio::spawn(async move { ends.send(connection.await) });
            Ok::<_, UpgradeError>(response.map(|()| Empty::<Bytes>::new()))
        }
    });
    let http =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service);
    tokio::spawn(http.with_upgrades());
    receiver
}

async fn connect(
    hub: &Hub,
    subprotocol: Option<&'static str>,
) -> (
    WebSocketStream<DuplexStream>,
    mpsc::UnboundedReceiver<WsEnd>,
) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let ends = serve_http(hub.clone(), theirs);
    let mut request = "ws://localhost/events".into_client_request().unwrap();
    if let Some(name) = subprotocol {
        request
            .headers_mut()
            .insert("sec-websocket-protocol", name.parse().unwrap());
    }
    let (socket, _response) = client_async(request, ours).await.unwrap();
    (socket, ends)
}

async fn text(socket: &mut WebSocketStream<DuplexStream>) -> String {
    socket
        .next()
        .await
        .unwrap()
        .unwrap()
        .into_text()
        .unwrap()
        .to_string()
}

#[tokio::test(start_paused = true)]
async fn a_whole_conversation() {
    let hub = hub();
    let (mut socket, mut ends) = connect(&hub, Some("eventcast.v1+json")).await;
    assert!(text(&mut socket).await.starts_with(r#"{"type":"open""#));
    socket
        .send(Message::text(
            r#"{"type":"publish","channel":"a","data":{"x":1},"ref":1}"#,
        ))
        .await
        .unwrap();
    assert_eq!(
        text(&mut socket).await,
        r#"{"type":"published","ref":1,"id":"00000007-a1"}"#
    );
    assert_eq!(
        text(&mut socket).await,
        r#"{"id":"00000007-a1","channel":"a","data":{"x":1}}"#
    );
    socket.send(Message::Ping("p".into())).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::Pong("p".into())
    );
    socket.close(None).await.unwrap();
    assert!(matches!(
        socket.next().await,
        Some(Ok(Message::Close(None)))
    ));
    assert!(socket.next().await.is_none());
    assert_eq!(ends.recv().await, Some(WsEnd::PeerClosed { code: None }));
}

#[tokio::test(start_paused = true)]
async fn plain_mode_by_subprotocol() {
    let hub = hub();
    let (mut socket, _ends) = connect(&hub, Some("eventcast.v1+plain")).await;
    while hub.stats().channels == 0 {
        tokio::task::yield_now().await;
    }
    hub.publish("a", Event::binary(vec![1, 2])).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::binary(vec![1, 2])
    );
}

#[tokio::test(start_paused = true)]
async fn the_server_closes() {
    let hub = hub();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let session = hub.subscribe("a").unwrap();
    session.handle().end(End::Draining { retry: None });
    let handler = Arc::new(Publishing(hub));
    let connection = eventcast_ws::serve(
        theirs,
        session,
        handler,
        Arc::new(TokioTimer),
        WsConfig::new(),
    );
    let end = tokio::spawn(connection);
    let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
    let mut socket = WebSocketStream::from_raw_socket(ours, role, None).await;
    let mut messages = Vec::new();
    while let Some(message) = socket.next().await {
        match message {
            Ok(message) => messages.push(message),
            Err(Error::ConnectionClosed) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let Some(Message::Close(Some(frame))) = messages.last() else {
        panic!("{messages:?}")
    };
    assert_eq!(frame.code, CloseCode::Restart);
    assert_eq!(messages.len(), 3);
    assert_eq!(
        end.await.unwrap(),
        WsEnd::Session(End::Draining { retry: None })
    );
}

#[tokio::test(start_paused = true)]
async fn frames_that_come_with_the_handshake_are_not_lost() {
    let hub = hub();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let _ends = serve_http(hub, theirs);
    let mut peer = common::Peer { io: ours };
    let handshake = "GET /events HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n\
        connection: upgrade\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let request = common::frame(common::TEXT, br#"{"type":"ping"}"#);
    peer.send_raw(&[handshake.as_bytes(), &request].concat())
        .await;
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        response.push(peer.io.read_u8().await.unwrap());
    }
    assert!(response.starts_with(b"HTTP/1.1 101 "));
    assert!(peer.text().await.starts_with(r#"{"type":"open""#));
    peer.expect(&[r#"{"type":"pong"}"#]).await;
}
