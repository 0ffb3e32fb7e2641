//! Subscribing over WebSocket.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use eventcast_ws::{CloseCode, Mode, UpgradeError, WsConfig, WsEnd};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{Request, Response};

use super::{attend, departure, open, register};
use crate::access::Grant;
use crate::body::ResponseBody;
use crate::client::Client;
use crate::limits::Limit;
use crate::problem::Problem;
use crate::query::{Format, Query};
use crate::registry::Transport;
use crate::server::Stream;
use crate::service::Shared;
use crate::spread::around;

pub(super) async fn answer(
    shared: &Arc<Shared>,
    grant: &Grant,
    mut request: Request<()>,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    let upgraded = eventcast_ws::upgrade(&mut request).map_err(|error| {
        shared.figures.handshake_failed();
        handshake_problem(error)
    });
    let (response, mut upgrade) = upgraded?;
    let agreed = response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL);
    if !agreed && query.format == Some(Format::Plain) {
        upgrade = upgrade.with_mode(Mode::Plain);
    }
    if upgrade.mode() == Mode::Plain && query.channels.is_empty() {
        return Err(Problem::bad_request(
            "plain mode cannot subscribe later: name at least one channel",
        ));
    }
    let mut session = open(shared, &grant.permissions, query).await?;
    let departure = departure(shared, Transport::WebSocket, &request);
    let registered = register(shared, Transport::WebSocket, &mut session, departure, grant)?;
    let registered = registered.ok_or_else(|| shared.unavailable())?;
    let attendance = attend(shared, &registered, query, false)?;
    let config = WsConfig::new()
        .with_heartbeat(shared.config.heartbeat)
        .with_dead_after(shared.config.heartbeat.saturating_mul(5) / 2)
        .with_write_timeout(shared.config.write_timeout)
        .with_retry(around(shared.config.retry))
        .with_linger(shared.config.linger)
        .with_max_message(shared.config.max_message);
    let stream = request.extensions_mut().remove::<Arc<Stream>>();
    let client = Arc::new(Client::new(
        shared,
        grant.address,
        &session,
        &registered,
        attendance,
        query,
        request,
    ));
    let follower = Arc::clone(&client);
    session.observe_changes(move |channels| follower.follow(channels));
    let mut connection = upgrade.serve(session, client, shared.timer.clone(), config);
    let mut afterwards = Some((Arc::clone(shared), registered, stream));
    // Not an async block, which keeps room for the connection twice.
    tokio::spawn(poll_fn(move |cx| {
        let end = ready!(Pin::new(&mut connection).poll(cx));
        let Some((shared, mut registered, stream)) = afterwards.take() else {
            return Poll::Ready(());
        };
        match end {
            WsEnd::Violation {
                code: CloseCode::TooLarge,
            } => shared.gate.count(Limit::Bodies),
            WsEnd::WriteStalled => shared.gate.count(Limit::WriteTimeouts),
            _ => {}
        }
        registered.departure.tell_websocket(end);
        drop(registered);
        if let Some(stream) = stream {
            stream.finish();
        }
        Poll::Ready(())
    }));
    Ok(response.map(|()| ResponseBody::full("")))
}

fn handshake_problem(error: UpgradeError) -> Problem {
    Problem::new(error.status(), error.to_string()).with_headers(error.response().headers())
}
