//! Storing, and what retention no longer covers.

use eventcast_core::{
    Append, AppendError, Body, ChannelName, Position, Record, StoredEvent, Timestamp,
};

use super::state::{Kept, State};

impl State {
    pub(super) fn append(&mut self, append: Append) -> Result<Vec<Position>, AppendError> {
        self.time = self.time.max(append.time);
        self.forget_keys();
        if append
            .bodies
            .iter()
            .all(|body| self.known(&append.channel, body).is_some())
        {
            return Ok(append
                .bodies
                .iter()
                .filter_map(|body| self.known(&append.channel, body))
                .collect());
        }
        let kept = self.channels.entry(append.channel.clone()).or_default();
        if kept.facts.completion.is_some() {
            return Err(AppendError::Completed);
        }
        kept.retention = append.retention;
        let mut positions = Vec::with_capacity(append.bodies.len());
        for body in append.bodies {
            positions.push(match self.known(&append.channel, &body) {
                Some(position) => position,
                None => self.store(&append.channel, body),
            });
        }
        self.trim(&append.channel, self.time);
        Ok(positions)
    }

    /// The position of what was published with a body's key.
    fn known(&self, channel: &ChannelName, body: &Body) -> Option<Position> {
        let key = body.idempotency_key()?.clone();
        let (sequence, _) = self.keys.get(&(channel.clone(), key))?;
        Some(self.lineage.position(*sequence))
    }

    fn store(&mut self, channel: &ChannelName, body: Body) -> Position {
        let position = self.lineage.position(self.next);
        (self.last, self.next) = (self.next, self.next + 1);
        let record = Record {
            position,
            time: self.time,
            channel: channel.clone(),
            body,
        };
        if let (Some(key), Some(_)) = (
            record.body.idempotency_key(),
            self.capabilities.deduplicates,
        ) {
            let entry = (channel.clone(), key.clone());
            self.keys.insert(entry, (position.sequence(), self.time));
        }
        let kept = self.channels.entry(channel.clone()).or_default();
        kept.sequences.push_back(position.sequence());
        kept.bytes += charge(&record);
        kept.facts.last = position.sequence();
        if matches!(record.body, Body::Completion(_)) {
            kept.facts.completion = Some(record.clone());
        }
        self.give(&record);
        self.records.insert(position.sequence(), record);
        position
    }

    fn forget_keys(&mut self) {
        let (now, window) = (self.time, self.capabilities.deduplicates);
        let window = window.unwrap_or_default();
        self.keys
            .retain(|_, (_, time)| u128::from(age(*time, now)) < window.as_millis());
    }

    /// Removes what a channel's retention no longer covers: the newest only by age.
    pub(super) fn trim(&mut self, channel: &ChannelName, now: Timestamp) {
        let Some(kept) = self.channels.get_mut(channel) else {
            return;
        };
        let retention = kept.retention;
        while let Some(oldest) = kept.sequences.front() {
            let time = self.records[oldest].time;
            let count = kept.sequences.len();
            let too_many = count > retention.count() || kept.bytes > retention.bytes();
            let too_old = u128::from(age(time, now)) >= retention.age().as_millis();
            if !(too_many && count > 1 || too_old) {
                return;
            }
            kept.remove_oldest(&mut self.records);
        }
    }

    pub(super) fn trim_to(&mut self, sequence: u64) {
        for kept in self.channels.values_mut() {
            while kept.sequences.front().is_some_and(|s| *s <= sequence) {
                kept.remove_oldest(&mut self.records);
            }
        }
        self.floor = self.floor.max(sequence.min(self.last));
    }
}

impl Kept {
    fn remove_oldest(&mut self, records: &mut std::collections::BTreeMap<u64, Record>) {
        if let Some(sequence) = self.sequences.pop_front()
            && let Some(record) = records.remove(&sequence)
        {
            self.bytes -= charge(&record);
            self.facts.trim_mark = sequence;
            self.facts.trimmed_until = record.time;
        }
    }
}

fn age(time: Timestamp, now: Timestamp) -> u64 {
    now.as_millis().saturating_sub(time.as_millis())
}

/// As the memory hub counts.
pub(super) fn charge(record: &Record) -> u64 {
    match &record.body {
        Body::Event(event) => StoredEvent::new(
            record.position,
            record.time,
            record.channel.clone(),
            event.clone(),
        )
        .charge(),
        Body::Completion(_) => 256,
    }
}
