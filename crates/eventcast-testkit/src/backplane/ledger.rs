//! What was acknowledged, and comparing a log's records with it.

use std::collections::BTreeMap;

use eventcast_core::{Backplane, Body, Position, Record, Retention};

use super::node::{append, refused};
use super::stage::now;
use crate::verdict::ensure;

/// What was acknowledged, by sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(BTreeMap<u64, Entry>);

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) channel: String,
    pub(super) body: Body,
}

impl Ledger {
    /// Appends and notes it: each body must have a position of its own.
    pub(super) async fn publish(
        &mut self,
        plane: &dyn Backplane,
        channel: &str,
        bodies: Vec<Body>,
        retention: Retention,
    ) -> Result<Vec<u64>, String> {
        let appended = append(plane, channel, bodies.clone(), retention, now()).await;
        let positions = appended.map_err(|error| refused(channel, &error))?;
        self.note(channel, bodies, &positions)
    }

    pub(super) fn note(
        &mut self,
        channel: &str,
        bodies: Vec<Body>,
        positions: &[Position],
    ) -> Result<Vec<u64>, String> {
        ensure!(
            positions.len() == bodies.len(),
            "{} bodies are given {} positions",
            bodies.len(),
            positions.len()
        );
        let sequences: Vec<_> = positions.iter().map(|p| p.sequence()).collect();
        ensure!(
            sequences.is_sorted_by(|a, b| a < b),
            "the positions of a batch do not increase: {sequences:?}"
        );
        for (body, position) in bodies.into_iter().zip(positions) {
            let entry = Entry {
                position: *position,
                channel: channel.to_owned(),
                body,
            };
            let sequence = position.sequence();
            ensure!(sequence > 0, "a record is given the sequence 0");
            if let Some(before) = self.0.insert(sequence, entry) {
                return Err(format!(
                    "the sequence {sequence} is given twice: before to {:?} in {}",
                    before.body, before.channel
                ));
            }
        }
        Ok(sequences)
    }

    /// Takes over what another one noted.
    pub(super) fn merge(&mut self, other: Self) -> Result<(), String> {
        for (sequence, entry) in other.0 {
            if self.0.insert(sequence, entry).is_some() {
                return Err(format!("the sequence {sequence} is given twice"));
            }
        }
        Ok(())
    }

    /// The highest sequence; 0 for none.
    pub(super) fn last(&self) -> u64 {
        self.0.keys().next_back().copied().unwrap_or(0)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    pub(super) fn channels(&self) -> Vec<String> {
        let mut channels: Vec<_> = self.0.values().map(|e| e.channel.clone()).collect();
        channels.sort_unstable();
        channels.dedup();
        channels
    }

    /// The sequences above one.
    pub(super) fn after(&self, sequence: u64) -> Vec<u64> {
        self.0.range(sequence + 1..).map(|(s, _)| *s).collect()
    }

    /// A channel's sequences.
    pub(super) fn of(&self, channel: &str) -> Vec<u64> {
        let of = self.0.iter().filter(|(_, entry)| entry.channel == channel);
        of.map(|(sequence, _)| *sequence).collect()
    }

    /// Compares records with what should be there: which, and what they are.
    pub(super) fn compare(
        &self,
        given: &[Record],
        expected: &[u64],
        who: &str,
    ) -> Result<(), String> {
        let sequences: Vec<_> = given.iter().map(|r| r.position.sequence()).collect();
        if let Some(missing) = expected.iter().find(|s| !sequences.contains(s)) {
            return Err(format!(
                "{who} lacks {missing}; it has {sequences:?} of {expected:?}"
            ));
        }
        ensure!(
            sequences == expected,
            "{who} has {sequences:?} instead of {expected:?}"
        );
        given.iter().try_for_each(|record| self.is(record, who))
    }

    /// Compares one record whole.
    pub(super) fn is(&self, record: &Record, who: &str) -> Result<(), String> {
        let sequence = record.position.sequence();
        let Some(entry) = self.0.get(&sequence) else {
            return Err(format!("{who} has {sequence}, which nobody published"));
        };
        ensure!(
            record.position == entry.position,
            "{who} has {:?} at {}, acknowledged as {}",
            record.body,
            record.position,
            entry.position
        );
        ensure!(
            record.channel.as_str() == entry.channel,
            "{who} has {sequence} in {} instead of {}",
            record.channel,
            entry.channel
        );
        ensure!(
            record.body == entry.body,
            "{who} has {sequence} altered: {:.300?} instead of {:.300?}",
            format!("{:?}", record.body),
            format!("{:?}", entry.body)
        );
        Ok(())
    }
}
