//! Binding, serving, shutting down.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eventcast_core::End;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::ServerConfig;
use super::socket;
use super::stall::StallGuard;
use super::takeover::EventStream;
use crate::body::ResponseBody;
use crate::service::EventService;

/// Serves an [`EventService`] over HTTP/1.1.
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
}

impl Server {
    /// Takes an address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is not valid, taken, or not allowed.
    pub async fn bind(address: impl ToSocketAddrs, service: EventService) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            service,
            config: ServerConfig::new(),
        })
    }

    /// The same with other settings.
    #[must_use]
    pub fn with_config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// The address that was taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done, then stops accepting, ends every session as
    /// [`End::Draining`], and returns when all connections are closed, or
    /// [`ServerConfig::with_shutdown_grace`] is over.
    ///
    /// # Cancel safety
    /// Dropping it stops accepting at once and leaves open connections to themselves.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let tasks = TaskTracker::new();
        let closing = CancellationToken::new();
        let cut = CancellationToken::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    socket::prepare(&stream, self.config.unsent_bytes());
                    let service = self.service.clone();
                    let connection = serve(stream, service, self.config, closing.clone());
                    tasks.spawn(cut.clone().run_until_cancelled_owned(connection));
                }
                // Out of file descriptors or the like: what is open goes on, and frees some.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
        drop(self.listener);
        self.service.end_sessions(End::Draining { retry: None });
        closing.cancel();
        tasks.close();
        let ended = async { tokio::join!(tasks.wait(), self.service.sessions_ended()) };
        let ended = tokio::time::timeout(self.config.shutdown_grace(), ended).await;
        if ended.is_err() {
            cut.cancel();
            tasks.wait().await;
        }
    }
}

async fn serve(
    stream: TcpStream,
    service: EventService,
    config: ServerConfig,
    closing: CancellationToken,
) {
    let io = StallGuard::new(stream, config.write_timeout());
    if let Some((io, response)) = answer(io, service, config, closing).await {
        EventStream::new(io, response).await;
    }
}

/// Answers requests until the connection ends, or until one is answered with an event stream: the
/// socket is handed back then, with that response.
async fn answer<S>(
    io: S,
    service: EventService,
    config: ServerConfig,
    closing: CancellationToken,
) -> Option<(S, Response<ResponseBody>)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handed_over = HandedOver::default();
    let slot = handed_over.clone();
    let handler = service_fn(move |request: Request<Incoming>| {
        let (service, slot) = (service.clone(), slot.clone());
        // Boxed: hyper keeps room for this future as long as the connection lives.
        Box::pin(async move {
            let takes_chunks = request.version() == Version::HTTP_11;
            let response = service.handle(request).await;
            if takes_chunks && response.body().is_stream() {
                // hyper writes nothing after an error of its service, and gives the socket back.
                slot.put(response);
                return Err(NotByHyper);
            }
            Ok(response)
        })
    });
    let mut connection = Box::pin(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout())
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(io), handler)
            .with_upgrades(),
    );
    // How a connection failed is of no use to anybody: its sessions end with it.
    let _ = tokio::select! {
        result = &mut connection => result,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            (&mut connection).await
        }
    };
    let response = handed_over.take()?;
    let parts = Pin::into_inner(connection).into_parts()?;
    Some((parts.io.into_inner(), response))
}

#[derive(Debug, thiserror::Error)]
#[error("the response is an event stream, which is written without hyper")]
struct NotByHyper;

/// Where a service leaves the response that is not for hyper.
#[derive(Clone, Default)]
struct HandedOver(Arc<Mutex<Option<Response<ResponseBody>>>>);

impl HandedOver {
    fn put(&self, response: Response<ResponseBody>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
    }

    fn take(&self) -> Option<Response<ResponseBody>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take()
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The largest request head.
const MAX_HEAD: usize = 16 << 10;
