//! Over HTTP/1.1, with a server and a client of other authors.

use std::convert::Infallible;
use std::sync::Arc;

use eventcast_core::Hub;
use eventcast_poll::{PollConfig, StreamConfig, poll, poll_head, stream};
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::support::{TokioTimer, hub, parse, publish, resume};

type Client = SendRequest<Empty<bytes::Bytes>>;

/// A client whose requests `respond` answers; both halves run by themselves.
async fn connect<B>(
    respond: impl AsyncFn(Request<hyper::body::Incoming>) -> http::Response<B> + Clone + 'static,
) -> (Client, tokio::task::JoinHandle<()>)
where
    B: http_body::Body<Error = Infallible> + 'static,
{
    let (near, far) = tokio::io::duplex(64 << 10);
    tokio::task::spawn_local(async move {
        let service = service_fn(move |request| {
            let respond = respond.clone();
            async move { Ok::<_, Infallible>(respond(request).await) }
        });
        let http = hyper::server::conn::http1::Builder::new();
        // The client of some tests goes away.
        let _ = http.serve_connection(TokioIo::new(far), service).await;
    });
    let (client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near))
        .await
        .unwrap();
    let connection = tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    (client, connection)
}

fn request(method: Method, id: &str) -> Request<Empty<bytes::Bytes>> {
    let request = Request::builder().method(method).uri("/events");
    request
        .header("host", "test")
        .header("last-event-id", id)
        .body(Empty::new())
        .unwrap()
}

async fn polls(hub: Hub) -> (Client, tokio::task::JoinHandle<()>) {
    connect(async move |request: Request<hyper::body::Incoming>| {
        if request.method() == Method::HEAD {
            return poll_head();
        }
        let id = request.headers()["last-event-id"].to_str().unwrap();
        let session = resume(&hub, &["a"], id);
        poll(session, PollConfig::new(), Arc::new(TokioTimer)).await
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn polls_share_a_connection_and_know_their_length() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let hub = hub();
            let (mut client, _connection) = polls(hub.clone()).await;
            let mut id = hub.position().to_string();
            for number in 0..5 {
                let publisher = async {
                    tokio::task::yield_now().await;
                    publish(&hub, "a", &number.to_string());
                };
                let get = client.send_request(request(Method::GET, &id));
                let (response, ()) = tokio::join!(get, publisher);
                let response = response.unwrap();
                assert_eq!(response.headers()["content-type"], "application/json");
                assert!(response.headers().contains_key("content-length"));
                let body = response.into_body().collect().await.unwrap().to_bytes();
                let document = parse(std::str::from_utf8(&body).unwrap());
                assert_eq!(document["events"][0]["data"], number.to_string());
                id = document["position"].as_str().unwrap().to_owned();
            }
            let head = client.send_request(request(Method::HEAD, &id)).await;
            let head = head.unwrap();
            assert_eq!(head.headers()["content-type"], "application/json");
            assert!(!head.headers().contains_key("content-length"));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_waits_ends_its_session() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let hub = hub();
            let (mut client, connection) = polls(hub.clone()).await;
            let id = hub.position().to_string();
            let waits = client.send_request(request(Method::GET, &id));
            let second = std::time::Duration::from_secs(1);
            assert!(tokio::time::timeout(second, waits).await.is_err());
            assert_eq!(hub.stats().channels, 1);
            connection.abort();
            drop(client);
            tokio::time::sleep(second).await;
            assert_eq!(hub.stats().channels, 0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_out_line_by_line_and_ends() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let hub = hub();
            let server = hub.clone();
            let (mut client, _connection) = connect(async move |_| {
                let session = server.subscribe("a").unwrap();
                stream(session, StreamConfig::new(), Arc::new(TokioTimer))
            })
            .await;
            let response = client.send_request(request(Method::GET, "")).await;
            let response = response.unwrap();
            assert_eq!(response.headers()["content-type"], "application/x-ndjson");
            assert!(!response.headers().contains_key("content-length"));
            let mut body = response.into_body();
            let opening = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let opening = parse(std::str::from_utf8(&opening).unwrap());
            assert_eq!(opening["type"], "open");
            publish(&hub, "a", "x");
            hub.complete("a").unwrap();
            let rest = body.collect().await.unwrap().to_bytes();
            let rest = std::str::from_utf8(&rest).unwrap();
            let lines: Vec<_> = rest.lines().map(parse).collect();
            assert_eq!(lines[0]["data"], "x");
            assert_eq!(lines[1]["type"], "completed");
            assert_eq!(lines[2]["reason"], "completed");
        })
        .await;
}
