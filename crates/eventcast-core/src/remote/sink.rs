//! What the log brings: records into their rings, and what becomes of the log.

use std::fmt;
use std::sync::{Arc, Weak};
use std::task::Waker;

use bytes::Bytes;

use super::Remote;
use crate::backplane::{Lineage, Record, Sink};
use crate::log::Log;
use crate::ring::Dead;
use crate::session::Signal;
use crate::sync::Ordering;
use crate::write::Nudges;

/// The hub's end of the log. It keeps no hub alive.
pub(super) struct HubSink(Weak<Log>);

impl HubSink {
    pub(super) fn new(log: &Arc<Log>) -> Self {
        Self(Arc::downgrade(log))
    }

    fn with(&self, act: impl FnOnce(&Arc<Log>, &Remote)) {
        if let Some(log) = self.0.upgrade()
            && let Some(remote) = &log.remote
        {
            act(&log, remote);
        }
    }
}

impl Sink for HubSink {
    fn record(&self, record: Record) {
        self.with(|log, remote| {
            if log.take_record(record) {
                remote.progress.ring();
            }
        });
    }

    fn watermark(&self, sequence: u64) {
        self.with(|log, remote| {
            log.move_committed(sequence);
            remote.progress.ring();
        });
    }

    fn stalled(&self) {
        self.with(|log, remote| {
            if !remote.stalled.swap(true, Ordering::AcqRel) {
                remote.wake_all();
                log.observers().for_each(|observer| observer.log_stalled());
            }
        });
    }

    fn recovered(&self) {
        self.with(|_, remote| {
            if remote.stalled.swap(false, Ordering::AcqRel) {
                remote.wake_all();
            }
            remote.retry.ring();
        });
    }

    fn skipped(&self, sequence: u64) {
        self.with(|log, remote| {
            log.skip_to(sequence, None);
            remote.progress.ring();
            remote.retry.ring();
        });
    }

    fn forked(&self, lineage: Lineage) {
        self.with(|log, remote| {
            let Some(lost) = remote.take_lineage(lineage) else {
                return;
            };
            // What is above the fork was never, and its sequences are given to nobody again.
            log.skip_to(lost.1 - 1, Some(lost));
            remote.progress.ring();
            remote.wake_all();
        });
    }

    fn message(&self, message: Bytes) {
        self.with(|log, _| log.take_message(&message));
    }
}

impl Remote {
    /// Takes the epochs that the log has now; returns what was lost at the newest fork, if that is
    /// news: the last sequence that is left before it, and the first one after.
    fn take_lineage(&self, lineage: Lineage) -> Option<(u64, u64)> {
        let mut forks = self.forks();
        let old = std::mem::replace(&mut forks.lineage, lineage);
        let epochs: Vec<_> = forks.lineage.epochs().collect();
        let mut newest = None;
        for pair in epochs.windows(2) {
            let ((_, _, last), (epoch, first, _)) = (pair[0], pair[1]);
            if !old.knows(epoch) {
                let lost = (last.unwrap_or(first - 1), first);
                forks.lost.push(lost);
                newest = Some(lost);
            }
        }
        newest
    }

    /// From now on sessions look at the fork.
    fn tell_fork(&self) {
        let forks = self.forks().lost.len() as u64;
        self.fork.store(forks, Ordering::Release);
    }

    /// Takes what the log is as the hub is attached.
    pub(super) fn take_first_lineage(&self, lineage: Lineage) {
        let mut forks = self.forks();
        // The log may have forked while it was being attached, and told so.
        if self.fork() == 0 || lineage.first() > forks.lineage.first() {
            forks.lineage = lineage;
        }
    }
}

impl Log {
    pub(super) fn begin(&self, lineage: Lineage, committed: u64) {
        if let Some(remote) = &self.remote {
            remote.take_first_lineage(lineage);
        }
        self.move_committed(committed);
    }

    fn move_committed(&self, sequence: u64) {
        let mut sequencer = self.sequencer.lock();
        if sequencer.move_to(sequence) {
            self.committed.store(sequence, Ordering::Release);
        }
    }

    /// Everything up to `sequence` has to be read from the store: no ring is whole below it. After a
    /// fork, what lies between the two numbers of `lost` is gone.
    fn skip_to(&self, sequence: u64, lost: Option<(u64, u64)>) {
        let mut dead = Dead::new();
        let mut nudges = Nudges::new();
        let mut wakers = Vec::new();
        // A ring that is made begins at the committed number: none must be made meanwhile.
        let maps = self.lock_maps();
        let mut sequencer = self.sequencer.lock();
        let first = sequencer.last() + 1;
        for ring in maps.iter().flat_map(|map| map.rings()) {
            let mut state = ring.state.lock();
            self.take_out(&mut dead, |dead| state.trim_to(sequence, dead));
            if let Some((last, first)) = lost {
                state.forget_completion(last, first);
            }
            // Whoever waits there has to look again.
            let waiting = &mut state.waiting;
            waiting.queue(|shard| nudges.extend(self.shards[shard].queue(ring, first)));
        }
        // Channels that fit a pattern and have no ring here may have got something.
        for shard in &self.shards {
            let mut announce = |signal: &Arc<Signal>| wakers.extend(signal.announce_many());
            shard.patterns.for_each(&mut announce);
        }
        if let (Some(_), Some(remote)) = (lost, &self.remote) {
            remote.tell_fork();
        }
        // Last, as in a publish: who sees the number sees all of this.
        if sequencer.move_to(sequence) {
            self.committed.store(sequence, Ordering::Release);
        }
        drop((sequencer, maps));
        wakers.into_iter().for_each(Waker::wake);
        self.nudge(nudges);
    }
}

impl fmt::Debug for HubSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubSink")
    }
}
