//! Sessions whose clients bring new credentials.

use std::time::Duration;

use eventcast_core::{ChannelSelector, End, SessionHandle};
use http::Response;
use serde_json::json;
use tokio::time::Instant;

use crate::access::Grant;
use crate::body::ResponseBody;
use crate::problem::Problem;
use crate::service::{Shared, json_response};

/// Gives a live session the permissions of this request, and answers with how long they are good.
/// Channels that they do not cover leave the session.
pub(crate) async fn refresh(
    shared: &Shared,
    grant: &Grant,
    key: &str,
) -> Result<Response<ResponseBody>, Problem> {
    let permissions = &grant.permissions;
    let place = shared.sessions.find(key, permissions.principal());
    let place = place.ok_or_else(Problem::unknown_session)?;
    for connection in place.connections {
        if let Some(slot) = connection.slot {
            shared.registry.refresh(slot, grant)?;
        }
        let permissions = permissions.clone();
        narrow(connection.handle, move |channel| {
            permissions.may_select(channel)
        })
        .await;
    }
    let left = |at: Instant| at.saturating_duration_since(Instant::now()).as_millis() as u64;
    let document = match permissions.expires().map(left) {
        Some(expires) => json!({ "expires": expires }),
        None => json!({}),
    };
    Ok(json_response(document.to_string()))
}

/// Takes channels from a session. One that is not read is ended: what it was allowed it must not
/// bring later.
pub(crate) async fn narrow(
    session: SessionHandle,
    keep: impl Fn(&ChannelSelector) -> bool + Send + 'static,
) {
    let narrowed = tokio::time::timeout(NARROW_TIMEOUT, session.retain(keep)).await;
    if !matches!(narrowed, Ok(Ok(_))) {
        session.end(End::Revoked);
    }
}

const NARROW_TIMEOUT: Duration = Duration::from_millis(800);
