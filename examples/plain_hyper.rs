//! The service in a hyper server of one's own, without a framework: HTTP/1.1, HTTP/2, WebSockets, a
//! route beside it, and a shutdown that ends the streams.
//!
//! Run with
//! ```text
//! cargo run --example plain_hyper
//! curl -N 'http://127.0.0.1:PORT/events?channel=visits'
//! curl 'http://127.0.0.1:PORT/visit'
//! ```
//!
//! eventcast's own `Server` also cuts readers that take nothing, bounds how long heads and idle
//! connections take, and keeps no buffers of hyper's for an event stream: take it unless you have a
//! server already.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use eventcast::{Batch, Event, EventService, Hub, ResponseBody, ServiceConfig};
use eventcast_examples::ctrl_c;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::pin;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = EventService::new(Hub::new(), ServiceConfig::new());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);

    let mut builder = auto::Builder::new(TokioExecutor::new());
    // WebSockets over HTTP/2 (RFC 8441) have to be allowed.
    builder.http2().enable_connect_protocol();
    let connections = GracefulShutdown::new();
    // Streams do not end by themselves. Each is told, at a moment of its own, to come back; those
    // that do before a load balancer has noticed are told so again, so new ones are still taken.
    let drained = async {
        ctrl_c().await;
        service.drain(Duration::from_secs(5)).await;
    };
    pin!(drained);
    loop {
        let accepted = tokio::select! {
            () = &mut drained => break,
            accepted = accept(&listener) => accepted,
        };
        let Some(stream) = accepted else { continue };
        let service = service.clone();
        let route = service_fn(move |request| route(service.clone(), request));
        // With upgrades: a WebSocket takes its connection over.
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), route);
        let connection = connections.watch(connection.into_owned());
        tokio::spawn(async move {
            // How a connection ended is its client's affair.
            let _ = connection.await;
        });
    }
    connections.shutdown().await;
    Ok(())
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => {
            // Or a small event waits until the one before it is acknowledged.
            let _ = stream.set_nodelay(true);
            Some(stream)
        }
        // One client's failure, or too many open files: a pause, and no reason to stop.
        Err(_) => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// The service's body, or one of the application's own.
type Answer = Either<ResponseBody, Full<Batch>>;

/// The application's own paths first, then the service.
async fn route(
    service: EventService,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    if request.uri().path() != "/visit" {
        return Ok(service.handle(request).await.map(Either::Left));
    }
    let visit = Event::text("somebody was here");
    let (status, text) = match service.hub().publish("visits", visit).await {
        Ok(id) => (200, format!("published as {id}\n")),
        Err(error) => (503, format!("{error}\n")),
    };
    let mut body = Batch::default();
    body.push(text.into());
    let response = Response::builder().status(status);
    let response = response.body(Either::Right(Full::new(body)));
    Ok(response.expect("a valid answer"))
}
