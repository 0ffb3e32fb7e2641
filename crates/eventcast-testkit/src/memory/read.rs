//! Pages, facts and names.

use eventcast_core::{ChannelFacts, ChannelName, Page, PageQuery};

use super::state::State;

impl State {
    pub(super) fn page(&mut self, channel: &ChannelName, query: PageQuery) -> Page {
        let Some(kept) = self.channels.get(channel) else {
            return Page {
                complete: true,
                ..Page::default()
            };
        };
        let sequences = kept.sequences.iter().copied();
        let mut range: Vec<_> = sequences
            .filter(|sequence| *sequence > query.after && *sequence <= query.until)
            .collect();
        if query.backwards {
            range.reverse();
        }
        let mut size = 0;
        let mut records = Vec::new();
        for sequence in range.iter().take(query.limit.max(1)) {
            let record = &self.records[sequence];
            size += record.payload_len();
            records.push(record.clone());
            if size >= query.bytes {
                break;
            }
        }
        self.largest_page = self.largest_page.max(size);
        Page {
            complete: records.len() == range.len(),
            records,
            trim_mark: kept.facts.trim_mark,
        }
    }

    pub(super) fn facts(&self, channel: &ChannelName) -> ChannelFacts {
        let kept = self.channels.get(channel);
        kept.map(|kept| kept.facts.clone()).unwrap_or_default()
    }

    pub(super) fn names(&self, prefix: &str, after: u64, limit: usize) -> Vec<ChannelName> {
        let matching = self.channels.iter().filter(|(name, kept)| {
            let newest = kept.sequences.back();
            name.as_str().starts_with(prefix) && newest.is_some_and(|newest| *newest > after)
        });
        matching.map(|(name, _)| name.clone()).take(limit).collect()
    }
}
