//! Where a session stands: the positions that its reader may be given.

use super::builder::Beginning;
use super::reader::Session;
use crate::delivery::Delivery;
use crate::id::Position;

impl Session {
    /// Whether the session began with an id that it honours: its reader has a position already,
    /// and can wait for something new.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        matches!(self.beginning, Beginning::Continued | Beginning::Resumed(_))
    }

    /// The position that the reader was last given: resuming there loses nothing and repeats
    /// nothing. `None` while gaps of a resume that cannot be honoured are still to come.
    #[must_use]
    pub fn honoured_position(&self) -> Option<Position> {
        let broken = matches!(self.beginning, Beginning::Broken(_));
        (!broken && !self.announces_gaps()).then(|| self.log.position(self.position))
    }

    /// The position that the reader may be given now, after all that was handed out: past what a
    /// filter or a conflation left out, and, when nothing is left to read, past what was published
    /// to other channels meanwhile. It counts as given, as that of a delivery does.
    ///
    /// `None` while gaps of a resume that cannot be honoured are still to come.
    ///
    /// ```
    /// use eventcast_core::{Event, Hub};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::new();
    /// let mut session = hub.subscribe("quiet")?;
    /// # eventcast_testkit::drain(&mut session);
    /// hub.try_publish("busy", Event::text("x"))?;
    /// // After a `poll_batch` that had nothing:
    /// assert_eq!(session.settled_position(), Some(hub.position()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn settled_position(&mut self) -> Option<Position> {
        self.settle();
        self.honoured_position()
    }

    /// What an idle connection should send: a plain sign of life, or, when the position it was
    /// given could soon give a false gap, the present one.
    #[must_use]
    pub fn heartbeat(&mut self) -> Delivery {
        // What its channels' own trim marks have passed was delivered, unless it was passed over.
        let is_behind = || {
            let lag = self.log.committed().saturating_sub(self.position);
            self.node.is_some() && lag > MAX_LAG
        };
        let moved = if self.position < self.log.next_floor() || is_behind() {
            self.settle()
        } else {
            self.selective && self.tell_reached()
        };
        if moved {
            return Delivery::Position(self.log.position(self.position));
        }
        Delivery::Heartbeat
    }

    /// Leaves for others how far this has read.
    pub(super) fn note_progress(&self) {
        let sequence = self.reached.max(self.position);
        let channels = self.subscriptions.len() + self.patterns.len();
        self.signal
            .progress
            .note(sequence, self.is_waiting(), channels);
    }

    /// Moves the position to what was read, and that of an idle session on to what is dispatched;
    /// `true` when it moved.
    pub(super) fn settle(&mut self) -> bool {
        let dispatched = self.log.dispatched(self.shard as usize);
        let was_opened = matches!(self.beginning, Beginning::Continued | Beginning::First);
        // One that has ended may have left events unread.
        let idle = was_opened
            && !self.ended
            && self.active.is_empty()
            && self.opening.is_empty()
            && !self.signal.has_news()
            && self.knows_forks()
            && self.patterns.iter().all(|p| p.unknown_after.is_none());
        if idle {
            self.reached = self.reached.max(dispatched);
        }
        self.tell_reached()
    }

    pub(super) fn tell_reached(&mut self) -> bool {
        let moved = self.reached > self.position;
        self.position = self.reached;
        moved
    }

    /// After the first channels: a first connect starts at the lowest of its channels' starts.
    pub(super) fn settle_start(&mut self) {
        if let Beginning::First = self.beginning {
            let starts = self.subscriptions.iter().map(|(_, s)| s.cursor.sequence);
            let lowest = starts.min();
            self.position = match lowest {
                Some(lowest) if self.patterns.is_empty() => lowest,
                Some(lowest) => lowest.min(self.position),
                None => self.position,
            };
            let unknown = self.patterns.iter().filter_map(|p| p.unknown_after).min();
            self.position = unknown.map_or(self.position, |after| after.min(self.position));
            self.reached = self.position;
        }
    }

    fn announces_gaps(&self) -> bool {
        let is_gap = |delivery: &Delivery| matches!(delivery, Delivery::Gap(_));
        self.opening.iter().any(is_gap)
    }
}

/// Of a log outside it is not known what it forgets: a position so far behind is told anew.
const MAX_LAG: u64 = 1024;
