//! An event service's settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::access::{Authenticator, SubscribeOnly};
use crate::address::TrustedProxies;
use crate::disconnect::{Disconnected, OnDisconnect};
use crate::limits::Limits;
use crate::origin::AllowedOrigins;
use crate::request::RequestHandler;
use crate::stats::MetricsPage;

/// An [`EventService`](crate::EventService)'s settings. By default everybody may subscribe,
/// nobody may publish over the network, and only pages of the same origin may do either.
///
/// ```
/// use std::time::Duration;
/// use eventcast::{AllowedOrigins, ServiceConfig};
///
/// let config = ServiceConfig::new()
///     .with_heartbeat(Duration::from_secs(20))
///     .with_allowed_origins(AllowedOrigins::same_origin().and("https://app.example.com"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct ServiceConfig {
    pub(crate) heartbeat: Duration,
    pub(crate) retry: Duration,
    pub(crate) linger: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) poll_wait: Duration,
    pub(crate) session_keep: Duration,
    pub(crate) max_message: usize,
    pub(crate) limits: Limits,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) ticket_lifetime: Duration,
    pub(crate) origins: AllowedOrigins,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) request_handler: Option<Arc<dyn RequestHandler>>,
    pub(crate) request_timeout: Duration,
    pub(crate) fallback: Option<Arc<Fallback>>,
    pub(crate) on_disconnect: Option<Arc<OnDisconnect>>,
    pub(crate) named_members: bool,
    pub(crate) metrics_page: Option<Arc<MetricsPage>>,
}

pub(crate) type Fallback = dyn Fn(&Parts) -> Option<Response<Bytes>> + Send + Sync;

impl ServiceConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            linger: Duration::ZERO,
            write_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            poll_wait: Duration::from_secs(25),
            session_keep: Duration::from_secs(120),
            max_message: 1 << 20,
            limits: Limits::new(),
            trusted_proxies: TrustedProxies::none(),
            ticket_lifetime: Duration::from_secs(30),
            origins: AllowedOrigins::same_origin(),
            authenticator: Arc::new(SubscribeOnly),
            request_handler: None,
            request_timeout: Duration::from_secs(30),
            fallback: None,
            on_disconnect: None,
            named_members: false,
            metrics_page: None,
        }
    }

    /// How often an idle connection gives a sign of life, 15 seconds by default. Longer, and
    /// proxies cut connections that they take for dead; shorter wakes phones for nothing.
    pub fn with_heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// How long clients wait before they reconnect, 2 seconds by default. Each is told a time
    /// between half and one and a half times this, so that they do not come back all at once.
    pub fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = retry;
        self
    }

    /// For how long events wait for others after a batch, to be written with them; zero by default,
    /// at most a second. The first one after a pause is sent at once. Polls are answered as ever. See
    /// [`Linger`](crate::Linger).
    ///
    /// Some milliseconds save most of the cost where many events a second come one by one; much
    /// more, and people notice.
    pub fn with_linger(mut self, window: Duration) -> Self {
        self.linger = window;
        self
    }

    /// How long a WebSocket's write may make no progress, 30 seconds by default, before the
    /// connection is cut. For everything else [`ServerConfig`](crate::ServerConfig) has the same.
    pub fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How long the body of a publish or request may take to arrive, 30 seconds by default.
    pub fn with_body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// How long a poll may wait for something new, 25 seconds by default; a client may ask for less.
    /// Longer, and proxies cut it (nginx after 60 seconds, some after 30); shorter is more requests.
    pub fn with_poll_wait(mut self, wait: Duration) -> Self {
        self.poll_wait = wait;
        self
    }

    /// How long a session's channels are kept after its connection is gone, for the client that
    /// comes back with its key; 2 minutes by default. At most 10,000 that were changed are kept, and
    /// as many that were not, 16 MiB of each: the longest ago left goes first.
    pub fn with_session_keep(mut self, keep: Duration) -> Self {
        self.session_keep = keep;
        self
    }

    /// The largest message or body from a client, 1 MiB by default. The hub's own limit
    /// ([`HubConfig::with_max_payload`](crate::HubConfig::with_max_payload)) holds beside it.
    pub fn with_max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How much clients may have; see [`Limits`] for the defaults.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Proxies that say where requests come from; none by default. Behind one that is not named
    /// here all clients are at one address, and share what one address may have.
    pub fn with_trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_proxies = proxies;
        self
    }

    /// How long a ticket (`POST /tickets`) is good, 30 seconds by default: from the page that asks
    /// for it to the connection that it opens. Longer, and a URL that leaks is good for longer.
    pub fn with_ticket_lifetime(mut self, lifetime: Duration) -> Self {
        self.ticket_lifetime = lifetime;
        self
    }

    /// Which pages of other origins may use the service; none by default.
    pub fn with_allowed_origins(mut self, origins: AllowedOrigins) -> Self {
        self.origins = origins;
        self
    }

    /// Who may do what; [`SubscribeOnly`] by default.
    pub fn with_authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Arc::new(authenticator);
        self
    }

    /// Answers what clients ask: `request` over WebSocket, `POST /requests/{name}` otherwise. By
    /// default nothing is answered, and those paths are not the service's.
    ///
    /// With a handler each WebSocket keeps the head of its handshake, a kibibyte or so.
    pub fn with_request_handler(mut self, handler: impl RequestHandler) -> Self {
        self.request_handler = Some(Arc::new(handler));
        self
    }

    /// How long the [handler](Self::with_request_handler) may take for a request, 30 seconds by
    /// default; then its future is dropped, and the client is told `timeout`, or 504.
    ///
    /// Too short refuses what would have been answered a moment later, and may have taken effect;
    /// too long lets one request hold up all that a WebSocket's client sends after it.
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Answers requests for paths that are not the service's: a page, a redirect. What is larger
    /// than that belongs into a router that the service is mounted in.
    pub fn with_fallback(
        mut self,
        fallback: impl Fn(&Parts) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.fallback = Some(Arc::new(fallback));
        self
    }

    /// Whether clients whose credentials do not say who they are may say it themselves, by `member`
    /// in the query, when they enter channels; no by default. Anybody can then take any name that is
    /// nobody's principal, and those too: for demonstrations, and where names mean nothing.
    pub fn with_named_members(mut self, allowed: bool) -> Self {
        self.named_members = allowed;
        self
    }

    /// Answers `GET /metrics` with what this renders, in Prometheus' text format, to whoever may
    /// [administer](crate::Action::Administer) every channel. By default that path is not the
    /// service's. The figures are those of the feature `metrics`; see `docs/observability.md`.
    pub fn with_metrics_page(
        mut self,
        render: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.metrics_page = Some(Arc::new(render));
        self
    }

    /// Calls back once for each session that is over, with the reason, on whatever transport: who
    /// is present, or how connections end. It is called on the connection's task, so it has to be
    /// quick and must not panic.
    ///
    /// A poll is a session until it is answered. An answer is no disconnect, for the client is to
    /// ask again, unless the answer tells an end; a client that leaves while it waits is one. So
    /// who counts presence and lets clients poll gives them a while to ask again. Sessions that were
    /// refused were never open.
    ///
    /// A FIN or RST is noticed at once, with two exceptions: while a WebSocket's request is being
    /// answered, and while a poll waits whose client sent more than its request, which is noticed
    /// when the answer is due. A client that vanished without a word is noticed as
    /// [`ServerConfig::with_write_timeout`](crate::ServerConfig::with_write_timeout) says. In
    /// somebody else's server, event streams and streams do not know more than that their body
    /// was dropped: [`Left`](crate::DisconnectReason::Left).
    ///
    /// ```
    /// use eventcast::ServiceConfig;
    ///
    /// let config = ServiceConfig::new().with_on_disconnect(|session| {
    ///     println!("{:?} after {:?}: {:?}", session.transport, session.lasted, session.reason);
    /// });
    /// ```
    pub fn with_on_disconnect(
        mut self,
        callback: impl Fn(&Disconnected) + Send + Sync + 'static,
    ) -> Self {
        self.on_disconnect = Some(Arc::new(callback));
        self
    }
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ServiceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceConfig")
            .field("heartbeat", &self.heartbeat)
            .field("retry", &self.retry)
            .field("linger", &self.linger)
            .field("write_timeout", &self.write_timeout)
            .field("body_timeout", &self.body_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("max_message", &self.max_message)
            .field("limits", &self.limits)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}
