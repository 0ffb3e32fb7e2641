//! Pages of a channel's history, from the log where memory does not reach.

use std::sync::Arc;

use super::Remote;
use crate::backplane::{BackplaneError, PageQuery};
use crate::history::{HistoryPage, HistoryQuery};
use crate::log::Log;
use crate::name::ChannelName;
use crate::stored::StoredEvent;

impl Log {
    /// A page of the log outside.
    pub(crate) async fn stored_history(
        &self,
        remote: &Remote,
        channel: &ChannelName,
        query: HistoryQuery,
    ) -> Result<HistoryPage, BackplaneError> {
        let from = query.position().filter(|from| remote.knows(*from));
        let from = from.map(|from| from.sequence());
        let committed = self.committed();
        let backwards = query.is_newest_first();
        let (after, until) = match (backwards, from) {
            (true, Some(before)) => (0, committed.min(before.saturating_sub(1))),
            (true, None) => (0, committed),
            (false, from) => (from.unwrap_or(0), committed),
        };
        let mut history = HistoryPage::empty(self.position(committed));
        if after >= until {
            return Ok(history);
        }
        let page = remote.plane.page(
            channel,
            PageQuery {
                after,
                until,
                // The channel's end may be one of the records.
                limit: query.limit().saturating_add(1),
                bytes: query.bytes(),
                backwards,
            },
        );
        let page = page.await?;
        let mut is_cut = !page.complete;
        for event in page.records.into_iter().filter_map(|r| r.into_event()) {
            if history.events.len() == query.limit() {
                is_cut = true;
                break;
            }
            history.events.push(Arc::new(event));
        }
        let last = history
            .events
            .last()
            .map(|event: &Arc<StoredEvent>| event.id());
        history.next = last.filter(|_| is_cut);
        history.trimmed = match backwards {
            true => !is_cut && page.trim_mark > 0,
            false => after < page.trim_mark,
        };
        Ok(history)
    }
}
