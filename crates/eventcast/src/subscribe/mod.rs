//! Subscribing, over whatever transport is asked for, from one URL.

mod negotiate;
mod websocket;

use std::sync::Arc;

use eventcast_core::{ChannelSelector, End, Session, SubscriptionOptions};
use eventcast_poll::{PollConfig, StreamConfig};
use eventcast_sse::{SseConfig, SseFormat};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;

use crate::access::{Action, Denied, Grant, Permissions};
use crate::attendance::{Attendance, may_watch, member_of};
use crate::body::ResponseBody;
use crate::disconnect::{Departure, DisconnectReason};
use crate::problem::Problem;
use crate::query::{Format, PresenceMode, Query};
use crate::registry::{Refused, Registered, Transport};
use crate::server::Peer;
use crate::service::Shared;
use crate::sessions::{Held, Resumed, Terms};

/// Opens a session and answers with its transport.
pub(crate) async fn subscribe(
    shared: &Arc<Shared>,
    grant: Grant,
    parts: Parts,
    mut query: Query,
) -> Result<Response<ResponseBody>, Problem> {
    let permissions = &grant.permissions;
    if !query.channels.iter().all(|c| permissions.may_select(c)) {
        return Err(Denied::Forbidden.into());
    }
    if query.presence.is_some() && !may_watch(permissions, &query.channels) {
        return Err(Denied::Forbidden.into());
    }
    if query.presence == Some(PresenceMode::Enter) {
        member_of(&shared.config, permissions, query.member.as_deref())?;
    }
    let request = Request::from_parts(parts, ());
    let transport = negotiate::negotiate(&request, &query)?;
    let named_one = matches!(query.channels[..], [ChannelSelector::Channel(_)]);
    let resumed = resume(shared, permissions, &query)?;
    query.channels.clone_from(&resumed.channels);
    if transport == Transport::WebSocket {
        return websocket::answer(shared, &grant, request, &query).await;
    }
    if query.channels.is_empty() {
        return Err(Problem::bad_request(
            "name at least one channel: /events?channel=NAME",
        ));
    }
    if request.method() == Method::HEAD {
        return Ok(head(transport));
    }
    let mut session = open(shared, permissions, &query).await?;
    if transport == Transport::Sse && session.is_finished() {
        // The one answer after which an EventSource does not come back.
        let mut response = Response::new(ResponseBody::full(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let format = sse_format(&query, named_one);
    let terms = Terms {
        principal: permissions.principal().map(Into::into),
        options: options(&query),
        one_channel: transport == Transport::Sse && format == SseFormat::Plain,
        watches: query.presence.is_some(),
    };
    let departure = departure(shared, transport, &request);
    let mut registered = register(shared, transport, &mut session, departure, &grant)?;
    let key = query.session.as_deref();
    let slot = registered.as_ref().map(Registered::slot);
    let attendance = match &registered {
        Some(registered) => attend(shared, registered, &query, true)?,
        None => None,
    };
    let held = shared.sessions.hold(
        key,
        terms,
        &resumed,
        &mut session,
        slot,
        attendance.as_ref(),
    );
    if let Some(registered) = &mut registered {
        registered.departure.set_session(held.key());
    }
    let hold = Hold {
        registered,
        _held: held,
        _attendance: attendance,
    };
    match transport {
        Transport::Poll => Ok(poll(shared, session, hold, &query).await),
        Transport::Stream => Ok(stream(shared, session, hold)),
        _ => Ok(event_stream(shared, session, hold, format)),
    }
}

/// What a session's connection holds until it ends.
pub(crate) struct Hold {
    registered: Option<Registered>,
    _held: Held,
    _attendance: Option<Arc<Attendance>>,
}

/// Enters the session's channels, if its request asks for that; and those that it takes up later,
/// if they follow.
fn attend(
    shared: &Shared,
    registered: &Registered,
    query: &Query,
    follows: bool,
) -> Result<Option<Arc<Attendance>>, Problem> {
    let presence = shared.hub.presence();
    Attendance::of_query(
        presence,
        &shared.config,
        &registered.permissions,
        query,
        follows,
    )
}

/// What a session carries that comes back with its key, or what the request names.
fn resume(shared: &Shared, permissions: &Permissions, query: &Query) -> Result<Resumed, Problem> {
    let named = &query.channels;
    let Some(key) = &query.session else {
        return Ok(Resumed::of(named));
    };
    let resumed = shared.sessions.resume(key, permissions.principal(), named);
    let mut resumed = resumed.ok_or(Denied::Forbidden)?;
    // What it was allowed before it may not be any more: the first block tells what it has.
    resumed.channels.retain(|c| permissions.may_select(c));
    Ok(resumed)
}

fn register(
    shared: &Shared,
    transport: Transport,
    session: &mut Session,
    departure: Departure,
    grant: &Grant,
) -> Result<Option<Registered>, Problem> {
    let registered = shared
        .registry
        .register(transport, session, departure, grant);
    match registered {
        Ok(mut registered) => {
            let number = registered.slot().number();
            registered.departure.begin(session, number);
            Ok(Some(registered))
        }
        // An EventSource gives up on a 503. An answer that ends at once tells it to come back.
        Err(Refused::Ended(end @ End::Draining { .. })) if transport != Transport::WebSocket => {
            session.handle().end(end);
            Ok(None)
        }
        Err(Refused::Ended(_)) => Err(shared.unavailable()),
        Err(Refused::Limited(limited)) => Err(shared.gate.refuse(limited)),
        Err(Refused::Revoked) => Err(Denied::Unauthorized.into()),
    }
}

impl Hold {
    /// The session is over for this reason.
    pub(crate) fn tell(&mut self, reason: DisconnectReason) {
        if let Some(registered) = &mut self.registered {
            registered.departure.tell(reason);
        }
    }

    /// So many bytes were handed to the transport.
    pub(crate) fn sent(&self, bytes: usize) {
        if let Some(registered) = &self.registered {
            registered.departure.sent(bytes);
        }
    }

    /// The session is over, and its client is to open another.
    fn waive(&mut self) {
        if let Some(registered) = &mut self.registered {
            registered.departure.waive();
        }
    }
}

fn departure(shared: &Shared, transport: Transport, request: &Request<()>) -> Departure {
    let peer = request.extensions().get::<Peer>().cloned();
    let call = shared.config.on_disconnect.as_ref();
    Departure::new(call, &shared.figures, transport, peer)
}

fn event_stream(
    shared: &Shared,
    session: Session,
    hold: Hold,
    format: SseFormat,
) -> Response<ResponseBody> {
    let config = SseConfig::new()
        .with_heartbeat(shared.config.heartbeat)
        .with_retry(shared.config.retry)
        .with_linger(shared.config.linger)
        .with_format(format);
    let response = eventcast_sse::response(session, config, shared.timer.clone());
    response.map(|body| ResponseBody::sse(body, hold))
}

fn stream(shared: &Shared, session: Session, hold: Hold) -> Response<ResponseBody> {
    let config = StreamConfig::new()
        .with_heartbeat(shared.config.heartbeat)
        .with_retry(shared.config.retry)
        .with_linger(shared.config.linger);
    let response = eventcast_poll::stream(session, config, shared.timer.clone());
    response.map(|body| ResponseBody::stream(body, hold))
}

/// The session ends with the answer, and so does the hold on it.
async fn poll(
    shared: &Shared,
    session: Session,
    mut hold: Hold,
    query: &Query,
) -> Response<ResponseBody> {
    let config = PollConfig::new().with_wait(shared.config.poll_wait);
    let config = query
        .wait
        .map_or(config, |asked| config.wait_at_most(asked));
    let response = eventcast_poll::poll(session, config, shared.timer.clone()).await;
    hold.sent(response.body().size_hint().exact().unwrap_or(0) as usize);
    match response.body().end() {
        Some(end) => hold.tell(DisconnectReason::Ended(end)),
        None => hold.waive(),
    }
    drop(hold);
    response.map(ResponseBody::document)
}

fn head(transport: Transport) -> Response<ResponseBody> {
    let empty = || ResponseBody::full("");
    match transport {
        Transport::Poll => eventcast_poll::poll_head().map(|_| empty()),
        Transport::Stream => eventcast_poll::stream_head().map(|_| empty()),
        _ => eventcast_sse::head_response().map(|_| empty()),
    }
}

/// One channel's payloads speak for themselves; of several each event has to name its own. What the
/// URL names decides, so that a stream that comes back has the format it had.
fn sse_format(query: &Query, named_one: bool) -> SseFormat {
    let carries_one = query.channels.len() == 1;
    match query.format {
        Some(Format::Json) => SseFormat::Json,
        Some(Format::Plain) => SseFormat::Plain,
        None if named_one && carries_one => SseFormat::Plain,
        None => SseFormat::Json,
    }
}

async fn open(
    shared: &Shared,
    permissions: &Permissions,
    query: &Query,
) -> Result<Session, Problem> {
    let mut builder = shared.hub.session();
    let options = options(query);
    for channel in &query.channels {
        // Those are checked that the request names; a session that comes back may have more.
        let watches = query.presence.is_some() && permissions.may_do(Action::Presence, channel);
        let options = options.clone().with_presence(watches);
        builder = builder.options(options).channel(channel);
    }
    if let Some(id) = &query.last_event_id {
        builder = builder.resume(id);
    }
    Ok(builder.open_async().await?)
}

/// How channels begin and behave that a query names.
fn options(query: &Query) -> SubscriptionOptions {
    let options = SubscriptionOptions::new()
        .with_start(query.start)
        .with_slow(query.slow.unwrap_or_default());
    if query.events.is_empty() {
        options
    } else {
        options.with_names(query.events.iter().cloned())
    }
}
