//! The lineage as it is stored, and which sequence a message of the stream has.

use eventcast_core::{Epoch, Lineage, Position};
use serde::{Deserialize, Serialize};

/// How many sequences a message has, and so how many events a batch may have. The last event of
/// the message with stream sequence *n* has the sequence *base + n × 1024*, the ones before it the
/// numbers below. So they are unique, increase, and a node that knows only *n* knows the end of it.
pub(crate) const FACTOR: u64 = 1024;

/// How far above everything known an epoch begins: room for what others were given of the old one.
pub(crate) const MARGIN: u64 = FACTOR << 32;

/// Everything there is to know of a log's epochs; the one message that matters of the lineage's
/// stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chain {
    /// The newest stream.
    pub(crate) mark: String,
    /// The server's run in which the stream was looked at last.
    pub(crate) run: String,
    /// The stream's last sequence when that run was first seen.
    pub(crate) run_last: u64,
    /// Oldest first; never empty.
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Segment {
    epoch: u64,
    /// The stream that it is in.
    mark: String,
    /// The first sequence of the stream that belongs to it.
    start: u64,
    base: u64,
    /// The last sequence that is not lost, of all but the newest.
    last: u64,
}

impl Segment {
    fn first(&self) -> u64 {
        self.base + (self.start - 1) * FACTOR + 1
    }
}

impl Chain {
    pub(crate) fn new(mark: &str, run: &str, run_last: u64) -> Self {
        Self {
            mark: mark.to_owned(),
            run: run.to_owned(),
            run_last,
            segments: vec![Segment {
                epoch: Epoch::random().bits(),
                mark: mark.to_owned(),
                start: 1,
                base: 0,
                last: u64::MAX,
            }],
        }
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let chain: Self = serde_json::from_slice(bytes).ok()?;
        let sound = chain.segments.iter().all(|segment| {
            segment.start > 0
                && (segment.start - 1)
                    .checked_mul(FACTOR)
                    .and_then(|offset| offset.checked_add(segment.base))
                    .is_some_and(|first| first < u64::MAX / 2)
        });
        (sound && !chain.segments.is_empty()).then_some(chain)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn newest(&self) -> &Segment {
        &self.segments[self.segments.len() - 1]
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch::from_bits(self.newest().epoch)
    }

    /// The last message before the newest epoch.
    pub(crate) fn before_epoch(&self) -> u64 {
        self.newest().start - 1
    }

    pub(crate) fn knows(&self, epoch: Epoch) -> bool {
        self.segments.iter().any(|s| s.epoch == epoch.bits())
    }

    /// Starts an epoch with the stream's message after `last`. Of the old one everything up to the
    /// stream sequence `kept` is there; nothing for a stream that was made again.
    pub(crate) fn fork(&mut self, mark: &str, last: u64, kept: u64, highest: u64) {
        let same = self.newest().mark == mark;
        let kept = if same { self.end(kept) } else { 0 };
        let given = highest
            .max(self.end(last))
            .max(self.newest().first())
            .max(last.saturating_mul(FACTOR));
        let first = given + MARGIN;
        for segment in &mut self.segments {
            segment.last = segment.last.min(kept);
        }
        self.segments.push(Segment {
            epoch: Epoch::random().bits(),
            mark: mark.to_owned(),
            start: last + 1,
            base: first - 1 - last * FACTOR,
            last: u64::MAX,
        });
        if self.segments.len() > Lineage::MAX_EPOCHS {
            self.segments.remove(0);
        }
        self.mark = mark.to_owned();
    }

    /// The sequence of the last event of a message.
    pub(crate) fn end(&self, message: u64) -> u64 {
        let mut here = self.here().rev();
        match here.find(|segment| segment.start <= message) {
            Some(segment) => segment.base + message * FACTOR,
            // Before the oldest epoch that is remembered.
            None => self.here().next().map_or(0, |oldest| oldest.first() - 1),
        }
    }

    /// The position of event `index` of a message of `count`; `None` of an epoch that is forgotten.
    pub(crate) fn position(&self, message: u64, index: usize, count: usize) -> Option<Position> {
        let segment = self.here().rev().find(|s| s.start <= message)?;
        let back = (count - 1 - index) as u64;
        let sequence = segment.base + message * FACTOR - back;
        Some(Position::new(Epoch::from_bits(segment.epoch), sequence))
    }

    /// The first message that may hold an event after the sequence.
    pub(crate) fn message_after(&self, sequence: u64) -> u64 {
        let mut next = u64::MAX;
        for segment in self.here().rev() {
            if segment.first() <= sequence {
                let message = sequence.saturating_sub(segment.base) / FACTOR + 1;
                return message.max(segment.start).min(next);
            }
            next = segment.start;
        }
        if next == u64::MAX { 1 } else { next }
    }

    /// The epochs for a hub.
    pub(crate) fn lineage(&self) -> Lineage {
        let mut lineage = Lineage::new(Epoch::from_bits(self.segments[0].epoch));
        for pair in self.segments.windows(2) {
            let epoch = Epoch::from_bits(pair[1].epoch);
            lineage.fork(epoch, pair[0].last, pair[1].first());
        }
        lineage
    }

    /// The segments of the stream that is there now.
    fn here(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().filter(|s| s.mark == self.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_increase_over_batches_and_forks() {
        let mut chain = Chain::new("a", "r", 0);
        let single = chain.position(7, 0, 1).unwrap().sequence();
        let first = chain.position(8, 0, 1024).unwrap().sequence();
        let last = chain.position(8, 1023, 1024).unwrap().sequence();
        assert!(single < first && first < last);
        assert_eq!(last, chain.end(8));
        assert_eq!(chain.message_after(single), 8);
        assert_eq!(chain.message_after(first), 8);
        assert_eq!(chain.message_after(last), 9);
        let old = chain.epoch();
        chain.fork("a", 8, 8, 0);
        let lineage = chain.lineage();
        assert!(lineage.holds(Position::new(old, last)));
        assert!(!lineage.holds(Position::new(old, last + 1)));
        assert_eq!(chain.end(8), last);
        assert!(chain.end(9) >= last + MARGIN);
        assert_eq!(chain.message_after(last + 5), 9);
        assert_eq!(chain.message_after(chain.end(9)), 10);
        assert_eq!(Chain::decode(&chain.encode()), Some(chain));
    }

    #[test]
    fn a_stream_made_again_holds_nothing_of_the_old() {
        let mut chain = Chain::new("a", "r", 0);
        let (old, given) = (chain.epoch(), chain.end(90));
        chain.fork("b", 0, 0, given);
        assert!(!chain.lineage().holds(Position::new(old, 1024)));
        assert!(chain.lineage().knows(old));
        assert!(chain.position(1, 0, 1).unwrap().sequence() > given + MARGIN);
        assert_eq!(chain.message_after(given), 1);
    }

    #[test]
    fn any_bytes_are_a_chain_or_nothing() {
        for bytes in [
            "",
            "{}",
            "[]",
            "{\"mark\":\"a\",\"run\":\"\",\"run_last\":0,\"segments\":[]}",
        ] {
            assert_eq!(Chain::decode(bytes.as_bytes()), None);
        }
    }
}
