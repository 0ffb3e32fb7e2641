//! Pages of what a channel retains.

use eventcast_core::{ChannelName, HistoryQuery};
use http::Response;
use serde_json::json;
use serde_json::value::RawValue;

use crate::access::{Denied, Permissions};
use crate::body::ResponseBody;
use crate::problem::Problem;
use crate::service::{Shared, json_response};

/// Answers with a page, its events in envelopes. Reading what was published is subscribing.
pub(crate) fn history(
    shared: &Shared,
    permissions: &Permissions,
    channel: &ChannelName,
    query: HistoryQuery,
) -> Result<Response<ResponseBody>, Problem> {
    if !permissions.may_subscribe(channel) {
        return Err(Denied::Forbidden.into());
    }
    let page = shared.hub.history(channel, query)?;
    let events: Result<Vec<Box<RawValue>>, _> = page
        .events
        .iter()
        .map(|event| {
            let mut envelope = Vec::new();
            event.write_envelope(&mut envelope);
            serde_json::from_slice(&envelope)
        })
        .collect();
    let document = json!({
        "channel": channel.as_str(),
        "events": events.expect("envelopes are JSON"),
        "next": page.next.map(|next| next.to_string()),
        "trimmed": page.trimmed,
        "position": page.position.to_string(),
    });
    Ok(json_response(document.to_string()))
}
