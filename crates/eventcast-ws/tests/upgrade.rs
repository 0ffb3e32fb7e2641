//! The opening handshake, alone and with hyper and another client at its ends.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;

use common::{Publishing, TokioTimer, hub};
use eventcast_core::{End, Event, Hub};
use eventcast_ws::{Mode, UpgradeError, WsConfig, WsEnd, is_upgrade, upgrade};
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// The request of RFC 6455 §1.3.
fn request() -> http::request::Builder {
    Request::get("/events")
        .header("host", "server.example.com")
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
}

fn answer(builder: http::request::Builder) -> Result<(Response<()>, Mode), UpgradeError> {
    let mut request = builder.body(()).unwrap();
    upgrade(&mut request).map(|(response, upgrade)| (response, upgrade.mode()))
}

#[test]
fn the_example_of_the_rfc() {
    let (response, mode) = answer(request()).unwrap();
    assert_eq!(mode, Mode::Json);
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_bytes()))
        .collect();
    assert_eq!(
        headers,
        [
            ("connection", &b"upgrade"[..]),
            ("upgrade", b"websocket"),
            ("sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ]
    );
}

#[test]
fn header_lists_are_read_as_lists() {
    let builder = Request::get("/")
        .header("upgrade", "h2c, WebSocket")
        .header("connection", "keep-alive")
        .header("connection", "x, upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13");
    assert!(is_upgrade(&builder.body(()).unwrap()));
}

#[test]
fn the_first_known_subprotocol_is_taken() {
    for (offers, name, mode) in [
        (
            &["eventcast.v1+plain"][..],
            Some("eventcast.v1+plain"),
            Mode::Plain,
        ),
        (
            &["eventcast.v1+json, eventcast.v1+plain"],
            Some("eventcast.v1+json"),
            Mode::Json,
        ),
        (
            &["x", "y,eventcast.v1+plain , eventcast.v1+json"],
            Some("eventcast.v1+plain"),
            Mode::Plain,
        ),
        (&["x"], None, Mode::Json),
        (&[], None, Mode::Json),
    ] {
        let builder = offers.iter().fold(request(), |builder, offer| {
            builder.header("sec-websocket-protocol", *offer)
        });
        let (response, chosen) = answer(builder).unwrap();
        let named = response.headers().get("sec-websocket-protocol");
        assert_eq!(
            (named.map(|name| name.to_str().unwrap()), chosen),
            (name, mode)
        );
    }
}

#[test]
fn what_is_no_handshake() {
    fn with(change: impl FnOnce(&mut Request<()>)) -> UpgradeError {
        let mut request = request().body(()).unwrap();
        change(&mut request);
        upgrade(&mut request).unwrap_err()
    }
    fn set(name: &'static str, value: Option<&'static str>) -> UpgradeError {
        with(|request| {
            request.headers_mut().remove(name);
            if let Some(value) = value {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        })
    }
    assert_eq!(
        with(|r| *r.method_mut() = Method::POST),
        UpgradeError::Method
    );
    assert_eq!(
        with(|r| *r.version_mut() = Version::HTTP_10),
        UpgradeError::HttpVersion
    );
    assert_eq!(
        with(|r| *r.version_mut() = Version::HTTP_2),
        UpgradeError::HttpVersion
    );
    for (name, value) in [
        ("upgrade", None),
        ("upgrade", Some("h2c")),
        ("connection", None),
        ("connection", Some("close")),
    ] {
        assert_eq!(set(name, value), UpgradeError::NotUpgrade);
    }
    for version in [None, Some("8"), Some("13, 8")] {
        assert_eq!(set("sec-websocket-version", version), UpgradeError::Version);
    }
    for key in [
        None,
        Some(""),
        Some("dGhlIHNhbXBsZQ=="),
        Some("not base64 at all !!!!!!"),
    ] {
        assert_eq!(set("sec-websocket-key", key), UpgradeError::Key);
    }
    let twice = with(|request| {
        let key = request.headers()["sec-websocket-key"].clone();
        request.headers_mut().append("sec-websocket-key", key);
    });
    assert_eq!(twice, UpgradeError::Key);
}

#[test]
fn errors_know_their_response() {
    let version = UpgradeError::Version.response();
    assert_eq!(version.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(version.headers()["sec-websocket-version"], "13");
    assert_eq!(UpgradeError::Method.response().headers()["allow"], "GET");
    assert_eq!(UpgradeError::Key.status(), StatusCode::BAD_REQUEST);
}

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
