//! A client's settings.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{ChannelSelector, EventName, Payload, Position, SlowPolicy, Start};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use tokio::sync::mpsc;

use crate::auth::{Credentials, bearer};
use crate::client::Client;
use crate::connection::Context;
use crate::dial::{Connector, Dial, Io, tcp};
use crate::driver::Driver;
use crate::error::{BoxError, BuildError};
use crate::exchange;
use crate::feed::Feed;
use crate::handle::Handle;
use crate::pace::Pace;
use crate::proxy::{Proxy, Wanted};
use crate::state::State;
use crate::target::Target;
use crate::transport::{Choice, Transport};

/// A [`Client`] in the making.
///
/// ```no_run
/// use std::time::Duration;
/// use eventcast_client::{Client, Transport};
/// use eventcast_core::{ChannelName, Start};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://127.0.0.1:8080/events")?
///     .channel(ChannelName::new("news")?)
///     .start(Start::Last(10))
///     .with_bearer("secret")?
///     .with_transports([Transport::Sse, Transport::Poll])
///     .with_max_retry(Duration::from_secs(20))
///     .connect()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ClientBuilder {
    target: Target,
    channels: Vec<String>,
    resume: Option<Position>,
    credentials: Credentials,
    transports: Vec<Transport>,
    retry: Duration,
    min_retry: Duration,
    max_retry: Duration,
    connect_timeout: Duration,
    request_timeout: Duration,
    request_attempts: u32,
    poll_wait: Duration,
    max_message: usize,
    queued_items: usize,
    queued_bytes: u32,
    attempts_per_minute: u32,
    proxy: Wanted,
    dial: Option<Arc<Dial>>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl ClientBuilder {
    pub(crate) fn new(url: &str) -> Result<Self, BuildError> {
        let (target, named) = Target::parse(url)?;
        let resume = named.last_event_id.map(|id| id.parse());
        let resume = resume.transpose();
        Ok(Self {
            target,
            channels: named.channels,
            resume: resume.map_err(|_| BuildError::Url("`last_event_id` is no id".to_owned()))?,
            credentials: Credentials::default(),
            transports: Transport::DEFAULT_ORDER.to_vec(),
            retry: Duration::from_secs(2),
            min_retry: Duration::from_millis(100),
            max_retry: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(35),
            request_attempts: 5,
            poll_wait: Duration::from_secs(25),
            max_message: 8 << 20,
            queued_items: 64,
            queued_bytes: 1 << 20,
            attempts_per_minute: 60,
            proxy: Wanted::default(),
            dial: None,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// One more channel, or pattern.
    pub fn channel(mut self, channel: impl Into<ChannelSelector>) -> Self {
        self.channels.push(channel.into().as_str().to_owned());
        self
    }

    /// Where every channel starts when there is no id to resume by; live by default.
    pub fn start(mut self, start: Start) -> Self {
        self.target.set("start", crate::options::start(&start));
        self
    }

    /// What the server does when this client is slower than its retention; a gap by default.
    pub fn slow(mut self, policy: SlowPolicy) -> Self {
        self.target.set("slow", crate::options::slow(policy));
        self
    }

    /// Only events of this name; of several if called again. `message` stands for events without
    /// a name. What has another name is no loss; ephemeral events come all the same.
    pub fn event(mut self, name: &EventName) -> Self {
        self.target.add("event", name.as_str().to_owned());
        self
    }

    /// Enters every channel, with this state if there is one, and is told who joins and leaves, by
    /// [ephemeral events](crate::Ephemeral) of the name
    /// [`EventName::PRESENCE`](eventcast_core::EventName::PRESENCE). The member is whose the
    /// credentials are.
    pub fn presence(mut self, state: Option<&Payload>) -> Self {
        self.target.set("presence", "1".to_owned());
        if let Some(state) = state.and_then(Payload::as_str) {
            self.target.set("state", state.to_owned());
        }
        self
    }

    /// Goes on after this id, which a client of the same hub had as
    /// [`last_id`](Client::last_id), over any transport.
    pub fn resume(mut self, id: Position) -> Self {
        self.resume = Some(id);
        self
    }

    /// A header of every request, such as a cookie. It is not shown in logs.
    ///
    /// # Errors
    /// [`BuildError::Header`].
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, BuildError> {
        let name = HeaderName::try_from(name).map_err(|_| BuildError::Header)?;
        let mut value = HeaderValue::try_from(value).map_err(|_| BuildError::Header)?;
        value.set_sensitive(true);
        self.credentials.headers.append(name, value);
        Ok(self)
    }

    /// A token that does not change, sent as `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`BuildError::Header`].
    pub fn with_bearer(mut self, token: &str) -> Result<Self, BuildError> {
        let value = bearer(token)?;
        self.credentials.headers.insert(AUTHORIZATION, value);
        Ok(self)
    }

    /// Where a token comes from: it is asked at each connect, and once more after a 401. If it
    /// fails, the client tries again later. [`Handle::refresh`] asks it before the old one expires,
    /// and the connection goes on.
    pub fn with_token<F>(mut self, token: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        self.credentials.refresh = Some(Arc::new(move || Box::pin(token())));
        self
    }

    /// Which transports are tried, in which order; [`Transport::DEFAULT_ORDER`] by default. One
    /// that is blocked on the way is passed over; one that has worked is kept until it fails three
    /// times in a row.
    pub fn with_transports(mut self, order: impl IntoIterator<Item = Transport>) -> Self {
        self.transports = order.into_iter().collect();
        self
    }

    /// How long to wait before the first reconnect until a server has said how long, 2 seconds by
    /// default. The wait is random around it, and longer after each failure.
    pub fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = retry;
        self
    }

    /// The least wait, 100 ms by default, whatever the server says. Much less, and a server that
    /// fails at once is asked without a pause.
    pub fn with_min_retry(mut self, retry: Duration) -> Self {
        self.min_retry = retry;
        self
    }

    /// The longest wait after failures, 60 seconds by default. A server that names a time is
    /// believed up to an hour.
    pub fn with_max_retry(mut self, retry: Duration) -> Self {
        self.max_retry = retry;
        self
    }

    /// How many connections may be attempted in any one minute, over all transports, 60 by default,
    /// at least 1: a bound on what a server can make the client do. The next one waits. Requests of
    /// the [`Handle`] do not count, nor do polls after the first of a session.
    pub fn with_attempts_per_minute(mut self, attempts: u32) -> Self {
        self.attempts_per_minute = attempts;
        self
    }

    /// How long a connection, an answer's head and the first message may each take, 10 seconds by
    /// default. Too short, and a slow network counts as blocked; too long, and a transport that is
    /// blocked holds up the next.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a request of a [`Handle`] may go without an answer, 35 seconds by default; servers
    /// take up to 30 to answer one. Too short, and what took effect counts as not answered.
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How often a [`Handle`] tries to publish an event, or to change the channels, while that may
    /// help, 5 times by default, at least once.
    pub fn with_request_attempts(mut self, attempts: u32) -> Self {
        self.request_attempts = attempts.max(1);
        self
    }

    /// How long a poll may wait, 25 seconds by default, in whole seconds; less where a proxy cuts
    /// requests sooner.
    pub fn with_poll_wait(mut self, wait: Duration) -> Self {
        self.poll_wait = wait;
        self
    }

    /// How many bytes one event, or one answer, may take on the wire, 8 MiB by default. It has to
    /// be more than the largest payload that is published, which base64 makes larger by a third.
    pub fn with_max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How far the connection may be ahead of the user: 64 items and 1 MiB of payloads by default,
    /// at least one. A single payload that is larger passes alone.
    pub fn with_queue(mut self, items: usize, bytes: u32) -> Self {
        self.queued_items = items.clamp(1, 1 << 16);
        self.queued_bytes = bytes.clamp(1, 1 << 28);
        self
    }

    /// Goes through this proxy: `http://`, `socks5://` (names are looked up here), `socks5h://` (by
    /// the proxy), and with the feature `tls` `https://`, with a user and a password if need be.
    ///
    /// Without it, the environment decides, as it does for curl: `HTTP_PROXY`, `HTTPS_PROXY`,
    /// `ALL_PROXY` and `NO_PROXY`, in upper or lower case; what is on this machine needs none. A
    /// request without TLS is made to the proxy; WebSockets and TLS are tunnelled (CONNECT).
    pub fn with_proxy(mut self, url: &str) -> Self {
        self.proxy = Wanted::This(url.to_owned());
        self
    }

    /// Goes through no proxy, whatever the environment says.
    pub fn without_proxy(mut self) -> Self {
        self.proxy = Wanted::Nobody;
        self
    }

    /// Connects by a function of a host and a port in place of TCP: over a Unix socket, or in
    /// memory. TLS goes over it; proxies are the function's to mind.
    pub fn with_dialer<F, S>(
        mut self,
        dial: impl Fn(String, u16) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: Io + 'static,
    {
        self.dial = Some(Arc::new(move |host, port| {
            let dialing = dial(host, port);
            Box::pin(async move { dialing.await.map(|io| Box::new(io) as Box<dyn Io>) })
        }));
        self
    }

    /// TLS with roots or certificates of one's own; Mozilla's roots by default. Its application
    /// protocols (ALPN) are set by the client.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn with_tls(mut self, tls: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Connects. It returns at once; what becomes of it is in the stream.
    ///
    /// # Errors
    /// [`BuildError`] when something needed is missing.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(self) -> Result<Client, BuildError> {
        if self.channels.is_empty() {
            return Err(BuildError::NoChannel);
        }
        if self.transports.is_empty() {
            return Err(BuildError::NoTransport);
        }
        let (transports, resume) = (self.transports.clone(), self.resume);
        let (items, bytes) = (self.queued_items, self.queued_bytes);
        let pace = Pace::new(self.attempts_per_minute);
        let context = self.context()?;
        let state = Arc::clone(&context.state);
        let (sender, queue) = mpsc::channel(items);
        let handle = Handle::new(context.clone());
        let feed = Feed::new(sender, bytes, Arc::clone(&state), resume);
        let driver = Driver {
            backoff: context.backoff(),
            context,
            feed,
            choice: Choice::new(transports),
            pace,
            refreshed: false,
        };
        let task = tokio::spawn(driver.run()).abort_handle();
        Ok(Client::new(queue, state, handle, task))
    }

    /// A handle without a client: it publishes, asks and reads history, and has no connection of
    /// its own between that. It needs no channel. To change channels is
    /// [`RequestError::Ended`](crate::RequestError::Ended), for there is no session.
    ///
    /// # Errors
    /// [`BuildError`] when something needed is missing.
    pub fn handle(self) -> Result<Handle, BuildError> {
        let context = self.context()?;
        context.state.end();
        Ok(Handle::new(context))
    }

    fn context(self) -> Result<Context, BuildError> {
        let target = self.target.origin().map_err(BuildError::Url)?;
        let proxy = match &self.dial {
            None => Proxy::find(&self.proxy, &target)?,
            Some(_) => None,
        };
        let connector = Connector {
            dial: self.dial.unwrap_or_else(tcp),
            #[cfg(feature = "tls")]
            tls: self.tls.map_or_else(crate::tls::default, Ok)?,
            proxy: proxy.map(Arc::new),
        };
        Ok(Context {
            target: Arc::new(self.target),
            credentials: self.credentials,
            http: exchange::client(connector.clone()),
            connector,
            state: Arc::new(State::new(self.channels, self.resume)),
            retry: self.retry,
            min_retry: self.min_retry,
            max_retry: self.max_retry,
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            request_attempts: self.request_attempts,
            poll_wait: self.poll_wait,
            max_message: self.max_message,
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of the credentials.
        f.debug_struct("ClientBuilder")
            .field("target", &self.target)
            .field("channels", &self.channels)
            .field("resume", &self.resume)
            .field("transports", &self.transports)
            .finish_non_exhaustive()
    }
}
