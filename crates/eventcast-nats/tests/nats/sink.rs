//! A sink that writes down what it is given, and can be waited for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eventcast_core::{Lineage, Record, Sink};
use tokio::sync::watch;

#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) records: Vec<Record>,
    pub(crate) stalled: usize,
    pub(crate) recovered: usize,
    pub(crate) skipped: Vec<u64>,
    pub(crate) forks: Vec<Lineage>,
    pub(crate) messages: Vec<Bytes>,
    /// How many records there were at each fork.
    pub(crate) forked_at: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct Notes {
    seen: Mutex<Seen>,
    changes: watch::Sender<u64>,
}

impl Notes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            changes: watch::Sender::new(0),
        })
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }

    /// Waits until what was seen is so.
    pub(crate) async fn until(&self, what: &str, mut is: impl FnMut(&Seen) -> bool) {
        let mut changes = self.changes.subscribe();
        let wait = async {
            loop {
                changes.borrow_and_update();
                if is(&self.seen.lock().unwrap()) {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(done.is_ok(), "{what} never came about");
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock().unwrap());
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Sink for Notes {
    fn record(&self, record: Record) {
        self.note(|seen| seen.records.push(record));
    }
    fn watermark(&self, _: u64) {}
    fn stalled(&self) {
        self.note(|seen| seen.stalled += 1);
    }
    fn recovered(&self) {
        self.note(|seen| seen.recovered += 1);
    }
    fn skipped(&self, sequence: u64) {
        self.note(|seen| seen.skipped.push(sequence));
    }
    fn forked(&self, lineage: Lineage) {
        self.note(|seen| {
            seen.forked_at.push(seen.records.len());
            seen.forks.push(lineage);
        });
    }
    fn message(&self, message: Bytes) {
        self.note(|seen| seen.messages.push(message));
    }
}
