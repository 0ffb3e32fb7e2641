//! Pages, facts and names.

use eventcast_core::{ChannelFacts, ChannelName, Page, PageQuery};

use super::state::State;

impl State {
    pub(super) fn page(&self, channel: &ChannelName, query: PageQuery) -> Page {
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
        let limit = query.limit.max(1);
        let records = range.iter().take(limit);
        Page {
            records: records.map(|s| self.records[s].clone()).collect(),
            trim_mark: kept.facts.trim_mark,
            complete: range.len() <= limit,
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
