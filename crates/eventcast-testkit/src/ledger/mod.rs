//! What was published, what a client saw, and whether the two agree.

use std::collections::{BTreeMap, BTreeSet};

/// Everything that was published to a hub, in its order.
#[derive(Clone, Debug, Default)]
pub struct Ledger(BTreeMap<u64, String>);

impl Ledger {
    /// Nothing was published yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes an event's channel and sequence.
    pub fn published(&mut self, channel: &str, sequence: u64) {
        self.0.insert(sequence, channel.to_owned());
    }

    /// Where an event was published.
    #[must_use]
    pub fn channel(&self, sequence: u64) -> Option<&str> {
        self.0.get(&sequence).map(String::as_str)
    }

    /// The last sequence.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.0.keys().next_back().copied().unwrap_or(0)
    }
}

/// What one client saw, over any number of connections, from a first position on.
#[derive(Clone, Debug)]
pub struct Observer {
    channels: BTreeSet<String>,
    start: u64,
    /// The id that the client would resume with.
    position: u64,
    last_event: u64,
    entries: Vec<Entry>,
    violation: Option<Violation>,
}

#[derive(Clone, Debug)]
enum Entry {
    Event {
        channel: String,
        sequence: u64,
    },
    Gap {
        channel: String,
        missed: Option<u64>,
    },
}

/// How a client's view breaks the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// An event came that its channel never had, or that the client had not subscribed to.
    Foreign {
        /// The channel it came on.
        channel: String,
        /// Its sequence.
        sequence: u64,
    },
    /// An id was lower than one before it.
    Backwards {
        /// The id's sequence.
        sequence: u64,
        /// The one before.
        after: u64,
    },
    /// An event never came, and no gap stands in its place.
    Lost {
        /// Its channel.
        channel: String,
        /// Its sequence.
        sequence: u64,
    },
    /// A gap tells of another number of events than are missing in its place.
    Miscounted {
        /// The gap's channel.
        channel: String,
        /// What the gap says.
        told: u64,
        /// What is missing.
        missing: u64,
    },
    /// An event came twice, or after one with a higher sequence.
    Repeated {
        /// Its sequence.
        sequence: u64,
    },
    /// A gap was told although nothing is missing in its place.
    FalseGap {
        /// The gap's channel.
        channel: String,
    },
}

impl Observer {
    /// A client of these channels that has seen everything up to `start`.
    pub fn new<S: Into<String>>(channels: impl IntoIterator<Item = S>, start: u64) -> Self {
        Self {
            channels: channels.into_iter().map(Into::into).collect(),
            start,
            position: start,
            last_event: start,
            entries: Vec::new(),
            violation: None,
        }
    }

    /// The sequence to resume with.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many events came.
    #[must_use]
    pub fn events(&self) -> usize {
        let is_event = |entry: &&Entry| matches!(entry, Entry::Event { .. });
        self.entries.iter().filter(is_event).count()
    }

    /// An event came; its id is its sequence.
    pub fn event(&mut self, channel: &str, sequence: u64) {
        if sequence <= self.last_event {
            self.violated(Violation::Repeated { sequence });
        }
        if !self.channels.contains(channel) {
            let channel = channel.to_owned();
            self.violated(Violation::Foreign { channel, sequence });
        }
        self.last_event = sequence;
        self.id(sequence);
        let channel = channel.to_owned();
        self.entries.push(Entry::Event { channel, sequence });
    }

    /// A gap came, with an id if it carried one.
    pub fn gap(&mut self, channel: &str, missed: Option<u64>, id: Option<u64>) {
        if let Some(id) = id {
            self.id(id);
        }
        let channel = channel.to_owned();
        self.entries.push(Entry::Gap { channel, missed });
    }

    /// A block came that carries an id only.
    pub fn id(&mut self, sequence: u64) {
        if sequence < self.position {
            let after = self.position;
            self.violated(Violation::Backwards { sequence, after });
        }
        self.position = self.position.max(sequence);
    }

    /// Compares what came with all that was published after the start.
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(&self, ledger: &Ledger) -> Result<(), Violation> {
        self.check_until(ledger, u64::MAX)
    }

    /// [`check`](Self::check) for a client that was there up to a sequence, and no longer.
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check_until(&self, ledger: &Ledger, last: u64) -> Result<(), Violation> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        self.channels
            .iter()
            .try_for_each(|channel| self.check_channel(channel, ledger, last))
    }

    /// Walks through one channel: between two of its events that came, either nothing is missing
    /// or a gap says so.
    fn check_channel(&self, channel: &str, ledger: &Ledger, end: u64) -> Result<(), Violation> {
        let own = |from: u64, to: u64| {
            ledger
                .0
                .range(from.saturating_add(1)..to)
                .filter(|(_, at)| *at == channel)
                .map(|(sequence, _)| *sequence)
        };
        let mut last = self.start;
        let mut gaps = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Gap {
                    channel: at,
                    missed,
                } if at == channel => gaps.push(*missed),
                Entry::Event {
                    channel: at,
                    sequence,
                } if at == channel => {
                    if ledger.channel(*sequence) != Some(channel) {
                        return Err(Violation::Foreign {
                            channel: channel.to_owned(),
                            sequence: *sequence,
                        });
                    }
                    check_stretch(channel, own(last, *sequence), &gaps)?;
                    gaps.clear();
                    last = *sequence;
                }
                _ => {}
            }
        }
        check_stretch(channel, own(last, end.saturating_add(1)), &gaps)
    }

    fn violated(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}

/// Between two events of a channel: what is missing, and the gaps that came.
fn check_stretch(
    channel: &str,
    missing: impl Iterator<Item = u64>,
    gaps: &[Option<u64>],
) -> Result<(), Violation> {
    let missing: Vec<_> = missing.collect();
    let channel = channel.to_owned();
    match (missing.first(), gaps) {
        (None, []) => Ok(()),
        (None, _) => Err(Violation::FalseGap { channel }),
        (Some(sequence), []) => Err(Violation::Lost {
            channel,
            sequence: *sequence,
        }),
        // Several gaps in one place may overlap: a cut repeats them.
        (Some(_), [Some(told)]) if *told != missing.len() as u64 => Err(Violation::Miscounted {
            channel,
            told: *told,
            missing: missing.len() as u64,
        }),
        (Some(_), _) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
