//! Binding, serving, shutting down.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::time::timeout;
use tokio_util::future::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::ServerConfig;
use super::link::Link;
use super::preface::{Version, sniff};
use super::seats::{Seat, Seats};
use super::stall::StallGuard;
#[cfg(feature = "tls")]
use super::tls::TlsConfig;
use super::{http1, http2, socket};
use crate::address::ClientAddress;
use crate::figures::Figures;
use crate::limits::Limit;
use crate::service::EventService;
use crate::trace;

/// Serves an [`EventService`] over HTTP/1.1 and HTTP/2, on one port.
///
/// Over TCP as it is, a client that knows so begins to speak HTTP/2 (`curl
/// --http2-prior-knowledge`); everybody else gets HTTP/1.1. Over TLS the two agree on one of them
/// first, and browsers choose HTTP/2: all event streams and WebSockets of a browser's pages then
/// share one connection, where HTTP/1.1 lets it have six. What bounds an HTTP/2 connection is in
/// [`ServerConfig`].
///
/// ```no_run
/// use eventcast::{EventService, Hub, Server, ServiceConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let service = EventService::new(Hub::new(), ServiceConfig::new());
/// let server = Server::bind("127.0.0.1:8080", service).await?;
/// server.run(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    service: EventService,
    config: ServerConfig,
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
}

impl Server {
    /// Takes an address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is not valid, taken, or not allowed.
    pub async fn bind(address: impl ToSocketAddrs, service: EventService) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        // All clients of a hub that is gone come at once; who finds the queue full waits a second.
        SockRef::from(&listener).listen(BACKLOG)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            service,
            config: ServerConfig::new(),
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// The same with other settings.
    #[must_use]
    pub fn with_config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// The same over TLS, and over nothing else: who serves both binds two of them, with clones of
    /// one service. A handshake has [`ServerConfig::with_header_timeout`] to be done.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The address that was taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done, or the service's [drain](EventService::drain) is begun by
    /// hand; then drains it, over [`ServerConfig::with_drain_window`] in the first case: sessions
    /// end one by one, while other requests are still answered, and HTTP/2 clients are told to
    /// open no more streams. Once no session is open, or the window is over, it stops accepting, and
    /// returns when all connections are closed, or [`ServerConfig::with_shutdown_grace`] is over,
    /// too.
    ///
    /// Several servers of one service drain together, as soon as one of them does.
    ///
    /// # Cancel safety
    /// Dropping it stops accepting at once and leaves open connections to themselves.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let serving = Serving::new(self.service, self.config);
        let seats = Seats::default();
        let tasks = &serving.tasks;
        let mut drained = pin!(serving.drained(shutdown));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut drained => break,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of file descriptors or the like: what is open goes on, and frees some.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let address = ClientAddress::new(peer.ip());
            let Some(seat) = serving.seat(&seats, address) else {
                #[cfg(feature = "tls")]
                let is_plain = self.tls.is_none();
                #[cfg(not(feature = "tls"))]
                let is_plain = true;
                if is_plain {
                    // Who does not take this at once will find the connection closed.
                    let _ = stream.try_write(FULL);
                }
                continue;
            };
            socket::prepare(&stream, &self.config);
            let cut = serving.cut.clone();
            let mut serving = serving.clone();
            serving.address = Some(address);
            #[cfg(feature = "tls")]
            if let Some(tls) = &self.tls {
                let connection = encrypted(stream, tls.clone(), serving, Some(seat));
                let connection = trace::connection(Some(address), true, connection);
                tasks.spawn(connection.with_cancellation_token_owned(cut));
                continue;
            }
            let connection = plain(stream, serving, Some(seat));
            let connection = trace::connection(Some(address), false, connection);
            tasks.spawn(connection.with_cancellation_token_owned(cut));
        }
        drop(self.listener);
        serving.closing.cancel();
        tasks.close();
        let ended = async { tokio::join!(tasks.wait(), serving.service.sessions_ended()) };
        let ended = timeout(self.config.shutdown_grace(), ended).await;
        if ended.is_err() {
            serving.cut.cancel();
            tasks.wait().await;
        }
    }
}

/// Serves one connection over any stream as [`Server::run`] serves each, until it and its sessions
/// have ended; dropping it cuts the connection.
///
/// Hidden: the tests prove the server's own path with it, over streams that they cut.
#[doc(hidden)]
pub async fn serve_connection<S>(
    service: EventService,
    config: ServerConfig,
    #[cfg(feature = "tls")] tls: Option<TlsConfig>,
    io: S,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let serving = Serving::new(service.clone(), config);
    let (tasks, _cut_when_dropped) = (serving.tasks.clone(), serving.cut.clone().drop_guard());
    #[cfg(feature = "tls")]
    match tls {
        Some(tls) => encrypted(io, tls, serving, None).await,
        None => plain(io, serving, None).await,
    }
    #[cfg(not(feature = "tls"))]
    plain(io, serving, None).await;
    tasks.close();
    tasks.wait().await;
    service.sessions_ended().await;
}

/// What every connection of a server is given.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) service: EventService,
    pub(super) config: ServerConfig,
    /// Cancelled when clients are to come back elsewhere.
    pub(super) draining: CancellationToken,
    /// Cancelled when no further requests are taken.
    pub(super) closing: CancellationToken,
    /// Cancelled when a shutdown waits no longer.
    pub(super) cut: CancellationToken,
    /// What a shutdown waits for.
    pub(super) tasks: TaskTracker,
    /// Where the connection comes from, if it comes from an address.
    pub(super) address: Option<ClientAddress>,
}

impl Serving {
    fn new(service: EventService, config: ServerConfig) -> Self {
        Self {
            service,
            config,
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            address: None,
        }
    }

    /// Done when nothing more is to be accepted.
    async fn drained(&self, shutdown: impl Future<Output = ()>) {
        let registry = &self.service.shared().registry;
        tokio::select! {
            () = shutdown => drop(self.service.drain(self.config.drain_window())),
            () = registry.drain_begins() => {}
        }
        self.draining.cancel();
        registry.drained().await;
    }

    /// A place for a connection from an address, or none, which is counted.
    fn seat(&self, seats: &Seats, address: ClientAddress) -> Option<Seat> {
        let shared = self.service.shared();
        let is_trusted = || shared.config.trusted_proxies.includes(address.ip());
        let counted = (!address.is_own() && !is_trusted()).then_some(address);
        let (all, one) = (
            self.config.max_connections(),
            self.config.max_connections_per_address(),
        );
        let seat = seats.take(counted, all, one);
        if seat.is_none() {
            shared.gate.count(Limit::Connections);
        }
        seat
    }

    /// Made only where somebody wants to know how sessions end.
    fn link(&self) -> Option<Arc<Link>> {
        let asked = self.service.shared().config.on_disconnect.is_some();
        let wanted = Figures::ARE_KEPT || trace::IS_ON || asked;
        let silence = self.config.ping_interval().saturating_mul(2) * 9 / 10;
        wanted.then(|| Arc::new(Link::new(silence, self.cut.clone())))
    }

    fn guard<S>(&self, stream: S, link: Option<Arc<Link>>, seat: Option<Seat>) -> StallGuard<S> {
        let service = self.service.clone();
        StallGuard::new(stream, self.config.write_timeout(), link, service, seat)
    }

    /// Does what comes before a connection's first request, unless it takes too long.
    async fn before_requests<T>(&self, work: impl Future<Output = io::Result<T>>) -> Option<T> {
        let work = timeout(self.config.header_timeout(), work);
        let done = self.closing.run_until_cancelled(work).await?;
        if done.is_err() {
            self.service.shared().gate.count(Limit::HeadTimeouts);
        }
        done.ok()?.ok()
    }

    async fn speak<S>(self, version: Version, io: S, link: Option<Arc<Link>>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match version {
            Version::Http1 => http1::serve(io, self, link).await,
            // Boxed: it is much larger, and there are far fewer of them.
            Version::Http2 => Box::pin(http2::serve(io, self, link)).await,
        }
    }
}

async fn plain<S>(stream: S, serving: Serving, seat: Option<Seat>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let link = serving.link();
    let io = serving.guard(stream, link.clone(), seat);
    if let Some((version, io)) = serving.before_requests(sniff(io)).await {
        serving.speak(version, io, link).await;
    }
}

#[cfg(feature = "tls")]
async fn encrypted<S>(stream: S, tls: TlsConfig, serving: Serving, seat: Option<Seat>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // Below TLS, which takes bytes without having written them.
    let link = serving.link();
    let io = serving.guard(stream, link.clone(), seat);
    let handshake = Box::pin(tls.accept(io));
    if let Some((version, io)) = serving.before_requests(handshake).await {
        serving.speak(version, io, link).await;
    }
}

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\
    Connection: close\r\nContent-Length: 0\r\n\r\n";
/// How many may be connected and not yet accepted; the system may have a lower limit.
const BACKLOG: i32 = 4096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
