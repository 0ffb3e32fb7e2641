//! Pages of what a channel retains.

use eventcast_core::{ChannelName, HistoryPage, HistoryQuery};
use http::Response;
use serde_json::json;

use crate::access::{Action, Denied, Permissions};
use crate::body::ResponseBody;
use crate::problem::Problem;
use crate::service::{Shared, json_response};

/// Answers with a page, its events in envelopes.
pub(crate) async fn history(
    shared: &Shared,
    permissions: &Permissions,
    channel: &ChannelName,
    query: HistoryQuery,
) -> Result<Response<ResponseBody>, Problem> {
    if !permissions.may(Action::History, channel) {
        return Err(Denied::Forbidden.into());
    }
    let page = shared.hub.history_async(channel, query).await?;
    let position = format!(",\"position\":\"{}\"", page.position);
    Ok(json_response(page_document(
        channel.as_str(),
        &page,
        &position,
    )))
}

/// A page as a JSON object, with more members at its end. It is put together by hand: payloads stay
/// as they were published, to the byte.
pub(crate) fn page_document(channel: &str, page: &HistoryPage, more: &str) -> String {
    let mut events = Vec::new();
    for (index, event) in page.events.iter().enumerate() {
        if index > 0 {
            events.push(b',');
        }
        event.write_envelope(&mut events);
    }
    let next = page.next.map(|next| format!(",\"next\":\"{next}\""));
    format!(
        "{{\"channel\":{},\"events\":[{}]{},\"trimmed\":{}{more}}}",
        json!(channel),
        String::from_utf8_lossy(&events),
        next.unwrap_or_default(),
        page.trimmed,
    )
}
