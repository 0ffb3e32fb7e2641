//! The members of one channel, and what is to be told of them.

use std::collections::BTreeMap;
use std::ops::Bound;

use smallvec::SmallVec;

use super::announce::{Announcement, Change};
use super::member::{NodeId, Occupancy, PresencePage, PresenceQuery, Present};
use super::message::Put;
use crate::event::Payload;
use crate::name::MemberId;
use crate::stored::Timestamp;

#[derive(Default)]
pub(super) struct Room {
    members: BTreeMap<MemberId, Entries>,
    entries: usize,
    connections: usize,
    /// Whoever was touched since the last event, as it told him: `None` for absent.
    touched: BTreeMap<MemberId, Option<Option<Payload>>>,
    /// More were touched than are told.
    overflowed: bool,
    pub(super) is_dirty: bool,
    /// How many members were told of.
    told: usize,
    told_at: u64,
    pub(super) revision: u64,
}

/// One connection of a member.
struct Entry {
    node: NodeId,
    slot: u64,
    leaving: bool,
    entered: Timestamp,
    updated: Timestamp,
    state: Option<Payload>,
}

/// Mostly one.
type Entries = SmallVec<[Entry; 1]>;

impl Room {
    /// All connections, those in their grace included.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        Occupancy {
            members: self.members.len(),
            connections: self.connections,
        }
    }

    /// A member's state and when it was set, which a new connection takes over.
    pub(super) fn state_of(&self, member: &MemberId) -> (Option<Payload>, Timestamp) {
        let entries = self.members.get(member);
        entries.map_or_else(Default::default, |entries| {
            let newest = newest(entries);
            (newest.state.clone(), newest.updated)
        })
    }

    /// A connection of a member on a node that is in its grace, for another to go on from.
    pub(super) fn leaving_slot(&self, member: &MemberId, node: NodeId) -> Option<u64> {
        let entries = self.members.get(member)?;
        let entry = entries.iter().find(|e| e.node == node && e.leaving)?;
        Some(entry.slot)
    }

    /// What is known of a connection, for other nodes.
    pub(super) fn entry(
        &self,
        member: &MemberId,
        node: NodeId,
        slot: u64,
    ) -> Option<EntryView<'_>> {
        let entries = self.members.get(member)?;
        let entry = entries.iter().find(|e| e.is(node, slot))?;
        Some(EntryView {
            leaving: entry.leaving,
            entered: entry.entered,
            updated: entry.updated,
            state: entry.state.as_ref(),
        })
    }

    /// Enters a connection, or changes it. Returns the bytes of the state it had before; `None` when
    /// it is new.
    pub(super) fn put(&mut self, node: NodeId, slot: u64, put: Put, limit: usize) -> Option<usize> {
        self.touch(&put.member, limit);
        let entry = Entry {
            node,
            slot,
            leaving: put.leaving,
            entered: put.entered,
            updated: put.updated,
            state: put.state,
        };
        self.connections += usize::from(!entry.leaving);
        let entries = self.members.entry(put.member).or_default();
        if let Some(known) = entries.iter_mut().find(|e| e.is(node, slot)) {
            self.connections -= usize::from(!known.leaving);
            let before = std::mem::replace(known, entry);
            return Some(before.state.as_ref().map_or(0, Payload::len));
        }
        entries.push(entry);
        self.entries += 1;
        None
    }

    /// Takes a connection out. Returns the bytes of its state; `None` when it is not there.
    pub(super) fn remove(
        &mut self,
        member: &MemberId,
        node: NodeId,
        slot: u64,
        limit: usize,
    ) -> Option<usize> {
        let entries = self.members.get(member)?;
        let place = entries.iter().position(|e| e.is(node, slot))?;
        self.touch(member, limit);
        let entries = self.members.get_mut(member)?;
        let entry = entries.swap_remove(place);
        self.entries -= 1;
        self.connections -= usize::from(!entry.leaving);
        if entries.is_empty() {
            self.members.remove(member);
        }
        Some(entry.state.as_ref().map_or(0, Payload::len))
    }

    /// Remembers what the last event told of a member that changes now.
    fn touch(&mut self, member: &MemberId, limit: usize) {
        if self.overflowed || self.touched.contains_key(member) {
            return;
        }
        if self.touched.len() >= limit {
            self.overflowed = true;
            self.touched = BTreeMap::new();
            return;
        }
        let told = self.members.get(member).map(|e| newest(e).state.clone());
        self.touched.insert(member.clone(), told);
    }

    /// Whether nobody is there, and nothing was told that has to be taken back.
    pub(super) fn is_untold(&self) -> bool {
        self.members.is_empty() && self.revision == 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether its changes may be told now.
    pub(super) fn is_due(&self, now: u64, max_announced: usize) -> bool {
        self.members.len() <= max_announced || now >= self.told_at + OCCUPANCY_INTERVAL
    }

    /// What is to be told, if anything; it counts as told then.
    pub(super) fn announce(
        &mut self,
        node: NodeId,
        revision: u64,
        now: u64,
        max_announced: usize,
    ) -> Option<Announcement> {
        self.is_dirty = false;
        let touched = std::mem::take(&mut self.touched);
        let overflowed = std::mem::take(&mut self.overflowed);
        let mut changes = (!overflowed).then(|| {
            let changed = touched.into_iter().filter_map(|(member, told)| {
                let present = self.members.get(&member).map(|e| &newest(e).state);
                let change = match (told, present) {
                    (None, Some(state)) => Change::Join(state.clone()),
                    (Some(_), None) => Change::Leave,
                    (Some(told), Some(state)) if told != *state => Change::Update(state.clone()),
                    _ => return None,
                };
                Some((member, change))
            });
            changed.collect::<BTreeMap<_, _>>()
        });
        // Of connections alone nothing is told: who polls has another one each time he is told.
        if changes.as_ref().is_some_and(BTreeMap::is_empty) {
            return None;
        }
        let occupancy = self.occupancy();
        if occupancy.members.max(self.told) > max_announced {
            changes = None;
        }
        let previous = std::mem::replace(&mut self.revision, revision);
        (self.told, self.told_at) = (occupancy.members, now);
        Some(Announcement {
            node,
            revision,
            previous,
            occupancy,
            changes,
        })
    }

    pub(super) fn page(&self, node: NodeId, query: &PresenceQuery) -> PresencePage {
        let from = query.after.as_ref();
        let from = from.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.members.range::<MemberId, _>((from, Bound::Unbounded));
        let mut members: Vec<Present> = Vec::new();
        let (mut bytes, mut more) = (0, false);
        for (id, entries) in rest.by_ref() {
            if members.len() >= query.limit || bytes > PAGE_BYTES {
                more = true;
                break;
            }
            let state = newest(entries).state.clone();
            bytes += id.as_str().len() + state.as_ref().map_or(0, Payload::len);
            members.push(Present {
                id: id.clone(),
                state,
                connections: entries.iter().filter(|e| !e.leaving).count(),
                since: entries.iter().map(|e| e.entered).min().unwrap_or_default(),
            });
        }
        let next = members.last().filter(|_| more).map(|last| last.id.clone());
        PresencePage {
            members,
            next,
            occupancy: self.occupancy(),
            revision: self.revision,
            node,
        }
    }
}

/// What other nodes are told of a connection.
pub(super) struct EntryView<'a> {
    pub(super) leaving: bool,
    pub(super) entered: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) state: Option<&'a Payload>,
}

impl Entry {
    fn is(&self, node: NodeId, slot: u64) -> bool {
        self.slot == slot && self.node == node
    }
}

/// The connection that set the state last; the same one on every node.
fn newest(entries: &Entries) -> &Entry {
    let order = |e: &&Entry| (e.updated, e.node, e.slot);
    entries
        .iter()
        .max_by_key(order)
        .expect("a member has a connection")
}

/// How often a channel with many members is told how many, in milliseconds.
const OCCUPANCY_INTERVAL: u64 = 1_000;
const PAGE_BYTES: usize = 1 << 20;
