//! A log in memory that several nodes share, with faults by plan.

mod append;
mod faults;
mod node;
mod read;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use eventcast_core::{Capabilities, Durability, Epoch, Lineage};

pub use faults::AppendFault;
pub use node::MemoryNode;
use state::{Item, State};

/// A [`Backplane`](eventcast_core::Backplane) in memory that several nodes share, for tests of
/// what is above it. It does what it is told: stalls, fails, holds back, loses, forks and trims.
///
/// Without a fault it keeps its contract, and a record is in every sink before the append that
/// stored it is done. It needs no runtime. A clone is the same log.
///
/// ```
/// use std::sync::Arc;
/// use eventcast_core::{Append, Backplane, Body, ChannelName, Event, Retention, Timestamp};
/// use eventcast_testkit::{MemoryLog, RecordedSink, poll_once};
///
/// let log = MemoryLog::new();
/// let (here, there) = (log.node(), log.node());
/// let sink = Arc::new(RecordedSink::new());
/// poll_once(there.attach(sink.clone())).unwrap().unwrap();
///
/// let append = Append {
///     channel: ChannelName::new("news").unwrap(),
///     bodies: vec![Body::Event(Event::text("hello"))],
///     retention: Retention::new(),
///     time: Timestamp::from_millis(1_000),
/// };
/// let positions = poll_once(here.append(append)).unwrap().unwrap();
/// assert_eq!(sink.sequences(), [positions[0].sequence()]);
/// ```
#[derive(Clone)]
pub struct MemoryLog(Arc<Mutex<State>>);

impl MemoryLog {
    /// An empty log of a random epoch: shared, of [`Durability::Memory`], with keys that are known
    /// for ten minutes.
    #[must_use]
    pub fn new() -> Self {
        let capabilities = Capabilities::new(Durability::Memory)
            .shared()
            .deduplicating(Duration::from_secs(600));
        Self::with_capabilities(capabilities)
    }

    /// An empty log that says so of itself. It has further nodes whatever it says; a key is
    /// forgotten after the window that is said, by the times of appends.
    #[must_use]
    pub fn with_capabilities(capabilities: Capabilities) -> Self {
        let state = State::new(capabilities, Lineage::new(Epoch::random()));
        Self(Arc::new(Mutex::new(state)))
    }

    /// The same log, still empty, of this epoch.
    #[must_use]
    pub fn with_epoch(self, epoch: Epoch) -> Self {
        self.lock().lineage = Lineage::new(epoch);
        self
    }

    /// The same log, but sinks are given only records of channels that their node
    /// [wants](eventcast_core::Backplane::want), and the watermark in place of others.
    #[must_use]
    pub fn leaving_out_unwanted(self) -> Self {
        self.lock().only_wanted = true;
        self
    }

    /// One more node, which nobody is attached to. It is closed when it is dropped.
    #[must_use]
    pub fn node(&self) -> Arc<MemoryNode> {
        let mut state = self.lock();
        let id = state.add_node();
        Arc::new(MemoryNode::new(self.clone(), id))
    }

    /// Its epochs.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        self.lock().lineage.clone()
    }

    /// The last sequence that is stored; 0 for none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// How many records are stored.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().records.len()
    }

    /// Whether no record is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many page reads wait for [`release_pages`](Self::release_pages), so that a test can
    /// wait until there is one.
    #[must_use]
    pub fn waiting_pages(&self) -> usize {
        self.lock().waiting_pages
    }

    /// What the payloads of the largest page come to that was read so far, in bytes.
    #[must_use]
    pub fn largest_page(&self) -> usize {
        self.lock().largest_page
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the log, then wakes who waits and hands sinks what is theirs.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, wakers, nodes) = {
            let mut state = self.lock();
            let result = change(&mut state);
            let nodes = state.nodes.keys().copied().collect::<Vec<_>>();
            (result, std::mem::take(&mut state.wakers), nodes)
        };
        for waker in wakers {
            waker.wake();
        }
        for node in nodes {
            self.deliver(node);
        }
        result
    }

    /// Gives a sink what waits for it, outside the lock: a sink may ask the log. Whoever comes
    /// while another is at it leaves it to that one.
    fn deliver(&self, node: u64) {
        loop {
            let (sink, item) = {
                let mut state = self.lock();
                let held = state.held_records;
                let Some(node) = state.nodes.get_mut(&node) else {
                    return;
                };
                if node.delivering {
                    return;
                }
                let Some(sink) = node.sink.clone().filter(|_| !held) else {
                    return;
                };
                let Some(item) = node.outbox.pop_front() else {
                    return;
                };
                node.delivering = true;
                (sink, item)
            };
            match item {
                Item::Record(record) => sink.record(record),
                Item::Watermark(sequence) => sink.watermark(sequence),
                Item::Stalled => sink.stalled(),
                Item::Recovered => sink.recovered(),
                Item::Skipped(sequence) => sink.skipped(sequence),
                Item::Forked(lineage) => sink.forked(lineage),
                Item::Message(message) => sink.message(message),
            }
            if let Some(node) = self.lock().nodes.get_mut(&node) {
                node.delivering = false;
            }
        }
    }

    /// Waits until the log is in a state.
    async fn until<T: Send>(&self, mut ready: impl FnMut(&mut State) -> Option<T> + Send) -> T {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            match ready(&mut state) {
                Some(result) => Poll::Ready(result),
                None => {
                    if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                        state.wakers.push(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("MemoryLog")
            .field("lineage", &state.lineage)
            .field("last", &state.last)
            .field("records", &state.records.len())
            .field("nodes", &state.nodes.len())
            .finish_non_exhaustive()
    }
}
