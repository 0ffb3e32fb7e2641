//! What was published and completed, which readers are checked against.

use std::collections::BTreeMap;

use eventcast_testkit::{Ledger, Observer, Violation};

pub(crate) const CHANNELS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Default)]
pub(crate) struct Record {
    events: Vec<(&'static str, u64)>,
    ends: BTreeMap<&'static str, u64>,
    /// A channel was forgotten: names that come back may be told a gap that is none.
    pub(crate) forgotten: bool,
}

impl Record {
    pub(crate) fn published(&mut self, channel: &'static str, sequence: u64) {
        let last = self.events.last().map_or(0, |event| event.1);
        assert!(sequence > last, "{sequence} after {last}");
        self.events.push((channel, sequence));
    }

    pub(crate) fn completed(&mut self, channel: &'static str, sequence: u64) {
        assert_eq!(self.ends.insert(channel, sequence), None);
    }

    /// The sequence of a channel's end.
    pub(crate) fn end(&self, channel: &str) -> Option<u64> {
        self.ends.get(channel).copied()
    }

    pub(crate) fn has(&self, channel: &str, sequence: u64) -> bool {
        let found = self.events.binary_search_by_key(&sequence, |event| event.1);
        found.is_ok_and(|index| self.events[index].0 == channel)
    }

    /// Checks what came in a channel up to a sequence. `ends_with_gap`: the last that came was a
    /// gap, which may reach beyond.
    pub(crate) fn check(&self, observer: &Observer, until: u64, ends_with_gap: bool) {
        let mut ledger = Ledger::new();
        for (channel, sequence) in self.events.iter().filter(|event| event.1 <= until) {
            ledger.published(channel, *sequence);
        }
        match observer.check(&ledger) {
            Err(Violation::FalseGap { .. }) if self.forgotten || ends_with_gap => {}
            Err(Violation::Miscounted { .. }) if ends_with_gap => {}
            result => assert_eq!(result, Ok(())),
        }
    }
}
