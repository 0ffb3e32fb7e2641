//! What this node tells the others: what is new, how far it is, and all of it to who asks.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::member::NodeId;
use super::message::{Body, Change, FULL_MESSAGE, Message};
use super::peer::Peer;
use super::state::{State, millis};
use crate::stored::Timestamp;

/// This node among the others.
///
/// Each node has a version, which counts what it has told of its own connections. Whoever is at the
/// version before takes what is new; whoever is not asks for what it lacks, and is told that again,
/// or everything.
#[derive(Default)]
pub(super) struct Nodes {
    pub(super) is_connected: bool,
    pub(super) started: Timestamp,
    version: u64,
    /// What was told last, for who missed it.
    sent: VecDeque<(u64, Bytes)>,
    sent_bytes: usize,
    /// All of a version, kept while somebody may lack parts of it.
    snapshot: Option<Snapshot>,
    /// From where somebody lacks what was told.
    asked: Option<u64>,
    answers_at: u64,
    heartbeat_at: u64,
    has_asked_all: bool,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    /// Nodes that are over: what they said before may still come.
    pub(super) gone: VecDeque<NodeId>,
    /// What is held of peers until something earlier comes, in bytes.
    pub(super) held: usize,
}

struct Snapshot {
    version: u64,
    parts: Vec<Bytes>,
    asked_at: u64,
}

impl Nodes {
    /// The others cannot be told what came between: they have to ask.
    pub(super) fn skip(&mut self) {
        self.version += 1;
        self.sent.clear();
        self.sent_bytes = 0;
        self.snapshot = None;
    }

    /// Somebody lacks what was told after a version.
    pub(super) fn ask(&mut self, after: u64) {
        self.asked = Some(self.asked.map_or(after, |asked| asked.min(after)));
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        self.gone.push_back(node);
        if self.gone.len() > MAX_GONE {
            self.gone.pop_front();
        }
    }

    fn keep(&mut self, message: &Bytes) {
        self.sent.push_back((self.version, message.clone()));
        self.sent_bytes += message.len();
        while self.sent.len() > MAX_SENT || self.sent_bytes > MAX_SENT_BYTES {
            if let Some((_, oldest)) = self.sent.pop_front() {
                self.sent_bytes -= oldest.len();
            }
        }
    }

    /// Whether everything that was told after a version can be told again.
    fn covers(&self, after: u64) -> bool {
        let first = self.sent.front().map_or(self.version + 1, |(v, _)| *v);
        first <= after + 1
    }

    fn sent_after(&self, after: u64) -> impl Iterator<Item = Bytes> {
        let later = self.sent.iter().filter(move |(v, _)| *v > after);
        later.map(|(_, message)| message.clone())
    }
}

impl State {
    /// From now on other nodes are told.
    pub(super) fn connect(&mut self, now: Timestamp) {
        if !self.nodes.is_connected {
            self.nodes.is_connected = true;
            self.nodes.started = now;
            self.local.changed = self.local.slots.keys().copied().collect();
        }
    }

    /// The last message of all.
    pub(super) fn bye(&self) -> Bytes {
        self.message(Body::Bye)
    }

    /// What the other nodes are to be told now.
    pub(super) fn messages(&mut self) -> Vec<Bytes> {
        let mut out = Vec::new();
        if !self.nodes.is_connected || self.local.is_closed {
            return out;
        }
        if !self.nodes.has_asked_all {
            self.nodes.has_asked_all = true;
            out.push(self.message(Body::Request { of: None, after: 0 }));
        }
        self.tell_news(&mut out);
        if self.time >= self.nodes.heartbeat_at {
            self.nodes.heartbeat_at = self.time + millis(self.config.heartbeat);
            out.push(self.digest());
        }
        self.answer(&mut out);
        let asked: Vec<_> = self.nodes.peers.iter_mut().collect();
        let time = self.time;
        let behind = asked.into_iter().filter_map(|(id, peer)| {
            let after = peer.lacks(time)?;
            Some((*id, after))
        });
        let behind: Vec<_> = behind.collect();
        for (id, after) in behind {
            let of = Some(id);
            out.push(self.message(Body::Request { of, after }));
        }
        out
    }

    fn message(&self, body: Body) -> Bytes {
        let from = self.id;
        Message { from, body }.encode()
    }

    fn digest(&self) -> Bytes {
        self.message(Body::Digest {
            version: self.nodes.version,
            started: self.nodes.started,
            name: self.config.node_name.clone(),
        })
    }

    fn tell_news(&mut self, out: &mut Vec<Bytes>) {
        let changed = std::mem::take(&mut self.local.changed);
        let changes = changed.iter().map(|slot| self.change_of(*slot));
        for changes in full(changes.collect::<Vec<_>>()) {
            self.nodes.version += 1;
            let version = self.nodes.version;
            let message = self.message(Body::Delta { version, changes });
            self.nodes.keep(&message);
            out.push(message);
        }
    }

    /// Tells again what somebody lacks, or all there is.
    fn answer(&mut self, out: &mut Vec<Bytes>) {
        let time = self.time;
        if let Some(snapshot) = &self.nodes.snapshot
            && (time >= snapshot.asked_at + KEEP_SNAPSHOT || !self.nodes.covers(snapshot.version))
        {
            self.nodes.snapshot = None;
        }
        let Some(after) = self.nodes.asked else {
            return;
        };
        if time < self.nodes.answers_at {
            return;
        }
        self.nodes.asked = None;
        self.nodes.answers_at = time + ANSWER_INTERVAL;
        // Who is new does not know how far it has to come.
        out.push(self.digest());
        if self.nodes.covers(after) {
            out.extend(self.nodes.sent_after(after));
            return;
        }
        let mut snapshot = match self.nodes.snapshot.take() {
            Some(snapshot) if snapshot.version > after => snapshot,
            _ => self.snapshot(),
        };
        snapshot.asked_at = time;
        out.extend(snapshot.parts.iter().cloned());
        out.extend(self.nodes.sent_after(snapshot.version));
        self.nodes.snapshot = Some(snapshot);
    }

    fn snapshot(&self) -> Snapshot {
        let version = self.nodes.version;
        let slots = self.local.slots.keys();
        let mut parts = full(slots.map(|slot| self.change_of(*slot)).collect());
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let count = parts.len() as u32;
        let parts = parts.into_iter().zip(0..).map(|(changes, part)| {
            self.message(Body::Snapshot {
                version,
                part,
                parts: count,
                changes,
            })
        });
        Snapshot {
            version,
            parts: parts.collect(),
            asked_at: 0,
        }
    }
}

/// Changes in as few messages as they fit into.
fn full(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut messages: Vec<Vec<Change>> = Vec::new();
    let mut size = FULL_MESSAGE;
    for change in changes {
        size += change.size();
        match messages.last_mut() {
            Some(last) if size <= FULL_MESSAGE => last.push(change),
            _ => {
                size = change.size();
                messages.push(vec![change]);
            }
        }
    }
    messages
}

/// So much of what was told last is kept for who missed it.
const MAX_SENT: usize = 256;
const MAX_SENT_BYTES: usize = 1 << 20;
const MAX_GONE: usize = 64;
/// How often a node answers those who ask, all of them together, in milliseconds.
const ANSWER_INTERVAL: u64 = 500;
const KEEP_SNAPSHOT: u64 = 30_000;
