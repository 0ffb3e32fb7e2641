//! One HTTP service for all transports.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use eventcast_core::{End, Hub};
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use crate::access::{Denied, Grant, Revocation};
use crate::body::ResponseBody;
use crate::change::change;
use crate::config::ServiceConfig;
use crate::cors::{allow_origin, preflight};
use crate::figures::{Figures, Resource};
use crate::history::history;
use crate::limits::{Gate, Limit, Refusals};
use crate::origin::Verdict;
use crate::presence::{presence, update};
use crate::problem::Problem;
use crate::publish::publish;
use crate::query::Query;
use crate::refresh::{narrow, refresh};
use crate::registry::{Registry, Subscribers, Transport};
use crate::request::answer;
use crate::sessions::Sessions;
use crate::spread::around;
use crate::stats::{channels, metrics, sessions, stats};
use crate::subscribe::subscribe;
use crate::target::Target;
use crate::tickets::{Tickets, issue};
use crate::timer::TokioTimer;
use crate::trace;

/// A hub's HTTP service: a [`tower::Service`](tower_service::Service), so any router can mount it,
/// and what [`Server`](crate::Server) serves. Clones share one service.
///
/// | request | what it does |
/// |---|---|
/// | `GET /events?channel=a&channel=b` | an event stream (SSE) |
/// | the same with `Upgrade: websocket`, or `CONNECT` over HTTP/2 | a WebSocket |
/// | the same with `Accept: application/x-ndjson`, or `transport=stream` | a stream of JSON lines |
/// | the same with `Accept: application/json`, or `transport=poll` | the answer to a long-poll |
/// | `POST`, `DELETE /sessions/{key}?channel=c` | adds channels to a live session, removes them |
/// | `POST /sessions/{key}/refresh` | gives a live session the request's credentials |
/// | `POST /tickets` | gives a ticket for one subscription, `ticket` in its query |
/// | `POST /channels/{channel}` | publishes the body |
/// | `GET /channels/{channel}/history` | a page of what the channel retains |
/// | `GET /channels/{channel}/presence` | a page of who is on the channel; with `count`, how many |
/// | `POST /sessions/{key}/presence?channel=c` | makes the body a member's state |
/// | `POST /requests/{name}` | asks the [`RequestHandler`](crate::RequestHandler), if there is one |
/// | `GET /healthz` | 200 while it takes new sessions |
/// | `GET /stats` | figures as JSON, for who may administer |
/// | `GET /stats/channels`, `GET /stats/sessions` | pages of what there is, for the same |
/// | `GET /metrics` | the same for Prometheus, [if it is set up](ServiceConfig::with_metrics_page) |
///
/// Parameters of a subscription: `channel` (repeatable; `orders/*` for all channels whose names
/// begin so), `last_event_id` (or the header `Last-Event-ID`, which wins), `start` (`live`,
/// `earliest`, `last:N`, `since:MILLIS`, `after:ID`, where no id is given), `slow` (`gap`,
/// `conflate`, `disconnect`), `event` (repeatable: only events of these names), `format` (`plain` or
/// `json`), `transport` (`sse`, `stream`, `poll`, `websocket`), `wait` (of a poll, in seconds),
/// `session` (the key of one that comes back), `presence` (enters the channels, and tells who joins
/// and leaves; `watch` only tells), `state` (with which it enters), `member` (as whom, where that is
/// the client's to [say](ServiceConfig::with_named_members)). Of a page of history: `order`
/// (`oldest`, `newest`), `from` (an id), `limit`; of one of members,
/// channels or sessions: `after`, `limit`.
/// Everything refused is a problem document (RFC 9457).
///
/// # Examples
/// ```
/// use eventcast::{EventService, Hub, ServiceConfig};
/// use http::Request;
/// use http_body_util::Empty;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = EventService::new(Hub::new(), ServiceConfig::new());
/// let request = Request::get("/healthz").body(Empty::<bytes::Bytes>::new()).unwrap();
/// assert_eq!(service.handle(request).await.status(), 200);
/// # }
/// ```
#[derive(Clone)]
pub struct EventService {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(crate) config: ServiceConfig,
    pub(crate) registry: Registry,
    pub(crate) sessions: Sessions,
    pub(crate) tickets: Tickets,
    pub(crate) gate: Gate,
    pub(crate) timer: Arc<TokioTimer>,
    pub(crate) figures: Figures,
}

impl Shared {
    /// What the sender of a request may do, by his own credentials.
    pub(crate) async fn authenticate(&self, parts: &Parts) -> Result<Grant, Denied> {
        let revocations = self.registry.revoked();
        let permissions = self.config.authenticator.authenticate(parts).await?;
        if permissions.expires().is_some_and(|at| at <= Instant::now()) {
            return Err(Denied::Unauthorized);
        }
        Ok(Grant {
            permissions,
            address: self.config.trusted_proxies.client_of(parts),
            revocations,
        })
    }

    /// The same of a subscriber, who may bring a ticket instead.
    async fn admit(&self, parts: &Parts, query: &Query) -> Result<Grant, Problem> {
        self.gate.open()?;
        let Some(ticket) = &query.ticket else {
            return Ok(self.authenticate(parts).await?);
        };
        Ok(Grant {
            revocations: self.registry.revoked(),
            permissions: self.tickets.redeem(ticket)?,
            address: self.config.trusted_proxies.client_of(parts),
        })
    }

    /// The same of somebody who has work for the server.
    async fn allow_work(&self, parts: &Parts) -> Result<Grant, Problem> {
        let grant = self.authenticate(parts).await?;
        self.gate.write(&grant.permissions, grant.address)?;
        Ok(grant)
    }

    pub(crate) fn refresh_figures(&self) {
        self.figures.refresh(&self.hub, self.config.limits.sessions);
    }

    /// The answer when no new session is taken.
    pub(crate) fn unavailable(&self) -> Problem {
        let retry = around(self.config.retry).as_secs_f64().ceil();
        Problem::unavailable((retry as u64).max(1))
    }
}

impl EventService {
    /// A service for a hub.
    ///
    /// Inside a tokio runtime it spawns the hub's [drivers](Hub::drivers), unless that was done
    /// already.
    pub fn new(hub: Hub, config: ServiceConfig) -> Self {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            for driver in hub.drivers(TokioTimer) {
                runtime.spawn(driver);
            }
        }
        let figures = Figures::new(&hub);
        let shared = Arc::new(Shared {
            hub,
            sessions: Sessions::new(config.session_keep),
            registry: Registry::new(config.retry, config.limits),
            tickets: Tickets::new(config.ticket_lifetime),
            gate: Gate::new(&config.limits, figures.clone()),
            config,
            timer: Arc::new(TokioTimer),
            figures,
        });
        if Figures::ARE_KEPT
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(refresh_figures(Arc::downgrade(&shared)));
        }
        Self { shared }
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// Ends every open session in this way, now, and takes no new ones: they are answered with a
    /// 503; after [`End::Draining`], an event stream is answered with that end, because an
    /// `EventSource` would not come back after a 503. See [`drain`](Self::drain) for a gentler way.
    pub fn end_sessions(&self, end: End) {
        self.shared.registry.end_all(end);
    }

    /// Done once no session is open.
    ///
    /// # Cancel safety
    /// It only watches: dropping it changes nothing.
    pub async fn sessions_ended(&self) {
        self.shared.registry.empty().await;
    }

    /// The open sessions, by transport.
    #[must_use]
    pub fn subscribers(&self) -> Subscribers {
        Subscribers {
            poll: self.shared.registry.count(Transport::Poll),
            sse: self.shared.registry.count(Transport::Sse),
            stream: self.shared.registry.count(Transport::Stream),
            websocket: self.shared.registry.count(Transport::WebSocket),
        }
    }

    /// How often clients met a [limit](crate::Limits).
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.shared.gate.refusals()
    }

    /// Takes back what was allowed, from sessions that are open and tickets that are out: sessions
    /// end as [`End::Revoked`] at once, or, if the revocation is of channels, go on without them,
    /// and are told so in place. One that does not follow within a second ends. What a session lost
    /// it does not get back by asking, but by a refresh, or by coming back.
    ///
    /// That nobody is let in again by the same credentials is for the authenticator to see to,
    /// before this is called.
    ///
    /// # Panics
    /// Outside a tokio runtime, if the revocation is of channels.
    pub fn revoke(&self, revocation: &Revocation) {
        self.shared.tickets.revoke(revocation);
        let meant = self.shared.registry.revoke(revocation);
        let ended = meant.iter().filter(|(_, ends)| *ends).count();
        trace::revoked(ended, meant.len() - ended);
        for (session, ends) in meant {
            if ends {
                session.end(End::Revoked);
                continue;
            }
            let revocation = revocation.clone();
            tokio::spawn(narrow(session, move |channel| !revocation.takes(channel)));
        }
    }

    /// Answers a request. A WebSocket's connection is spawned on the tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping it before it is done answers nothing; a publish may have happened all the same.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data: Buf + Send> + Send,
    {
        let config = &self.shared.config;
        let found = Target::find(request.method(), request.uri().path());
        // Without a handler these paths are not the service's.
        let taken = config.request_handler.is_some() || !Target::is_request(request.uri().path());
        let taken = taken && (config.metrics_page.is_some() || request.uri().path() != "/metrics");
        let Some(target) = found.filter(|_| taken) else {
            return self.elsewhere(&request.into_parts().0);
        };
        let (parts, body) = request.into_parts();
        let verdict = config.origins.judge(&parts);
        let is_preflight = parts.method == Method::OPTIONS;
        let resource = target.as_ref().map_or(Resource::Other, Resource::of);
        let reject = |problem: Problem| {
            if let Some(limit) = problem.limit() {
                self.shared.gate.count(limit);
            }
            self.shared.figures.rejected(resource, problem.status());
            trace::refused(resource, problem.status());
            problem.into_response()
        };
        let mut response = match (target, &verdict) {
            (Err(problem), _) => reject(problem),
            (Ok(Target::Health), _) => self.health(&parts),
            (Ok(_), Verdict::Foreign) => reject(Problem::new(
                StatusCode::FORBIDDEN,
                "pages of this origin are not allowed here",
            )),
            (Ok(_), _) if is_preflight => preflight(),
            (Ok(target), _) => self.act(target, parts, body).await.unwrap_or_else(reject),
        };
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        if let Verdict::Allowed(origin) = verdict {
            allow_origin(&origin, headers);
        }
        response
    }

    async fn act<B>(
        &self,
        target: Target,
        parts: Parts,
        body: B,
    ) -> Result<Response<ResponseBody>, Problem>
    where
        B: Body<Data: Buf + Send> + Send,
    {
        let limit = self.shared.config.limits.query;
        if parts.uri.query().is_some_and(|query| query.len() > limit) {
            return Err(Problem::new(
                StatusCode::URI_TOO_LONG,
                format!("the query is longer than {limit} bytes"),
            )
            .past(Limit::Queries));
        }
        let query = Query::parse(&parts)?;
        let shared = &self.shared;
        match target {
            Target::Channel(channel) if parts.method == Method::POST => {
                let grant = shared.allow_work(&parts).await?;
                publish(shared, &grant.permissions, channel, &parts, query, body).await
            }
            Target::Channel(_) => Err(Problem::method_not_allowed("POST")),
            Target::History(channel) if matches!(parts.method, Method::GET | Method::HEAD) => {
                let grant = shared.allow_work(&parts).await?;
                history(shared, &grant.permissions, &channel, query.history).await
            }
            Target::Presence(channel) if matches!(parts.method, Method::GET | Method::HEAD) => {
                let grant = shared.allow_work(&parts).await?;
                presence(shared, &grant.permissions, &channel, &query)
            }
            Target::History(_) | Target::Presence(_) => {
                Err(Problem::method_not_allowed("GET, HEAD"))
            }
            Target::State(key) if parts.method == Method::POST => {
                let grant = shared.allow_work(&parts).await?;
                update(shared, &grant, &key, &query, &parts, body).await
            }
            Target::Events
                if matches!(parts.method, Method::CONNECT | Method::GET | Method::HEAD) =>
            {
                let grant = shared.admit(&parts, &query).await?;
                subscribe(shared, grant, parts, query).await
            }
            Target::Events => Err(Problem::method_not_allowed("GET, HEAD")),
            Target::Request(name) if parts.method == Method::POST => {
                let grant = shared.allow_work(&parts).await?;
                answer(shared, &grant.permissions, &name, &parts, body).await
            }
            Target::Request(_) => Err(Problem::method_not_allowed("POST")),
            Target::Session(key) if matches!(parts.method, Method::DELETE | Method::POST) => {
                let grant = shared.allow_work(&parts).await?;
                change(shared, &grant, &key, &parts.method, &query).await
            }
            Target::Session(_) => Err(Problem::method_not_allowed("POST, DELETE")),
            Target::Refresh(key) if parts.method == Method::POST => {
                let grant = shared.allow_work(&parts).await?;
                refresh(shared, &grant, &key).await
            }
            Target::Tickets if parts.method == Method::POST => {
                let grant = shared.allow_work(&parts).await?;
                issue(shared, &grant, &query)
            }
            Target::Refresh(_) | Target::State(_) | Target::Tickets => {
                Err(Problem::method_not_allowed("POST"))
            }
            Target::Health => Ok(self.health(&parts)),
            Target::Metrics | Target::Stats | Target::StatsOfChannels | Target::StatsOfSessions
                if !matches!(parts.method, Method::GET | Method::HEAD) =>
            {
                Err(Problem::method_not_allowed("GET, HEAD"))
            }
            Target::Metrics => metrics(shared, &shared.allow_work(&parts).await?.permissions),
            Target::Stats => stats(shared, &shared.allow_work(&parts).await?.permissions),
            Target::StatsOfChannels => channels(
                shared,
                &shared.allow_work(&parts).await?.permissions,
                &query,
            ),
            Target::StatsOfSessions => sessions(
                shared,
                &shared.allow_work(&parts).await?.permissions,
                &query,
            ),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn health(&self, parts: &Parts) -> Response<ResponseBody> {
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Problem::method_not_allowed("GET, HEAD").into_response();
        }
        match self.shared.registry.ended() {
            Some(_) => self.shared.unavailable().into_response(),
            None => json_response("{\"status\":\"ok\"}".to_owned()),
        }
    }

    fn elsewhere(&self, parts: &Parts) -> Response<ResponseBody> {
        let fallback = self.shared.config.fallback.as_ref();
        match fallback.and_then(|fallback| fallback(parts)) {
            Some(response) => response.map(ResponseBody::full),
            None => Problem::new(StatusCode::NOT_FOUND, "there is nothing here").into_response(),
        }
    }
}

/// Sets the figures that nobody counts, for recorders that are not asked by `GET /metrics`.
async fn refresh_figures(service: Weak<Shared>) {
    while let Some(shared) = service.upgrade() {
        shared.refresh_figures();
        drop(shared);
        tokio::time::sleep(REFRESH).await;
    }
}

const REFRESH: Duration = Duration::from_secs(5);

pub(crate) fn json_response(document: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(document));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl<B> tower_service::Service<Request<B>> for EventService
where
    B: Body<Data: Buf + Send> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.handle(request).await) })
    }
}

impl fmt::Debug for EventService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventService")
            .field("hub", &self.shared.hub)
            .field("config", &self.shared.config)
            .field("registry", &self.shared.registry)
            .finish()
    }
}
