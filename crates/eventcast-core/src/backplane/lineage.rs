//! Which epochs a log went through.

use crate::id::{Epoch, Position};

/// A log's epochs, each with the first sequence that it may give: a log whose end could not be
/// proven whole goes on under another epoch.
///
/// ```
/// use eventcast_core::{Epoch, Lineage, Position};
///
/// let (first, second) = (Epoch::from_bits(1), Epoch::from_bits(2));
/// let mut lineage = Lineage::new(first);
/// lineage.fork(second, 90, 1_000);
/// assert!(lineage.holds(Position::new(first, 90)), "what both have");
/// assert!(!lineage.holds(Position::new(first, 91)), "lost with the old end");
/// assert!(lineage.holds(Position::new(second, 1_000)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Oldest first; never empty.
    epochs: Vec<Segment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    epoch: Epoch,
    /// The first sequence that the epoch may give.
    first: u64,
    /// The last sequence of it that is not lost; meaningless for the newest epoch.
    last: u64,
}

impl Lineage {
    /// How many epochs are remembered; ids of older ones are as foreign ones.
    pub const MAX_EPOCHS: usize = 64;

    /// The lineage of a new log.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epochs: vec![Segment {
                epoch,
                first: 1,
                last: u64::MAX,
            }],
        }
    }

    /// Starts an epoch: of the one before everything after `last` is lost, the new one begins with
    /// `first`. A `first` that is not above `last` is raised to it.
    pub fn fork(&mut self, epoch: Epoch, last: u64, first: u64) {
        if let Some(newest) = self.epochs.last_mut() {
            newest.last = last;
        }
        self.epochs.push(Segment {
            epoch,
            first: first.max(last.saturating_add(1)),
            last: u64::MAX,
        });
        if self.epochs.len() > Self::MAX_EPOCHS {
            self.epochs.remove(0);
        }
    }

    /// The newest epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.newest().epoch
    }

    /// The first sequence of the newest epoch.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.newest().first
    }

    /// Whether a session can be resumed at a position without having lost something to a fork.
    /// Says nothing about what was trimmed, nor whether the newest epoch is there yet.
    #[must_use]
    pub fn holds(&self, position: Position) -> bool {
        let segment = self.epochs.iter().find(|s| s.epoch == position.epoch());
        segment.is_some_and(|segment| position.sequence() <= segment.last)
    }

    /// Whether an epoch is or was this log's.
    #[must_use]
    pub fn knows(&self, epoch: Epoch) -> bool {
        self.epochs.iter().any(|segment| segment.epoch == epoch)
    }

    /// The position at a sequence: its epoch is the one that gave it, or would have.
    #[must_use]
    pub fn position(&self, sequence: u64) -> Position {
        let segment = self.epochs.iter().rev().find(|s| s.first <= sequence);
        let epoch = segment.map_or(self.epochs[0].epoch, |segment| segment.epoch);
        Position::new(epoch, sequence)
    }

    /// The epochs, oldest first, each with its first sequence and, but for the newest, the last
    /// one that is not lost: for logs that store their lineage.
    pub fn epochs(&self) -> impl Iterator<Item = (Epoch, u64, Option<u64>)> + '_ {
        let newest = self.epochs.len() - 1;
        let segments = self.epochs.iter().enumerate();
        segments.map(move |(index, s)| (s.epoch, s.first, (index < newest).then_some(s.last)))
    }

    fn newest(&self) -> &Segment {
        self.epochs.last().expect("a lineage has an epoch")
    }
}
