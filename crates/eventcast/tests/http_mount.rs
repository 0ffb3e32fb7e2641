//! The service without the server: in whatever serves a `tower_service::Service`.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::convert::Infallible;
use std::time::Duration;

use bytes::{Buf, Bytes};
use eventcast::{Event, EventService, Hub, ServiceConfig};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use support::{get, id, known_ids, quiet, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tower_service::Service;

/// Serves one connection with plain hyper, which knows nothing of the service but the trait.
fn serve(service: &EventService) -> DuplexStream {
    let (client, server) = tokio::io::duplex(64 << 10);
    let service = service.clone();
    let handler = service_fn(move |request: Request<Incoming>| service.clone().call(request));
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(server), handler)
        .with_upgrades();
    tokio::spawn(connection);
    client
}

async fn read_until(client: &mut DuplexStream, needle: &str) -> String {
    let mut received = Vec::new();
    while !received.ends_with(needle.as_bytes()) {
        received.push(within(client.read_u8()).await.unwrap());
    }
    // The heads of WebSocket frames are no text.
    String::from_utf8_lossy(&received).into_owned()
}

#[tokio::test]
async fn in_plain_hyper() {
    let service = EventService::new(Hub::with_config(known_ids()), quiet());
    let mut stream = serve(&service);
    let mut socket = serve(&service);
    let subscribe = get("/events?channel=news", &[]);
    stream.write_all(subscribe.as_bytes()).await.unwrap();
    read_until(&mut stream, "id: 00000007-a0\n\n").await;
    let handshake = support::websocket::handshake("/events?channel=news", &[]);
    socket.write_all(handshake.as_bytes()).await.unwrap();
    read_until(&mut socket, "\"retry\":0}").await;
    assert_eq!(service.subscribers().sse, 1);
    assert_eq!(service.subscribers().websocket, 1);

    service.hub().try_publish("news", Event::text("x")).unwrap();
    let event = "data: x\nid: 00000007-a1\n\n";
    assert!(read_until(&mut stream, "a1\n\n").await.ends_with(event));
    let message = "{\"id\":\"00000007-a1\",\"channel\":\"news\",\"data\":\"x\"}";
    assert!(read_until(&mut socket, "}").await.ends_with(message));

    drop((stream, socket));
    within(service.sessions_ended()).await;
}

#[tokio::test]
async fn clones_are_one_service() {
    let first = EventService::new(Hub::with_config(known_ids()), quiet());
    let second = first.clone();
    let mut stream = serve(&second);
    let subscribe = get("/events?channel=news", &[]);
    stream.write_all(subscribe.as_bytes()).await.unwrap();
    read_until(&mut stream, "\n\n").await;
    assert_eq!(first.subscribers(), second.subscribers());
    first.end_sessions(eventcast::End::Closed);
    read_until(&mut stream, "0\r\n\r\n").await;
    within(second.sessions_ended()).await;
    assert_eq!(second.subscribers().sse, 0);
}

async fn whole<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data: Buf, Error = Infallible>,
{
    let Ok(body) = response.into_body().collect().await;
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// With any body, and without a connection at all.
#[tokio::test]
async fn by_hand() {
    let config = quiet().with_authenticator(support::everything);
    let mut service = EventService::new(Hub::with_config(known_ids()), config);
    std::future::poll_fn(|cx| Service::<Request<Empty<Bytes>>>::poll_ready(&mut service, cx))
        .await
        .unwrap();
    let publish = Request::post("/channels/news").body(Full::new(Bytes::from("x")));
    let response = service.call(publish.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(whole(response).await.contains(&id(1)));

    let subscribe = Request::get("/events?channel=news&start=earliest");
    let response = service.handle(subscribe.body(Empty::<Bytes>::new()).unwrap());
    let mut body = response.await.into_body();
    for block in ["id: 00000007-a0\n\n", "data: x\nid: 00000007-a1\n\n"] {
        let mut frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let bytes = frame.copy_to_bytes(frame.remaining());
        assert!(bytes.ends_with(block.as_bytes()), "{bytes:?}");
    }
    assert_eq!(service.subscribers().sse, 1);
    drop(body);
    assert_eq!(service.subscribers().sse, 0);

    // An upgrade of a request that is on no connection ends by itself.
    let handshake = Request::get("/events?channel=news")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let response = service.handle(handshake.body(Empty::<Bytes>::new()).unwrap());
    assert_eq!(response.await.status(), 101);
    within(service.sessions_ended()).await;
}

#[tokio::test]
async fn a_fallback_answers_what_is_not_the_services() {
    let config = ServiceConfig::new().with_fallback(|request| {
        (request.uri.path() == "/").then(|| Response::new(Bytes::from("a page")))
    });
    let service = EventService::new(Hub::new(), config);
    let ask = async |path: &str| {
        let request = Request::get(path).body(Empty::<Bytes>::new()).unwrap();
        service.handle(request).await
    };
    assert_eq!(whole(ask("/").await).await, "a page");
    assert_eq!(ask("/other").await.status(), 404);
    assert_eq!(ask("/healthz").await.status(), 200);
}

/// Nothing but the clock moves a stream's heartbeats.
#[tokio::test(start_paused = true)]
async fn heartbeats_are_as_far_apart_as_configured() {
    let config = quiet().with_heartbeat(Duration::from_secs(7));
    let service = EventService::new(Hub::with_config(known_ids()), config);
    let mut stream = serve(&service);
    let subscribe = get("/events?channel=news", &[]);
    stream.write_all(subscribe.as_bytes()).await.unwrap();
    read_until(&mut stream, "a0\n\n\r\n").await;
    for _ in 0..3 {
        let before = tokio::time::Instant::now();
        assert_eq!(read_until(&mut stream, ":\n\r\n").await, "2\r\n:\n\r\n");
        assert_eq!(before.elapsed().as_secs(), 7);
    }
}
