//! Appends that are committed together.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use eventcast_core::{
    Append, AppendError, Body, ChannelName, Lineage, OutcomeKnown, Position, Record, Timestamp,
};
use fjall::{Readable, Snapshot};

use crate::channel::{self, Channel, End, Head};
use crate::failure::{unavailable, unreadable};
use crate::retain::Limits;
use crate::store::{Change, DUE, ENDS, HEAD, Space, Store, garbled};

/// What is committed together: appends, and what retention removes meanwhile.
pub(crate) struct Group<'a> {
    pub(crate) store: &'a Store,
    pub(crate) snapshot: Snapshot,
    lineage: &'a Lineage,
    window: u64,
    pub(crate) head: Head,
    pub(crate) changes: Vec<Change>,
    pub(crate) channels: HashMap<ChannelName, Touched>,
    /// The sequences of idempotency keys that are new.
    keys: HashMap<Bytes, u64>,
    /// What the sink is given.
    pub(crate) records: Vec<Record>,
}

/// A channel of which something changes.
pub(crate) struct Touched {
    pub(crate) channel: Channel,
    /// What is appended, as far as it is kept.
    pub(crate) fresh: VecDeque<Fresh>,
    pub(crate) is_forgotten: bool,
}

pub(crate) struct Fresh {
    pub(crate) sequence: u64,
    pub(crate) time: u64,
    pub(crate) charge: u64,
    body: Bytes,
}

impl<'a> Group<'a> {
    pub(crate) fn new(store: &'a Store, lineage: &'a Lineage, head: Head, window: u64) -> Self {
        Self {
            store,
            snapshot: store.snapshot(),
            lineage,
            window,
            head,
            changes: Vec::new(),
            channels: HashMap::new(),
            keys: HashMap::new(),
            records: Vec::new(),
        }
    }

    /// The sequences of the bodies. Nothing is changed when it fails.
    pub(crate) fn append(
        &mut self,
        append: &Append,
        bodies: &[Bytes],
    ) -> Result<Vec<Position>, AppendError> {
        let now = append.time.as_millis().max(self.head.time);
        self.load(&append.channel)
            .map_err(|error| unavailable(OutcomeKnown::NotStored, error))?;
        let mut next = self.head.last.saturating_add(1).max(self.lineage.first());
        let mut sequences = Vec::with_capacity(bodies.len());
        let mut fresh = Vec::new();
        let mut own = HashMap::new();
        for (index, body) in append.bodies.iter().enumerate() {
            let key = body.idempotency_key();
            let key = key.map(|key| channel::idempotency_key(&append.channel, key));
            let known = match &key {
                Some(key) => match own.get(key) {
                    Some(sequence) => Some(*sequence),
                    None => self.known(key, now)?,
                },
                None => None,
            };
            let sequence = known.unwrap_or(next);
            if known.is_none() {
                fresh.push((index, next));
                own.extend(key.map(|key| (key, next)));
                next += 1;
            }
            sequences.push(sequence);
        }
        if !fresh.is_empty() {
            let touched = self.channels.get_mut(&append.channel);
            let touched = touched.expect("the channel was loaded");
            if touched.channel.end.is_some() {
                return Err(AppendError::Completed);
            }
            for (index, sequence) in fresh {
                let body = &append.bodies[index];
                let (bytes, charge) = (bodies[index].clone(), body.charge(&append.channel));
                touched.store(
                    body,
                    Fresh {
                        sequence,
                        time: now,
                        charge,
                        body: bytes,
                    },
                );
                self.records.push(Record {
                    position: self.lineage.position(sequence),
                    time: Timestamp::from_millis(now),
                    channel: append.channel.clone(),
                    body: body.clone(),
                });
                self.head.last = sequence;
            }
            self.head.time = now;
            for (key, sequence) in own {
                self.changes.push(Change {
                    space: Space::Keys(self.head.generation as usize & 1),
                    key: key.clone(),
                    value: Some(channel::pair(sequence, now)),
                });
                self.keys.insert(key, sequence);
            }
            self.retain(&append.channel, &Limits::of(&append.retention), now);
        }
        Ok(channel::positions(self.lineage, &sequences))
    }

    /// The sequence of what was published with a key.
    fn known(&self, key: &Bytes, now: u64) -> Result<Option<u64>, AppendError> {
        if let Some(sequence) = self.keys.get(key) {
            return Ok(Some(*sequence));
        }
        for keys in &self.store.keys {
            let found = self.snapshot.get(keys, key).map_err(unreadable);
            let found = found.map_err(|error| unavailable(OutcomeKnown::NotStored, error))?;
            let found = found.and_then(|value| channel::decode_pair(value.into()));
            if let Some((sequence, time)) = found
                && now.saturating_sub(time) < self.window
            {
                return Ok(Some(sequence));
            }
        }
        Ok(None)
    }

    /// Takes up a channel.
    pub(crate) fn load(
        &mut self,
        name: &ChannelName,
    ) -> Result<&mut Touched, eventcast_core::BackplaneError> {
        if !self.channels.contains_key(name) {
            let stored = self.store.channel(&self.snapshot, name)?;
            let channel = stored.unwrap_or_else(|| self.head.new_channel());
            let touched = Touched {
                channel,
                fresh: VecDeque::new(),
                is_forgotten: false,
            };
            self.channels.insert(name.clone(), touched);
        }
        self.channels.get_mut(name).ok_or_else(garbled)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.records.is_empty()
    }

    /// All that is to be written, and what the sink is given.
    pub(crate) fn into_parts(mut self) -> (Vec<Change>, Vec<Record>, Head) {
        for (name, touched) in self.channels {
            for fresh in touched.fresh {
                self.changes.push(Change {
                    space: Space::Records,
                    key: channel::record_key(&name, fresh.sequence),
                    value: Some(channel::record_value(fresh.time, fresh.charge, &fresh.body)),
                });
            }
            self.changes.push(Change {
                space: Space::Channels,
                key: Bytes::copy_from_slice(name.as_str().as_bytes()),
                value: (!touched.is_forgotten).then(|| touched.channel.encode()),
            });
        }
        self.changes.push(Change {
            space: Space::Index,
            key: HEAD.into(),
            value: Some(self.head.encode()),
        });
        (last_of_each(self.changes), self.records, self.head)
    }

    pub(crate) fn index(&mut self, kind: u8, number: u64, name: &ChannelName, is_there: bool) {
        debug_assert!(kind == DUE || kind == ENDS);
        self.changes.push(Change {
            space: Space::Index,
            key: channel::index_key(kind, number, name),
            value: is_there.then(Bytes::new),
        });
    }
}

impl Touched {
    fn store(&mut self, body: &Body, fresh: Fresh) {
        self.channel.last = fresh.sequence;
        match body {
            Body::Completion(_) => {
                self.channel.end = Some(End {
                    sequence: fresh.sequence,
                    time: fresh.time,
                    body: fresh.body,
                });
            }
            Body::Event(_) => {
                if self.channel.count == 0 {
                    self.channel.oldest = fresh.time;
                }
                self.channel.count += 1;
                self.channel.bytes += fresh.charge;
                self.fresh.push_back(fresh);
            }
        }
    }
}

/// In one batch of the database all changes of a key are made at once: only the last one may be in
/// it.
fn last_of_each(changes: Vec<Change>) -> Vec<Change> {
    let mut seen = HashSet::new();
    let mut last: Vec<_> = changes
        .into_iter()
        .rev()
        .filter(|change| seen.insert((change.space, change.key.clone())))
        .collect();
    last.reverse();
    last
}
