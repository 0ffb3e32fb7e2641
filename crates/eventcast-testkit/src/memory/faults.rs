//! What a test has the log do.

use eventcast_core::{Body, Epoch, Lineage};

use super::MemoryLog;
use super::append::charge;
use super::state::{Item, State};

/// How an append fails; see [`MemoryLog::fail_next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendFault {
    /// [`Unavailable`](eventcast_core::AppendError::Unavailable), known to be not stored.
    NotStored,
    /// The same with an outcome that is not known, and it is stored.
    UnknownStored,
    /// The same with an outcome that is not known, and it is not stored.
    UnknownLost,
    /// [`Full`](eventcast_core::AppendError::Full); nothing is stored.
    Full,
}

impl MemoryLog {
    /// The next append that is not failed so already fails.
    pub fn fail_next(&self, fault: AppendFault) {
        self.change(|state| state.faults.push_back(fault));
    }

    /// The next so many pages, facts and lists of channels fail.
    pub fn fail_reads(&self, count: usize) {
        self.change(|state| state.failing_reads = count);
    }

    /// No node can reach the log: sinks are told, appends and reads wait until
    /// [`recover`](Self::recover), broadcasts fail. See [`MemoryNode::stall`](super::MemoryNode)
    /// for one node.
    pub fn stall(&self) {
        self.change(|state| {
            let nodes: Vec<_> = state.nodes.keys().copied().collect();
            nodes.into_iter().for_each(|node| state.stall(node));
        });
    }

    /// All nodes reach the log again: sinks are told, and then given what they missed.
    pub fn recover(&self) {
        self.change(|state| {
            let nodes: Vec<_> = state.nodes.keys().copied().collect();
            nodes.into_iter().for_each(|node| state.recover(node));
        });
    }

    /// Page reads wait until [`release_pages`](Self::release_pages). What they then give is what
    /// the log has then.
    pub fn hold_pages(&self) {
        self.change(|state| state.held_pages = true);
    }

    /// Page reads go on.
    pub fn release_pages(&self) {
        self.change(|state| state.held_pages = false);
    }

    /// Appends are stored and given to sinks, but not answered until
    /// [`release_answers`](Self::release_answers).
    pub fn hold_answers(&self) {
        self.change(|state| state.held_answers = true);
    }

    /// Appends are answered again.
    pub fn release_answers(&self) {
        self.change(|state| state.held_answers = false);
    }

    /// Sinks are given nothing until [`release_records`](Self::release_records), as with a log
    /// whose stream comes later than its answers; appends are answered.
    pub fn hold_records(&self) {
        self.change(|state| state.held_records = true);
    }

    /// Sinks are given what was held back, in order.
    pub fn release_records(&self) {
        self.change(|state| state.held_records = false);
    }

    /// Broadcasts are neither done nor refused until
    /// [`release_messages`](Self::release_messages).
    pub fn hold_messages(&self) {
        self.change(|state| state.held_messages = true);
    }

    /// Broadcasts go on.
    pub fn release_messages(&self) {
        self.change(|state| state.held_messages = false);
    }

    /// Records that are appended from now on are stored and never given to a sink, until
    /// [`tell_skipped`](Self::tell_skipped).
    pub fn lose_records(&self) {
        self.change(|state| state.losing = true);
    }

    /// Sinks are told that records were skipped, and given those that follow.
    pub fn tell_skipped(&self) {
        self.change(|state| {
            state.losing = false;
            let last = state.last;
            for node in state.nodes.values_mut() {
                node.push(Item::Skipped(last));
            }
        });
    }

    /// Loses the newest `lost` records, acknowledged or not, and starts an epoch: its sequences
    /// begin well above those that were given. Sinks are told.
    pub fn fork(&self, lost: usize) -> Lineage {
        self.change(|state| {
            for _ in 0..lost {
                state.lose_newest();
            }
            state.last = state
                .records
                .keys()
                .next_back()
                .map_or_else(
                    || state.channels.values().map(|k| k.facts.last).max(),
                    |newest| Some(*newest),
                )
                .unwrap_or(0);
            let first = state.next + 1_000;
            state.lineage.fork(Epoch::random(), state.last, first);
            state.next = first;
            let (lineage, last) = (state.lineage.clone(), state.last);
            for node in state.nodes.values_mut() {
                node.behind.retain(|item| match item {
                    Item::Record(record) => record.position.sequence() <= last,
                    Item::Watermark(sequence) | Item::Skipped(sequence) => *sequence <= last,
                    _ => true,
                });
                node.push(Item::Forked(lineage.clone()));
            }
            lineage
        })
    }

    /// Removes what is stored up to a sequence, of all channels.
    pub fn trim_to(&self, sequence: u64) {
        self.change(|state| state.trim_to(sequence));
    }
}

impl State {
    pub(super) fn stall(&mut self, node: u64) {
        if let Some(node) = self.nodes.get_mut(&node)
            && !node.stalled
        {
            node.push(Item::Stalled);
            node.stalled = true;
        }
    }

    pub(super) fn recover(&mut self, node: u64) {
        if let Some(node) = self.nodes.get_mut(&node)
            && node.stalled
        {
            node.stalled = false;
            node.push(Item::Recovered);
            node.outbox.append(&mut node.behind);
        }
    }

    fn lose_newest(&mut self) {
        let Some((sequence, record)) = self.records.pop_last() else {
            return;
        };
        self.keys.retain(|_, (kept, _)| *kept != sequence);
        if let Some(kept) = self.channels.get_mut(&record.channel) {
            kept.sequences.pop_back();
            kept.bytes -= charge(&record);
            let newest = kept.sequences.back().copied();
            kept.facts.last = newest.unwrap_or(kept.facts.trim_mark);
            if matches!(record.body, Body::Completion(_)) {
                kept.facts.completion = None;
            }
        }
    }
}
