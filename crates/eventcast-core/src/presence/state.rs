//! All channels' members, and the connections of this node.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::announce::Announcement;
use super::config::PresenceConfig;
use super::error::PresenceError;
use super::member::{Member, NodeId, check_state};
use super::message::{Change, Put};
use super::nodes::Nodes;
use super::room::Room;
use crate::event::Payload;
use crate::name::{ChannelName, MemberId};
use crate::stored::Timestamp;

pub(super) struct State {
    pub(super) config: PresenceConfig,
    pub(super) id: NodeId,
    pub(super) rooms: HashMap<ChannelName, Room>,
    /// Those with something to tell.
    dirty: HashSet<ChannelName>,
    pub(super) local: Local,
    pub(super) nodes: Nodes,
    pub(super) bytes: usize,
    pub(super) entries: usize,
    /// Connections of other nodes for which there was no room.
    pub(super) left_out: u64,
    revision: u64,
    /// Time that goes on with maintenance, in milliseconds: neither a clock that is set nor a
    /// process that was stopped makes everybody late at once.
    pub(super) time: u64,
    seen: Option<Timestamp>,
}

/// The connections of this node.
#[derive(Default)]
pub(super) struct Local {
    pub(super) slots: BTreeMap<u64, Place>,
    next_slot: u64,
    /// Until when connections that went away may come back.
    leaving: BTreeSet<(u64, u64)>,
    leaves_at: HashMap<u64, u64>,
    /// Of these, other nodes are to be told.
    pub(super) changed: BTreeSet<u64>,
    pub(super) is_closed: bool,
}

/// Where a connection is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) channel: ChannelName,
    pub(super) member: MemberId,
}

impl State {
    pub(super) fn new(id: NodeId, config: PresenceConfig) -> Self {
        Self {
            config,
            id,
            rooms: HashMap::new(),
            dirty: HashSet::new(),
            local: Local::default(),
            nodes: Nodes::default(),
            bytes: 0,
            entries: 0,
            left_out: 0,
            revision: 0,
            time: 0,
            seen: None,
        }
    }

    pub(super) fn interval(&self) -> std::time::Duration {
        self.config.interval
    }

    /// Moves time on by what the clock has, as far as that can be true.
    pub(super) fn advance(&mut self, now: Timestamp) {
        let seen = self.seen.replace(now).unwrap_or(now).as_millis();
        let passed = now.as_millis().saturating_sub(seen);
        self.time += passed.min(millis(self.config.heartbeat));
    }

    /// Enters a member over a new connection, or over one that it had just left.
    pub(super) fn enter(
        &mut self,
        channel: &ChannelName,
        member: Member,
        now: Timestamp,
    ) -> Result<u64, PresenceError> {
        if self.local.is_closed {
            return Err(PresenceError::Left);
        }
        if let Some(state) = &member.state {
            check_state(state, self.config.max_state)?;
        }
        let room = self.rooms.get(channel);
        let back = room.and_then(|room| room.leaving_slot(&member.id, self.id));
        let charge = charge(&member.id, member.state.as_ref());
        match back {
            None => self.has_room(channel, charge)?,
            Some(_) => self.has_bytes(charge)?,
        }
        let room = self.rooms.get(channel);
        let (state, updated) = room
            .map(|room| room.state_of(&member.id))
            .unwrap_or_default();
        let (state, updated) = match member.state {
            // Later than what it takes the place of, whatever the clocks of two nodes say.
            Some(state) => (Some(state), later(now, updated)),
            None => (state, updated),
        };
        let slot = back.unwrap_or_else(|| {
            self.local.next_slot += 1;
            self.local.next_slot
        });
        self.local.stays(slot);
        let known = back.and_then(|slot| self.put_of(slot));
        let entered = known.map_or(now, |known| known.entered);
        let put = Put {
            channel: channel.clone(),
            member: member.id,
            leaving: false,
            entered,
            updated,
            state,
        };
        let place = Place {
            channel: channel.clone(),
            member: put.member.clone(),
        };
        self.local.slots.insert(slot, place);
        self.put(self.id, slot, put);
        self.note(slot);
        Ok(slot)
    }

    /// Sets the state of a connection's member.
    pub(super) fn update(
        &mut self,
        slot: u64,
        state: Option<Payload>,
        now: Timestamp,
    ) -> Result<(), PresenceError> {
        if let Some(state) = &state {
            check_state(state, self.config.max_state)?;
        }
        let mut put = self.put_of(slot).ok_or(PresenceError::Left)?;
        let (before, after) = (size(put.state.as_ref()), size(state.as_ref()));
        let limit = self.config.max_bytes;
        if after > before && self.bytes + after - before > limit {
            return Err(PresenceError::Full { limit });
        }
        let room = self.rooms.get(&put.channel);
        let (_, updated) = room
            .map(|room| room.state_of(&put.member))
            .unwrap_or_default();
        (put.state, put.updated) = (state, later(now, updated));
        self.put(self.id, slot, put);
        self.note(slot);
        Ok(())
    }

    /// A connection went away: its member leaves after its grace, or now.
    pub(super) fn leave(&mut self, slot: u64, at_once: bool) {
        let grace = millis(self.config.leave_grace);
        if at_once || grace == 0 {
            return self.leave_now(slot);
        }
        let Some(put) = self.put_of(slot) else {
            return;
        };
        self.put(
            self.id,
            slot,
            Put {
                leaving: true,
                ..put
            },
        );
        self.note(slot);
        self.local.leaves(slot, self.time + grace);
    }

    pub(super) fn leave_now(&mut self, slot: u64) {
        self.local.stays(slot);
        if let Some(place) = self.local.slots.remove(&slot) {
            self.remove(self.id, slot, &place);
            self.note(slot);
        }
    }

    /// Those leave whose grace is over.
    pub(super) fn expire_leaving(&mut self) {
        while let Some(&(at, slot)) = self.local.leaving.first()
            && at <= self.time
        {
            self.leave_now(slot);
        }
    }

    /// Other nodes are to be told of a connection.
    fn note(&mut self, slot: u64) {
        if self.nodes.is_connected {
            self.local.changed.insert(slot);
            if self.local.changed.len() > self.local.slots.len() + MAX_CHANGED {
                // Nobody maintains presence, it seems. They have to ask for all of it.
                self.local.changed.clear();
                self.nodes.skip();
            }
        }
    }

    /// What other nodes are to know of a connection of this one.
    pub(super) fn put_of(&self, slot: u64) -> Option<Put> {
        let place = self.local.slots.get(&slot)?;
        let room = self.rooms.get(&place.channel)?;
        let entry = room.entry(&place.member, self.id, slot)?;
        Some(Put {
            channel: place.channel.clone(),
            member: place.member.clone(),
            leaving: entry.leaving,
            entered: entry.entered,
            updated: entry.updated,
            state: entry.state.cloned(),
        })
    }

    pub(super) fn change_of(&self, slot: u64) -> Change {
        match self.put_of(slot) {
            Some(put) => Change::Put(slot, put),
            None => Change::Remove(slot),
        }
    }

    /// Whether one more connection fits, of so many bytes.
    pub(super) fn has_room(
        &self,
        channel: &ChannelName,
        charge: usize,
    ) -> Result<(), PresenceError> {
        let config = &self.config;
        let room = self.rooms.get(channel);
        if room.is_none() && self.rooms.len() >= config.max_channels {
            let limit = config.max_channels;
            return Err(PresenceError::TooManyChannels { limit });
        }
        if room.map_or(0, Room::entries) >= config.max_connections {
            let limit = config.max_connections;
            return Err(PresenceError::ChannelFull { limit });
        }
        self.has_bytes(charge)
    }

    fn has_bytes(&self, charge: usize) -> Result<(), PresenceError> {
        let limit = self.config.max_bytes;
        if self.bytes + charge > limit {
            return Err(PresenceError::Full { limit });
        }
        Ok(())
    }

    pub(super) fn put(&mut self, node: NodeId, slot: u64, put: Put) {
        let after = size(put.state.as_ref());
        let fixed = charge(&put.member, None);
        let channel = put.channel.clone();
        let room = self.rooms.entry(channel.clone()).or_default();
        match room.put(node, slot, put, self.config.max_changes) {
            Some(before) => self.bytes = self.bytes + after - before,
            None => {
                self.entries += 1;
                self.bytes += fixed + after;
            }
        }
        self.mark(&channel);
    }

    pub(super) fn remove(&mut self, node: NodeId, slot: u64, place: &Place) {
        let Some(room) = self.rooms.get_mut(&place.channel) else {
            return;
        };
        let limit = self.config.max_changes;
        if let Some(state) = room.remove(&place.member, node, slot, limit) {
            self.entries -= 1;
            self.bytes -= charge(&place.member, None) + state;
            if room.is_untold() {
                self.rooms.remove(&place.channel);
                self.dirty.remove(&place.channel);
            } else {
                self.mark(&place.channel);
            }
        }
    }

    fn mark(&mut self, channel: &ChannelName) {
        if let Some(room) = self.rooms.get_mut(channel)
            && !room.is_dirty
        {
            room.is_dirty = true;
            self.dirty.insert(channel.clone());
        }
    }

    /// What channels are to be told now.
    pub(super) fn announcements(&mut self) -> Vec<(ChannelName, Announcement)> {
        let mut told = Vec::new();
        let (rooms, config) = (&mut self.rooms, &self.config);
        self.dirty.retain(|channel| {
            let Some(room) = rooms.get_mut(channel) else {
                return false;
            };
            if !room.is_due(self.time, config.max_announced) {
                return true;
            }
            let revision = self.revision + 1;
            if let Some(news) = room.announce(self.id, revision, self.time, config.max_announced) {
                self.revision = revision;
                told.push((channel.clone(), news));
            }
            if room.is_empty() {
                rooms.remove(channel);
            }
            false
        });
        shrink(rooms);
        if self.dirty.capacity() > 4 * self.dirty.len() + 64 {
            self.dirty.shrink_to_fit();
        }
        told
    }
}

impl Local {
    fn leaves(&mut self, slot: u64, at: u64) {
        self.stays(slot);
        self.leaving.insert((at, slot));
        self.leaves_at.insert(slot, at);
    }

    fn stays(&mut self, slot: u64) {
        if let Some(at) = self.leaves_at.remove(&slot) {
            self.leaving.remove(&(at, slot));
        }
    }
}

/// What a connection of a member is charged for.
pub(super) fn charge(member: &MemberId, state: Option<&Payload>) -> usize {
    ENTRY_BYTES + member.as_str().len() + size(state)
}

fn size(state: Option<&Payload>) -> usize {
    state.map_or(0, Payload::len)
}

fn later(now: Timestamp, than: Timestamp) -> Timestamp {
    now.max(Timestamp::from_millis(than.as_millis().saturating_add(1)))
}

fn shrink(rooms: &mut HashMap<ChannelName, Room>) {
    if rooms.capacity() > 4 * rooms.len() + 64 {
        rooms.shrink_to_fit();
    }
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    duration.as_millis() as u64
}

/// What its places in the maps take, and who holds it, as `examples/presence_memory.rs` measures.
const ENTRY_BYTES: usize = 420;
/// How many connections may come and go between two rounds of maintenance.
const MAX_CHANGED: usize = 100_000;
