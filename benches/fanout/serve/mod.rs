//! The measured processes.

mod axum;
mod epoll;
mod eventcast;
mod notify;

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::control::Publisher;
use super::spec::{Kind, ServerSpec};
use super::system::pin;

/// Prints its two addresses, the clients' and the publisher's, and serves until it is killed.
pub(crate) fn serve(spec: &ServerSpec) -> Result<(), Box<dyn Error>> {
    pin(spec.core)?;
    if matches!(spec.kind, Kind::Epoll | Kind::Epoll16) {
        return epoll::serve(spec);
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(spec.workers)
        .enable_all()
        .build()?
        .block_on(async {
            let served = match spec.kind {
                Kind::Notify => notify::serve(spec).await,
                Kind::AxumSse | Kind::AxumWs => axum::serve(spec).await,
                _ => eventcast::serve(spec).await,
            };
            served.map_err(Into::into)
        })
}

/// Prints where the clients are served, and then publishes as it is told, in a task of the runtime.
async fn publish(
    clients: std::net::SocketAddr,
    publish: impl FnMut(u64, u64) + Send + 'static,
) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{clients} {}", listener.local_addr()?);
    let publisher = Arc::new(Mutex::new((Publisher::new(), publish)));
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let publisher = Arc::clone(&publisher);
        tokio::spawn(async move {
            // Until its load generator has ended.
            while let Ok(order) = stream.read_u64_le().await {
                let report = {
                    let mut publisher = publisher.lock().unwrap_or_else(PoisonError::into_inner);
                    let (publisher, publish) = &mut *publisher;
                    publisher.obey(order, publish)
                };
                if let Some(report) = report {
                    stream.write_all(&report.to_bytes()).await?;
                }
            }
            io::Result::Ok(())
        });
    }
}

/// Reads the group from the request that the load generator sends to floors: `GET /GROUP …`.
fn group_of(request: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(request).ok()?;
    text.ends_with("\r\n\r\n").then_some(())?;
    text.strip_prefix("GET /")?.split(' ').next()?.parse().ok()
}

/// What floors answer.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// The bytes that floors send for an event: a WebSocket's frame.
fn frame(number: u64, time: u64) -> Vec<u8> {
    let payload = super::payload::payload(number, time);
    let mut frame = vec![0x81, 126, 0, payload.len() as u8];
    frame.extend_from_slice(payload.as_bytes());
    frame
}
