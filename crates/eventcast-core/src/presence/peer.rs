//! What this node knows of the others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::error::PresenceMessageError;
use super::member::NodeId;
use super::message::{Body, Change, Message, Put};
use super::state::{Place, State, charge, millis};
use crate::stored::Timestamp;

/// Another node, and the connections that it has told of.
#[derive(Default)]
pub(super) struct Peer {
    name: Option<Arc<str>>,
    started: Timestamp,
    /// Everything it told up to here is known.
    version: u64,
    /// How far it is itself.
    latest: u64,
    heard: u64,
    /// When it goes, whatever it says.
    ends: Option<u64>,
    asks_at: u64,
    was_behind: bool,
    slots: HashMap<u64, Place>,
    /// What it told before something earlier came, with the bytes that takes.
    ahead: BTreeMap<u64, (Vec<Change>, usize)>,
    snapshot: Option<Assembly>,
}

/// The parts of a snapshot that have come.
struct Assembly {
    version: u64,
    parts: u32,
    have: BTreeMap<u32, Vec<Change>>,
    bytes: usize,
}

impl Peer {
    pub(super) fn connections(&self) -> usize {
        self.slots.len()
    }

    /// After which version it has to tell again, if it is to be asked now.
    pub(super) fn lacks(&mut self, time: u64) -> Option<u64> {
        let is_behind = self.latest > self.version && self.ends.is_none();
        // What is missing may be on its way; it is if it comes until the next time.
        let lasts = std::mem::replace(&mut self.was_behind, is_behind) && is_behind;
        if !lasts || time < self.asks_at {
            return None;
        }
        self.asks_at = time + ASK_INTERVAL;
        Some(self.version)
    }

    /// What it holds of itself until something earlier comes. Returns the bytes.
    fn let_go(&mut self) -> usize {
        let ahead = std::mem::take(&mut self.ahead);
        let ahead: usize = ahead.values().map(|(_, bytes)| bytes).sum();
        ahead + self.snapshot.take().map_or(0, |snapshot| snapshot.bytes)
    }
}

impl State {
    /// Takes a message of another node.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(), PresenceMessageError> {
        let Message { from, body } = Message::decode(bytes)?;
        if from == self.id || self.nodes.gone.contains(&from) {
            return Ok(());
        }
        if body == Body::Bye {
            self.retire(from);
            return Ok(());
        }
        let count = self.nodes.peers.len();
        if count >= MAX_NODES && !self.nodes.peers.contains_key(&from) {
            return Err(PresenceMessageError::TooManyNodes { limit: MAX_NODES });
        }
        let peer = self.nodes.peers.entry(from).or_default();
        peer.heard = self.time;
        match body {
            Body::Bye => {}
            Body::Delta { version, changes } => {
                peer.latest = peer.latest.max(version);
                if version == peer.version + 1 {
                    self.apply(from, version, changes);
                } else if version > peer.version && !peer.ahead.contains_key(&version) {
                    peer.ahead.insert(version, (changes, bytes.len()));
                    self.hold(from, bytes.len());
                }
            }
            Body::Digest {
                version,
                started,
                name,
            } => {
                peer.latest = peer.latest.max(version);
                (peer.started, peer.name) = (started, name);
                self.replace_earlier(from);
            }
            Body::Request { of, after } => {
                if of.is_none_or(|of| of == self.id) {
                    self.nodes.ask(after);
                }
            }
            Body::Snapshot {
                version,
                part,
                parts,
                changes,
            } => {
                peer.latest = peer.latest.max(version);
                if version > peer.version {
                    self.assemble(from, version, (part, parts), changes, bytes.len());
                }
            }
        }
        Ok(())
    }

    /// Applies what is next, and what has waited for it.
    fn apply(&mut self, from: NodeId, version: u64, changes: Vec<Change>) {
        let mut next = Some((version, changes));
        while let Some((version, changes)) = next.take() {
            for change in changes {
                match change {
                    Change::Put(slot, put) => self.put_remote(from, slot, put),
                    Change::Remove(slot) => self.remove_remote(from, slot),
                }
            }
            let Some(peer) = self.nodes.peers.get_mut(&from) else {
                return;
            };
            peer.version = version;
            while let Some(first) = peer.ahead.first_entry()
                && *first.key() <= version + 1
            {
                let (waited, (changes, bytes)) = first.remove_entry();
                self.nodes.held -= bytes;
                if waited == version + 1 {
                    next = Some((waited, changes));
                    break;
                }
            }
        }
    }

    fn put_remote(&mut self, from: NodeId, slot: u64, mut put: Put) {
        self.remove_remote(from, slot);
        if self
            .has_room(&put.channel, charge(&put.member, put.state.as_ref()))
            .is_err()
        {
            self.left_out += 1;
            return;
        }
        let Some(peer) = self.nodes.peers.get_mut(&from) else {
            return;
        };
        put.leaving |= peer.ends.is_some();
        let place = Place {
            channel: put.channel.clone(),
            member: put.member.clone(),
        };
        peer.slots.insert(slot, place);
        self.put(from, slot, put);
    }

    fn remove_remote(&mut self, from: NodeId, slot: u64) {
        let peer = self.nodes.peers.get_mut(&from);
        if let Some(place) = peer.and_then(|peer| peer.slots.remove(&slot)) {
            self.remove(from, slot, &place);
        }
    }

    /// Takes a part of a snapshot, and the snapshot once it is whole.
    fn assemble(
        &mut self,
        from: NodeId,
        version: u64,
        (part, parts): (u32, u32),
        changes: Vec<Change>,
        bytes: usize,
    ) {
        let Some(peer) = self.nodes.peers.get_mut(&from) else {
            return;
        };
        let known = peer.snapshot.as_ref();
        if known.is_some_and(|known| known.version > version) {
            return;
        }
        if known.is_none_or(|known| known.version < version || known.parts != parts) {
            let replaced = peer.snapshot.replace(Assembly {
                version,
                parts,
                have: BTreeMap::new(),
                bytes: 0,
            });
            self.nodes.held -= replaced.map_or(0, |old| old.bytes);
        }
        let Some(snapshot) = &mut peer.snapshot else {
            return;
        };
        if snapshot.have.contains_key(&part) {
            return;
        }
        snapshot.have.insert(part, changes);
        snapshot.bytes += bytes;
        if snapshot.have.len() < parts as usize {
            return self.hold(from, bytes);
        }
        self.nodes.held -= snapshot.bytes - bytes;
        let whole = peer.snapshot.take().map(|snapshot| snapshot.have);
        self.take_snapshot(from, version, whole.unwrap_or_default());
    }

    fn take_snapshot(&mut self, from: NodeId, version: u64, parts: BTreeMap<u32, Vec<Change>>) {
        let Some(peer) = self.nodes.peers.get_mut(&from) else {
            return;
        };
        let changes: Vec<Change> = parts.into_values().flatten().collect();
        let mut gone = std::mem::take(&mut peer.slots);
        for change in &changes {
            if let Change::Put(slot, _) = change
                && let Some(place) = gone.remove(slot)
            {
                peer.slots.insert(*slot, place);
            }
        }
        for (slot, place) in gone {
            self.remove(from, slot, &place);
        }
        self.apply(from, version, changes);
    }

    /// Holds so many more bytes of a peer, or, if that is too much, nothing of it: it is asked
    /// again.
    fn hold(&mut self, from: NodeId, bytes: usize) {
        self.nodes.held += bytes;
        if self.nodes.held > self.config.max_bytes
            && let Some(peer) = self.nodes.peers.get_mut(&from)
        {
            self.nodes.held -= peer.let_go();
        }
    }

    /// Of two nodes of one name only the later one is.
    fn replace_earlier(&mut self, from: NodeId) {
        let Some(peer) = self.nodes.peers.get(&from) else {
            return;
        };
        let Some(name) = peer.name.clone() else {
            return;
        };
        let started = peer.started;
        if self.config.node_name.as_ref() == Some(&name) && started < self.nodes.started {
            return self.retire(from);
        }
        let others = self.nodes.peers.iter().filter(|(id, _)| **id != from);
        let same = others.filter(|(_, other)| other.name.as_ref() == Some(&name));
        let same: Vec<_> = same.map(|(id, other)| (*id, other.started)).collect();
        for (id, other) in same {
            self.retire(if other < started { id } else { from });
        }
    }

    /// A node is over. Its members have their grace, as somebody's whose connection went away.
    fn retire(&mut self, node: NodeId) {
        if self.nodes.gone.contains(&node) {
            return;
        }
        self.nodes.forget(node);
        let ends = self.time + millis(self.config.leave_grace);
        let Some(peer) = self.nodes.peers.get_mut(&node) else {
            return;
        };
        peer.ends = Some(ends);
        self.nodes.held -= peer.let_go();
        let slots: Vec<_> = peer.slots.iter().map(|(s, p)| (*s, p.clone())).collect();
        for (slot, place) in slots {
            let room = self.rooms.get(&place.channel);
            let Some(entry) = room.and_then(|room| room.entry(&place.member, node, slot)) else {
                continue;
            };
            let put = Put {
                channel: place.channel.clone(),
                member: place.member.clone(),
                leaving: true,
                entered: entry.entered,
                updated: entry.updated,
                state: entry.state.cloned(),
            };
            self.put(node, slot, put);
        }
    }

    /// Nodes are gone that were silent for too long, and that ended, with their members.
    pub(super) fn expire_nodes(&mut self) {
        let timeout = millis(self.config.node_timeout);
        let is_over = |peer: &Peer| match peer.ends {
            Some(ends) => self.time >= ends,
            None => self.time >= peer.heard + timeout,
        };
        let peers = self.nodes.peers.iter();
        let over: Vec<_> = peers.filter(|(_, peer)| is_over(peer)).collect();
        let over: Vec<NodeId> = over.into_iter().map(|(id, _)| *id).collect();
        for id in over {
            let Some(mut peer) = self.nodes.peers.remove(&id) else {
                continue;
            };
            self.nodes.held -= peer.let_go();
            for (slot, place) in peer.slots {
                self.remove(id, slot, &place);
            }
        }
    }
}

const MAX_NODES: usize = 256;
/// How often a node is asked, in milliseconds.
const ASK_INTERVAL: u64 = 1_000;
