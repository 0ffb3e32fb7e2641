//! What the log holds.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use eventcast_core::{
    Capabilities, ChannelFacts, ChannelName, Key, Lineage, Record, Retention, Sink, Timestamp,
};

use super::faults::AppendFault;

pub(super) struct State {
    pub(super) capabilities: Capabilities,
    pub(super) lineage: Lineage,
    /// The last sequence that is stored.
    pub(super) last: u64,
    /// The next sequence to give.
    pub(super) next: u64,
    pub(super) time: Timestamp,
    /// Everything at or below may be gone.
    pub(super) floor: u64,
    pub(super) records: BTreeMap<u64, Record>,
    pub(super) channels: BTreeMap<ChannelName, Kept>,
    /// The sequences of keyed records, with their times; those that are trimmed too.
    pub(super) keys: HashMap<(ChannelName, Key), (u64, Timestamp)>,
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) only_wanted: bool,
    pub(super) faults: VecDeque<AppendFault>,
    pub(super) failing_reads: usize,
    pub(super) held_pages: bool,
    pub(super) waiting_pages: usize,
    pub(super) largest_page: usize,
    pub(super) held_answers: bool,
    pub(super) held_records: bool,
    pub(super) held_messages: bool,
    /// Whether records are left out of sinks.
    pub(super) losing: bool,
    pub(super) wakers: Vec<Waker>,
    nodes_made: u64,
}

/// One channel.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) sequences: VecDeque<u64>,
    pub(super) bytes: u64,
    pub(super) facts: ChannelFacts,
    pub(super) retention: Retention,
}

/// One node.
#[derive(Default)]
pub(super) struct Node {
    pub(super) sink: Option<Arc<dyn Sink>>,
    pub(super) wanted: HashSet<ChannelName>,
    pub(super) stalled: bool,
    /// What the sink is given next, in this order.
    pub(super) outbox: VecDeque<Item>,
    /// What it is given when the node is no longer stalled.
    pub(super) behind: VecDeque<Item>,
    /// Whether a thread is in the sink.
    pub(super) delivering: bool,
}

pub(super) enum Item {
    Record(Record),
    Watermark(u64),
    Stalled,
    Recovered,
    Skipped(u64),
    Forked(Lineage),
    Message(Bytes),
}

impl State {
    pub(super) fn new(capabilities: Capabilities, lineage: Lineage) -> Self {
        Self {
            capabilities,
            next: lineage.first(),
            lineage,
            last: 0,
            time: Timestamp::default(),
            floor: 0,
            records: BTreeMap::new(),
            channels: BTreeMap::new(),
            keys: HashMap::new(),
            nodes: BTreeMap::new(),
            only_wanted: false,
            faults: VecDeque::new(),
            failing_reads: 0,
            held_pages: false,
            waiting_pages: 0,
            largest_page: 0,
            held_answers: false,
            held_records: false,
            held_messages: false,
            losing: false,
            wakers: Vec::new(),
            nodes_made: 0,
        }
    }

    pub(super) fn add_node(&mut self) -> u64 {
        self.nodes_made += 1;
        self.nodes.insert(self.nodes_made, Node::default());
        self.nodes_made
    }

    /// Puts a stored record in every sink's way.
    pub(super) fn give(&mut self, record: &Record) {
        if self.losing {
            return;
        }
        for node in self.nodes.values_mut() {
            let wanted = !self.only_wanted || node.wanted.contains(&record.channel);
            node.push(if wanted {
                Item::Record(record.clone())
            } else {
                Item::Watermark(record.position.sequence())
            });
        }
    }
}

impl Node {
    pub(super) fn push(&mut self, item: Item) {
        if self.sink.is_none() {
            return;
        }
        if self.stalled {
            self.behind.push_back(item);
        } else {
            self.outbox.push_back(item);
        }
    }
}
