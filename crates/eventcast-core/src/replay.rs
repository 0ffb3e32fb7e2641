//! Replay buffers: what a channel retains.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::stored::StoredEvent;

/// Keeps the events of one channel, oldest first.
///
/// The hub decides what is retained and calls the buffer under the channel's lock, so every method
/// has to be quick: no I/O, no waiting.
///
/// # Contract
/// - `push` is called with strictly increasing sequences.
/// - `get(0)` is the oldest event, `get(len() - 1)` the newest; `get(len())` is `None`.
/// - `pop` removes and returns the oldest; the others move down by one.
/// - Nothing is lost but by `pop`: an event that vanishes otherwise would be a silent loss.
///
/// # Examples
/// ```
/// use std::collections::VecDeque;
/// use std::sync::Arc;
/// use eventcast_core::{Event, Hub, HubConfig, ReplayBuffer, StoredEvent};
///
/// #[derive(Debug, Default)]
/// struct Deque(VecDeque<Arc<StoredEvent>>);
///
/// impl ReplayBuffer for Deque {
///     fn push(&mut self, event: Arc<StoredEvent>) {
///         self.0.push_back(event);
///     }
///     fn pop(&mut self) -> Option<Arc<StoredEvent>> {
///         self.0.pop_front()
///     }
///     fn get(&self, index: usize) -> Option<Arc<StoredEvent>> {
///         self.0.get(index).cloned()
///     }
///     fn len(&self) -> usize {
///         self.0.len()
///     }
/// }
///
/// let config = HubConfig::new().with_replay_buffer(|_channel| Box::<Deque>::default());
/// let hub = Hub::with_config(config);
/// hub.try_publish("news", Event::text("kept in our own buffer")).unwrap();
/// ```
#[allow(
    clippy::len_without_is_empty,
    reason = "the hub needs no `is_empty`, and implementors should not have to write it"
)]
pub trait ReplayBuffer: Send + fmt::Debug {
    /// Appends the newest event.
    fn push(&mut self, event: Arc<StoredEvent>);

    /// Removes the oldest event.
    fn pop(&mut self) -> Option<Arc<StoredEvent>>;

    /// The event at `index`, counted from the oldest.
    fn get(&self, index: usize) -> Option<Arc<StoredEvent>>;

    /// How many events there are.
    fn len(&self) -> usize;

    /// How many events have a sequence of at most `sequence`: the index of the first one after it.
    ///
    /// A binary search by default; a buffer that knows better may say so.
    fn rank(&self, sequence: u64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(event) if event.sequence() <= sequence => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

/// The default buffer: a ring in memory.
#[derive(Debug, Default)]
pub struct MemoryBuffer(VecDeque<Arc<StoredEvent>>);

impl ReplayBuffer for MemoryBuffer {
    fn push(&mut self, event: Arc<StoredEvent>) {
        self.0.push_back(event);
    }

    fn pop(&mut self) -> Option<Arc<StoredEvent>> {
        let event = self.0.pop_front();
        // A burst's room is given back once the channel is a quarter full, and not again at once.
        if self.0.capacity() > 64 && self.0.len() < self.0.capacity() / 4 {
            self.0.shrink_to(self.0.capacity() / 2);
        }
        event
    }

    fn get(&self, index: usize) -> Option<Arc<StoredEvent>> {
        self.0.get(index).cloned()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn rank(&self, sequence: u64) -> usize {
        self.0.partition_point(|event| event.sequence() <= sequence)
    }
}

/// How much of a channel is kept: whichever of the three bounds is met first.
///
/// The newest event is kept whatever its size; only age removes it.
///
/// ```
/// use std::time::Duration;
/// use eventcast_core::Retention;
///
/// let retention = Retention::new().with_count(100).with_age(Duration::from_secs(30));
/// assert_eq!(retention.count(), 100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Retention {
    count: usize,
    bytes: u64,
    age: Duration,
}

impl Retention {
    /// The defaults: 10,000 events, 8 MiB, 10 minutes.
    pub fn new() -> Self {
        Self {
            count: 10_000,
            bytes: 8 << 20,
            age: Duration::from_secs(600),
        }
    }

    /// At most so many events; at least 1. Too few, and a client that is away for a moment finds
    /// a gap; too many only cost memory.
    pub fn with_count(mut self, count: usize) -> Self {
        self.count = count.max(1);
        self
    }

    /// At most so many bytes, as [charged](StoredEvent::charge): about four times the payload and
    /// 600 bytes an event, because encodings are kept with it.
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// For at most so long after its publish time. Events are removed at the next publish to the
    /// channel or at the next maintenance round, whichever is first.
    pub fn with_age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// The bound by number.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bound by bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bound by age.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::new()
    }
}
