//! Where a channel starts, of which memory knows too little.

use std::sync::Arc;

use crate::backplane::{BackplaneError, PageQuery};
use crate::log::Log;
use crate::ring::Ring;
use crate::session::Origin;
use crate::stored::Timestamp;

impl Log {
    /// The sequence after which a channel starts.
    pub(crate) async fn find_start(
        &self,
        ring: &Arc<Ring>,
        origin: Origin,
    ) -> Result<u64, BackplaneError> {
        let Some(remote) = &self.remote else {
            return Ok(self.committed());
        };
        let is_over = ring.state.lock().completion().is_some();
        match origin {
            Origin::Sequence(sequence) => Ok(sequence),
            Origin::Live(sequence) if !is_over => Ok(sequence),
            Origin::Live(_) | Origin::TrimMark => {
                Ok(remote.plane.facts(&ring.name).await?.trim_mark)
            }
            Origin::Last(count) => self.find_last(ring, count).await,
            Origin::Since(time) => self.find_since(ring, time).await,
        }
    }

    /// Before the last `count` events.
    async fn find_last(&self, ring: &Arc<Ring>, count: usize) -> Result<u64, BackplaneError> {
        let mut before = self.committed();
        let mut left = count;
        let in_memory = {
            let state = ring.state.lock();
            let number = (state.end()).checked_sub(count as u64);
            let is_enough = !state.is_partial() && count <= state.len();
            number.filter(|_| is_enough).and_then(|n| state.at(n))
        };
        if let Some(first) = in_memory {
            return Ok(first.sequence() - 1);
        }
        while left > 0 {
            let query = PageQuery {
                after: 0,
                until: before,
                // The channel's end may be one of the records.
                limit: left.saturating_add(1).min(MAX_PAGE),
                bytes: PageQuery::MAX_BYTES,
                backwards: true,
            };
            let page = self.page(&ring.name, query).await?;
            for record in page.records {
                let sequence = record.position.sequence();
                if record.into_event().is_none() {
                    continue;
                }
                before = sequence - 1;
                left -= 1;
                if left == 0 {
                    return Ok(before);
                }
            }
            if page.complete {
                return Ok(page.trim_mark.min(before));
            }
        }
        Ok(before)
    }

    /// Before the first event of a time or later, or in what was trimmed of it.
    async fn find_since(&self, ring: &Arc<Ring>, time: Timestamp) -> Result<u64, BackplaneError> {
        let Some(remote) = &self.remote else {
            return Ok(0);
        };
        let facts = remote.plane.facts(&ring.name).await?;
        if facts.trim_mark > 0 && facts.trimmed_until >= time {
            return Ok(facts.trim_mark - 1);
        }
        // Everything up to the one is earlier; nothing after the other is.
        let (mut earlier, mut later) = (facts.trim_mark, self.committed());
        while earlier < later {
            let middle = earlier + (later - earlier) / 2;
            let query = PageQuery {
                after: middle,
                until: later,
                limit: 1,
                bytes: PageQuery::MAX_BYTES,
                backwards: false,
            };
            match self.page(&ring.name, query).await?.records.first() {
                Some(record) if record.time < time => earlier = record.position.sequence(),
                _ => later = middle,
            }
        }
        Ok(earlier)
    }

    /// A page of a channel, from the log.
    pub(crate) async fn page(
        &self,
        channel: &crate::ChannelName,
        query: PageQuery,
    ) -> Result<crate::Page, BackplaneError> {
        match &self.remote {
            Some(remote) => remote.plane.page(channel, query).await,
            None => Ok(crate::Page::default()),
        }
    }
}

const MAX_PAGE: usize = 1_000;
