//! A sink that writes down what it is given.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use eventcast_core::{Lineage, Record, Sink};
use tokio::sync::Notify;

/// One call of a [`Sink`]; see [`RecordedSink::calls`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkCall {
    /// [`Sink::record`]
    Record(Record),
    /// [`Sink::watermark`]
    Watermark(u64),
    /// [`Sink::stalled`]
    Stalled,
    /// [`Sink::recovered`]
    Recovered,
    /// [`Sink::skipped`]
    Skipped(u64),
    /// [`Sink::forked`]
    Forked(Lineage),
    /// [`Sink::message`]
    Message(Bytes),
}

/// A [`Sink`] that writes down what it is given, and finds what a log may not do: records twice or
/// out of order, a new epoch's sequences below its first, two calls at once.
///
/// ```
/// use eventcast_core::Sink;
/// use eventcast_testkit::RecordedSink;
///
/// let sink = RecordedSink::new();
/// sink.watermark(7);
/// assert_eq!(sink.reached(), 7);
/// assert_eq!(sink.check(), Ok(()));
/// ```
#[derive(Default)]
pub struct RecordedSink {
    seen: Mutex<Seen>,
    /// Whether a call other than a message is under way.
    busy: AtomicBool,
    changed: Notify,
}

#[derive(Default)]
struct Seen {
    calls: Vec<SinkCall>,
    /// Everything up to here was given or passed over.
    watermark: u64,
    last: u64,
    fault: Option<String>,
}

impl RecordedSink {
    /// One that was given nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All calls, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<SinkCall> {
        self.lock().calls.clone()
    }

    /// The records, in the order in which they came.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.filtered(|call| match call {
            SinkCall::Record(record) => Some(record.clone()),
            _ => None,
        })
    }

    /// The records' sequences, in the order in which they came.
    #[must_use]
    pub fn sequences(&self) -> Vec<u64> {
        self.filtered(|call| match call {
            SinkCall::Record(record) => Some(record.position.sequence()),
            _ => None,
        })
    }

    /// The messages, in the order in which they came.
    #[must_use]
    pub fn messages(&self) -> Vec<Bytes> {
        self.filtered(|call| match call {
            SinkCall::Message(message) => Some(message.clone()),
            _ => None,
        })
    }

    /// The lineages of forks, in the order in which they came.
    #[must_use]
    pub fn forks(&self) -> Vec<Lineage> {
        self.filtered(|call| match call {
            SinkCall::Forked(lineage) => Some(lineage.clone()),
            _ => None,
        })
    }

    /// Where records were skipped, in the order in which that was told.
    #[must_use]
    pub fn skips(&self) -> Vec<u64> {
        self.filtered(|call| match call {
            SinkCall::Skipped(sequence) => Some(*sequence),
            _ => None,
        })
    }

    /// The highest sequence of a record, a watermark or a skip.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.lock().watermark
    }

    /// Whether the log was last said to be stalled.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        let mut told = self.filtered(|call| match call {
            SinkCall::Stalled => Some(true),
            SinkCall::Recovered => Some(false),
            _ => None,
        });
        told.pop().unwrap_or(false)
    }

    /// Whether all calls were such as a log may make.
    ///
    /// # Errors
    /// What the first one was that it may not.
    pub fn check(&self) -> Result<(), String> {
        match &self.lock().fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(()),
        }
    }

    /// Waits until something holds; looked at again after each call. Cancel safe.
    pub async fn until(&self, mut holds: impl FnMut(&Self) -> bool + Send) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on a call is noticed.
            changed.as_mut().enable();
            if holds(self) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until everything up to a sequence was given or passed over. Cancel safe.
    pub async fn until_reached(&self, sequence: u64) {
        self.until(|sink| sink.reached() >= sequence).await;
    }

    fn filtered<T>(&self, pick: impl Fn(&SinkCall) -> Option<T>) -> Vec<T> {
        self.lock().calls.iter().filter_map(pick).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, call: SinkCall) {
        let alone = matches!(call, SinkCall::Message(_)) || !self.busy.swap(true, Ordering::AcqRel);
        // A second caller has a moment to show itself.
        std::thread::yield_now();
        {
            let mut seen = self.lock();
            if !alone {
                seen.fail("it is called by two at once".to_owned());
            }
            seen.take(&call);
            if !matches!(call, SinkCall::Message(_)) {
                self.busy.store(false, Ordering::Release);
            }
            seen.calls.push(call);
        }
        self.changed.notify_waiters();
    }
}

impl Seen {
    fn take(&mut self, call: &SinkCall) {
        match call {
            SinkCall::Record(record) => {
                let sequence = record.position.sequence();
                if sequence <= self.last {
                    self.fail(format!("record {sequence} is given after {}", self.last));
                } else if sequence <= self.watermark {
                    let mark = self.watermark;
                    self.fail(format!("record {sequence} is given after watermark {mark}"));
                }
                self.last = self.last.max(sequence);
                self.watermark = self.watermark.max(sequence);
            }
            SinkCall::Watermark(sequence) | SinkCall::Skipped(sequence) => {
                self.watermark = self.watermark.max(*sequence);
            }
            SinkCall::Forked(lineage) => {
                if lineage.first() <= self.last {
                    let (first, last) = (lineage.first(), self.last);
                    self.fail(format!("an epoch begins with {first}, after {last}"));
                }
                self.watermark = self.watermark.max(lineage.first() - 1);
            }
            SinkCall::Stalled | SinkCall::Recovered | SinkCall::Message(_) => {}
        }
    }

    fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }
}

impl Sink for RecordedSink {
    fn record(&self, record: Record) {
        self.call(SinkCall::Record(record));
    }

    fn watermark(&self, sequence: u64) {
        self.call(SinkCall::Watermark(sequence));
    }

    fn stalled(&self) {
        self.call(SinkCall::Stalled);
    }

    fn recovered(&self) {
        self.call(SinkCall::Recovered);
    }

    fn skipped(&self, sequence: u64) {
        self.call(SinkCall::Skipped(sequence));
    }

    fn forked(&self, lineage: Lineage) {
        self.call(SinkCall::Forked(lineage));
    }

    fn message(&self, message: Bytes) {
        self.call(SinkCall::Message(message));
    }
}

impl fmt::Debug for RecordedSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().calls.iter()).finish()
    }
}
