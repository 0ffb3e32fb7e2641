//! What retention removes, and what is forgotten of channels.

use std::time::Duration;

use eventcast_core::{BackplaneError, ChannelName, Retention};
use fjall::{Readable, Snapshot};

use crate::channel::{self, Channel};
use crate::failure::unreadable;
use crate::group::Group;
use crate::store::{Change, DUE, ENDS, Space, Store, garbled};

/// How many channels are looked at in one commit.
const BATCH: usize = 100;
/// How many records of a channel are removed in one commit: the rest at the next.
const MAX_TRIMMED: usize = 10_000;

/// How much of a channel is kept.
pub(crate) struct Limits {
    count: u64,
    bytes: u64,
    age: u64,
}

impl Limits {
    pub(crate) fn of(retention: &Retention) -> Self {
        Self {
            count: retention.count() as u64,
            bytes: retention.bytes(),
            age: millis(retention.age()),
        }
    }

    /// Only the age: what is known of a channel that nobody appends to.
    fn age(age: u64) -> Self {
        Self {
            count: u64::MAX,
            bytes: u64::MAX,
            age,
        }
    }

    /// The newest is kept whatever its size.
    fn is_over(&self, channel: &Channel, now: u64) -> bool {
        channel.count > self.count
            || (channel.bytes > self.bytes && channel.count > 1)
            || (channel.count > 0 && now.saturating_sub(channel.oldest) >= self.age)
    }
}

impl Group<'_> {
    /// Removes what a channel's retention no longer covers.
    pub(crate) fn retain(&mut self, name: &ChannelName, limits: &Limits, now: u64) {
        self.trim(name, limits, now);
        let Some(touched) = self.channels.get_mut(name) else {
            return;
        };
        let channel = &mut touched.channel;
        channel.age = limits.age;
        let due = match channel.count {
            0 => now,
            _ => channel.oldest.saturating_add(limits.age),
        };
        if channel.due.is_none_or(|before| due < before) {
            let before = channel.due.replace(due);
            if let Some(before) = before {
                self.index(DUE, before, name, false);
            }
            self.index(DUE, due, name, true);
        }
    }

    fn trim(&mut self, name: &ChannelName, limits: &Limits, now: u64) {
        let Some(touched) = self.channels.get_mut(name) else {
            return;
        };
        let channel = &mut touched.channel;
        if !limits.is_over(channel, now) {
            return;
        }
        let mut stored = stored(self.store, &self.snapshot, name, channel.trim).peekable();
        let mut trimmed = 0;
        while limits.is_over(channel, now) && trimmed < MAX_TRIMMED {
            let (sequence, time, charge) = match stored.next() {
                Some(Ok(record)) => {
                    self.changes.push(Change {
                        space: Space::Records,
                        key: channel::record_key(name, record.0),
                        value: None,
                    });
                    record
                }
                // What cannot be read now is trimmed later, or read as what it is.
                Some(Err(_)) => return,
                None => match touched.fresh.pop_front() {
                    Some(fresh) => (fresh.sequence, fresh.time, fresh.charge),
                    None => {
                        (channel.count, channel.bytes) = (0, 0);
                        return;
                    }
                },
            };
            trimmed += 1;
            channel.trim = sequence;
            channel.trim_time = time;
            channel.count = channel.count.saturating_sub(1);
            channel.bytes = channel.bytes.saturating_sub(charge);
            let next = match stored.peek() {
                Some(Ok((_, time, _))) => Some(*time),
                Some(Err(_)) => None,
                None => touched.fresh.front().map(|fresh| fresh.time),
            };
            channel.oldest = next.unwrap_or(time);
        }
    }

    /// Trims some channels of which something is too old, and forgets those of which nothing is
    /// left. Returns whether there is more to do.
    pub(crate) fn maintain(
        &mut self,
        now: u64,
        ends: u64,
        idle: u64,
    ) -> Result<bool, BackplaneError> {
        let due = self.indexed(DUE, now, BATCH)?;
        let mut is_more = due.len() == BATCH;
        for (at, name) in due {
            self.index(DUE, at, &name, false);
            let age = self.load(&name)?.channel.age;
            self.trim(&name, &Limits::age(age), now);
            let channel = &mut self.load(&name)?.channel;
            if channel.due.is_some_and(|due| due != at) {
                continue;
            }
            channel.due = None;
            let next = if channel.count > 0 {
                channel.oldest.saturating_add(age)
            } else if let Some(end) = &channel.end {
                // Who comes late is told that the channel has ended.
                let sequence = end.sequence;
                self.index(ENDS, sequence, &name, true);
                self.head.ends += 1;
                // They are counted at the next.
                is_more = true;
                continue;
            } else {
                let gone = channel.trim_time.saturating_add(age).saturating_add(idle);
                if gone <= now {
                    self.forget(&name)?;
                    continue;
                }
                gone
            };
            self.load(&name)?.channel.due = Some(next);
            self.index(DUE, next, &name, true);
        }
        let surplus = self.head.ends.saturating_sub(ends).min(BATCH as u64);
        for (sequence, name) in self.indexed(ENDS, u64::MAX, surplus as usize)? {
            self.index(ENDS, sequence, &name, false);
            self.head.ends -= 1;
            self.forget(&name)?;
            is_more = true;
        }
        Ok(is_more)
    }

    fn forget(&mut self, name: &ChannelName) -> Result<(), BackplaneError> {
        let touched = self.load(name)?;
        touched.is_forgotten = true;
        let (last, time) = (touched.channel.last, touched.channel.trim_time);
        self.head.floor = self.head.floor.max(last);
        self.head.floor_time = self.head.floor_time.max(time);
        Ok(())
    }

    /// The channels that are found by numbers up to one, the lowest first.
    fn indexed(
        &self,
        kind: u8,
        until: u64,
        most: usize,
    ) -> Result<Vec<(u64, ChannelName)>, BackplaneError> {
        let from = vec![kind];
        let to = match until.checked_add(1) {
            Some(end) => [&[kind][..], &end.to_be_bytes()].concat(),
            None => vec![kind + 1],
        };
        let found = self.snapshot.range(&self.store.index, from..to);
        let found = found.take(most).map(|entry| {
            let key = entry.key().map_err(unreadable)?;
            channel::decode_index_key(&key).ok_or_else(garbled)
        });
        found.collect()
    }
}

/// Sequence, time and charge of a channel's records after a sequence.
fn stored(
    store: &Store,
    snapshot: &Snapshot,
    name: &ChannelName,
    after: u64,
) -> impl Iterator<Item = Result<(u64, u64, u64), BackplaneError>> + use<> {
    let from = channel::record_key(name, after.saturating_add(1));
    let to = channel::record_key(name, u64::MAX);
    snapshot.range(&store.records, from..=to).map(|entry| {
        let (key, value) = entry.into_inner().map_err(unreadable)?;
        let record = channel::decode_record(&key, value.into()).ok_or_else(garbled)?;
        Ok((record.0, record.1, record.2))
    })
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
