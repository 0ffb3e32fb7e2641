//! A connection that speaks HTTP/2: many requests at once, each a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{MissedTickBehavior, interval};

use super::config::{MAX_HEAD, ServerConfig};
use super::link::{Link, Peer};
use super::serve::Serving;
use super::streams::Streams;
use super::unsent::Watched;
use crate::limits::Limit;
use crate::trace;

/// Serves a connection to its end.
///
/// Once a quarter of the shorter of its two limits it looks after itself: a stream whose peer has
/// taken nothing for the write timeout is reset, and a connection without a stream for the header
/// timeout is told to go, and cut if it does not.
///
/// As a drain begins, its client is told to open no more streams here: who comes back does so over
/// another connection, which may lead elsewhere. One that was opened later is for requests that a
/// draining server still answers.
pub(super) async fn serve<S>(io: S, serving: Serving, link: Option<Arc<Link>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Serving {
        service,
        config,
        closing,
        draining,
        tasks,
        address,
        ..
    } = serving;
    let counting = service.clone();
    let count = |limit| counting.shared().gate.count(limit);
    let streams = Streams::new(tasks);
    let connection = trace::Connection::current();
    let handler = service_fn(move |mut request: Request<Incoming>| {
        let (service, link) = (service.clone(), link.clone());
        let connection = connection.clone();
        // Boxed: hyper keeps room for this future as long as the stream lives.
        Box::pin(async move {
            let stream = Streams::current();
            let extensions = request.extensions_mut();
            extensions.insert(Arc::clone(&stream));
            if let Some(address) = address {
                extensions.insert(address);
            }
            if let Some(link) = link {
                extensions.insert(Peer::new(link, Some(Arc::clone(&stream))));
            }
            let response = connection.run(service.handle(request)).await;
            Ok::<_, Infallible>(response.map(|body| Watched::new(body, stream)))
        })
    });
    let connection = builder(&streams, &config).serve_connection(TokioIo::new(io), handler);
    let mut connection = Box::pin(connection);

    let step = config.header_timeout().min(config.write_timeout()) / STEPS;
    let step = step.max(SHORTEST_STEP);
    let patience = steps(config.write_timeout(), step);
    let leisure = steps(config.header_timeout(), step);
    let mut tick = interval(step);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Or the first one is now.
    tick.reset();
    let (mut closes, mut idle) = (false, 0);
    let mut drains = draining.is_cancelled();
    loop {
        tokio::select! {
            // How a connection failed is of no use to anybody: its sessions end with it.
            _ = &mut connection => return,
            () = closing.cancelled(), if !closes => {
                closes = true;
                connection.as_mut().graceful_shutdown();
            }
            () = draining.cancelled(), if !drains => {
                drains = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = tick.tick() => {
                for _ in 0..streams.end_stalled(patience) {
                    count(Limit::WriteTimeouts);
                }
                idle = if streams.were_open() { 0 } else { idle + 1 };
                if idle == leisure {
                    connection.as_mut().graceful_shutdown();
                } else if idle >= 2 * leisure {
                    count(Limit::HeadTimeouts);
                    return;
                }
            }
        }
    }
}

fn builder(streams: &Streams, config: &ServerConfig) -> Builder<Streams> {
    let mut builder = Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(config.max_streams())
        .max_header_list_size(MAX_HEAD as u32)
        .keep_alive_interval(config.ping_interval())
        .keep_alive_timeout(config.ping_interval())
        .max_send_buf_size(config.stream_buffer() as usize)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(MAX_RESETS_PENDING)
        .max_local_error_reset_streams(MAX_ERROR_RESETS);
    builder
}

fn steps(limit: Duration, step: Duration) -> u32 {
    let steps = limit.as_nanos().div_ceil(step.as_nanos());
    u32::try_from(steps)
        .unwrap_or(u32::MAX)
        .clamp(1, u32::MAX / 2)
}

/// A limit is exact to this part of the shorter one.
const STEPS: u32 = 4;
const SHORTEST_STEP: Duration = Duration::from_millis(5);

/// What a client may send on a stream before it is read: publishes, and a WebSocket's requests.
const STREAM_WINDOW: u32 = 64 << 10;
/// The same for all streams together: so much memory can one connection's client take. A sixteenth
/// for each stream, so that some that are not read do not hold up the others.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Streams that a client may open and reset before they are even looked at (CVE-2023-44487).
const MAX_RESETS_PENDING: usize = 20;
/// Streams that a client's errors may have the server reset (RUSTSEC-2024-0003).
const MAX_ERROR_RESETS: usize = 1_024;
