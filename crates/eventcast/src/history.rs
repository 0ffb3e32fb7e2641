//! Pages of what a channel retains.

use eventcast_core::{ChannelName, HistoryQuery};
use http::Response;
use serde_json::json;

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
    let mut events = Vec::new();
    for (index, event) in page.events.iter().enumerate() {
        if index > 0 {
            events.push(b',');
        }
        event.write_envelope(&mut events);
    }
    // Put together by hand: payloads stay as they were published, to the byte.
    let document = format!(
        "{{\"channel\":{},\"events\":[{}],\"next\":{},\"position\":{},\"trimmed\":{}}}",
        json!(channel.as_str()),
        String::from_utf8_lossy(&events),
        json!(page.next.map(|next| next.to_string())),
        json!(page.position.to_string()),
        page.trimmed,
    );
    Ok(json_response(document))
}
