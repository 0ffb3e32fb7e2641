//! The hub's side of a log outside it: what it knows of the log, and who waits for what.
//!
//! Nothing here runs by itself: what has to be waited for is a future that sessions, callers and
//! drivers poll. See "Backplanes" in `docs/design.md`.

mod activate;
mod bell;
mod chores;
mod history;
mod message;
mod publish;
mod sink;
mod start;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use slab::Slab;

use self::bell::Bell;
use self::chores::Chores;
pub(crate) use self::chores::{ChoreDriver, Interest};
use crate::backplane::{Attached, Backplane, BackplaneError, Lineage};
use crate::config::HubConfig;
use crate::hub::{Health, Hub};
use crate::id::Position;
use crate::log::Log;
use crate::session::Signal;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering};

/// A log outside the hub.
pub(crate) struct Remote {
    pub(crate) plane: Arc<dyn Backplane>,
    lineage: Mutex<Forks>,
    /// How many forks there were since the hub was opened.
    fork: AtomicU64,
    stalled: AtomicBool,
    closed: AtomicBool,
    /// Rung when the committed number has moved.
    progress: Bell,
    /// Rung when what failed may be tried again.
    retry: Bell,
    /// Rung when the log was told that nobody wants a channel any more.
    released: Bell,
    /// Everybody who is told of a stall.
    sessions: Mutex<Slab<Arc<Signal>>>,
    /// Sessions that resumed where this node has not been yet.
    ahead: Mutex<Vec<std::sync::Weak<Signal>>>,
    pub(crate) chores: Mutex<Chores>,
    /// What makes idempotency keys of this hub's own.
    key_prefix: u64,
    next_key: AtomicU64,
}

/// The log's epochs, and what was lost where they meet.
struct Forks {
    lineage: Lineage,
    /// Of each fork since the hub was opened, the newest last: sequences above the first number and
    /// below the second are nobody's any more.
    lost: Vec<(u64, u64)>,
}

impl Remote {
    fn new(plane: Arc<dyn Backplane>, config: &HubConfig) -> Self {
        let epoch = config.epoch.unwrap_or_else(crate::id::Epoch::random);
        Self {
            plane,
            lineage: Mutex::new(Forks {
                lineage: Lineage::new(epoch),
                lost: Vec::new(),
            }),
            fork: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            progress: Bell::default(),
            retry: Bell::default(),
            released: Bell::default(),
            sessions: Mutex::default(),
            ahead: Mutex::default(),
            chores: Mutex::default(),
            key_prefix: RandomState::new().build_hasher().finish(),
            next_key: AtomicU64::new(0),
        }
    }

    /// The position at a sequence. The last one before an epoch is that epoch's: who was told of
    /// the fork stands there. What was lost before that stays the old epoch's, and is not held.
    pub(crate) fn position(&self, sequence: u64) -> Position {
        let forks = self.forks();
        let mut epochs = forks.lineage.epochs().peekable();
        while let Some((epoch, _, last)) = epochs.next() {
            let next = epochs.peek().map_or(u64::MAX, |(_, first, _)| *first);
            if last.is_none_or(|last| sequence <= last || sequence + 1 < next) {
                return Position::new(epoch, sequence);
            }
        }
        Position::new(forks.lineage.epoch(), sequence)
    }

    /// Whether a position can be resumed at without loss to a fork.
    pub(crate) fn holds(&self, position: Position) -> bool {
        self.forks().lineage.holds(position)
    }

    /// Whether a position's epoch is or was this log's.
    pub(crate) fn knows(&self, position: Position) -> bool {
        self.forks().lineage.knows(position.epoch())
    }

    /// For a position that was lost at a fork: before what followed it.
    pub(crate) fn after_fork(&self, position: Position) -> Option<u64> {
        let forks = self.forks();
        let mut epochs = forks.lineage.epochs();
        epochs.find(|(epoch, ..)| *epoch == position.epoch())?;
        let (_, first, _) = epochs.next()?;
        Some(first - 1)
    }

    /// How many forks there were.
    pub(crate) fn fork(&self) -> u64 {
        self.fork.load(Ordering::Acquire)
    }

    /// The end of what was lost around a sequence in forks after the first `seen`.
    pub(crate) fn lost_around(&self, sequence: u64, seen: u64) -> Option<u64> {
        let forks = self.forks();
        let new = self.fork().saturating_sub(seen) as usize;
        let lost = &forks.lost[forks.lost.len().saturating_sub(new)..];
        let around = lost
            .iter()
            .filter(|(last, first)| *last < sequence && sequence < *first);
        around.map(|(_, first)| first - 1).max()
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    pub(crate) fn health(&self) -> Health {
        if self.closed.load(Ordering::Acquire) {
            Health::Closed
        } else if self.is_stalled() {
            Health::Stalled
        } else {
            Health::Connected
        }
    }

    /// Enters a session that is told of stalls.
    pub(crate) fn enter(&self, signal: &Arc<Signal>) -> usize {
        self.sessions.lock().insert(Arc::clone(signal))
    }

    pub(crate) fn leave(&self, key: usize) {
        let mut sessions = self.sessions.lock();
        sessions.remove(key);
        if sessions.is_empty() {
            sessions.shrink_to_fit();
        }
    }

    /// Has every session look at what became of the log.
    fn wake_all(&self) {
        let signals: Vec<_> = {
            let sessions = self.sessions.lock();
            sessions
                .iter()
                .map(|(_, signal)| Arc::clone(signal))
                .collect()
        };
        signals.iter().for_each(|signal| signal.wake());
    }

    /// Has a session look, at each round, at how long it waits for what this node was not given.
    pub(crate) fn enter_ahead(&self, signal: &Arc<Signal>) {
        self.ahead.lock().push(Arc::downgrade(signal));
    }

    fn wake_ahead(&self) {
        let mut signals = Vec::new();
        self.ahead.lock().retain(|signal| {
            let signal = signal.upgrade();
            let is_alive = signal.as_ref().is_some_and(|signal| signal.is_ahead());
            signals.extend(signal);
            is_alive
        });
        signals.iter().for_each(|signal| signal.wake());
    }

    fn forks(&self) -> MutexGuard<'_, Forks> {
        self.lineage.lock()
    }

    /// Done once what failed may be tried again.
    pub(crate) fn until_retry(&self) -> impl Future<Output = ()> + Send + '_ {
        let heard = self.retry.count();
        self.retry
            .until(move |count| (count != heard).then_some(()))
    }
}

impl Log {
    /// Done once the sink was given everything up to a sequence.
    pub(crate) async fn reached(&self, sequence: u64) {
        if let Some(remote) = &self.remote {
            let is_there = |_| (self.committed() >= sequence).then_some(());
            remote.progress.until(is_there).await;
        }
    }
}

impl Hub {
    /// A hub over a log outside it: on a disk, or shared with other nodes. Its channels, ids and
    /// retention are those of the log; the memory of this hub, within its own bounds, is what is
    /// read fast.
    ///
    /// Publishing and opening a session have to be waited for: the methods that do not are refused
    /// with [`PublishError::NeedsAsync`](crate::PublishError::NeedsAsync) and
    /// [`SubscribeError::NeedsAsync`](crate::SubscribeError::NeedsAsync). Spawn the
    /// [drivers](Self::drivers): without them nothing that failed is tried again before the log
    /// says that it is back, ephemeral events stay on this node, and the log is told neither to
    /// maintain itself nor what nobody wants any more.
    ///
    /// ```
    /// use eventcast_core::{Event, Hub, HubConfig};
    /// use eventcast_testkit::MemoryLog;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let log = MemoryLog::new();
    /// let here = Hub::open(HubConfig::new(), log.node()).await?;
    /// let there = Hub::open(HubConfig::new(), log.node()).await?;
    /// let id = here.publish("news", Event::text("hello")).await?;
    ///
    /// let mut session = there.session().channel("news").open_async().await?;
    /// # let _ = (id, &mut session);
    /// here.close().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`BackplaneError`] when the log cannot be reached.
    ///
    /// # Cancel safety
    /// A dropped future leaves no hub; the log may stay attached until it is dropped as well.
    pub async fn open(
        config: HubConfig,
        backplane: impl IntoBackplane,
    ) -> Result<Self, BackplaneError> {
        let remote = Remote::new(backplane.into_backplane(), &config);
        let log = Arc::new(Log::with_remote(config, remote));
        let sink = sink::HubSink::new(&log);
        if let Some(remote) = &log.remote {
            let Attached {
                lineage, committed, ..
            } = remote.plane.attach(Arc::new(sink)).await?;
            log.begin(lineage, committed);
            if remote.plane.capabilities().shared {
                log.connect_presence();
            }
        }
        Ok(Self { log })
    }

    /// Lets go of the log: what was acknowledged is durable after it. Publishing fails from now on,
    /// and sessions read what this hub's memory holds. Does nothing for a hub in memory.
    ///
    /// Messages that wait for the other nodes are sent first, the last of them that this one ends.
    /// That is given up once the log is stalled or takes one no more, and after five seconds by the
    /// hub's clock, which the [drivers](Self::drivers) look at. What is left then is lost: ephemeral
    /// events are, and this node's members are there for the others until its
    /// [timeout](crate::PresenceConfig::with_node_timeout).
    ///
    /// # Errors
    /// [`BackplaneError`] when something acknowledged may not be durable.
    ///
    /// # Cancel safety
    /// Publishing fails after a dropped future too; the log is let go of by the next call.
    pub async fn close(&self) -> Result<(), BackplaneError> {
        match &self.log.remote {
            Some(remote) => {
                remote.closed.store(true, Ordering::Release);
                self.presence().close();
                remote.empty_outbox(&*self.log.config.clock).await;
                remote.plane.close().await
            }
            None => Ok(()),
        }
    }

    /// What the log outside the hub promises; `None` for a hub in memory.
    #[must_use]
    pub fn capabilities(&self) -> Option<crate::Capabilities> {
        let remote = self.log.remote.as_ref()?;
        Some(remote.plane.capabilities())
    }

    /// Whether the hub's log answers; always for a hub in memory.
    #[must_use]
    pub fn health(&self) -> Health {
        let remote = self.log.remote.as_ref();
        remote.map_or(Health::Connected, Remote::health)
    }
}

/// What [`Hub::open`] takes: a [`Backplane`], or a shared one.
pub trait IntoBackplane {
    /// The shared one.
    fn into_backplane(self) -> Arc<dyn Backplane>;
}

impl<B: Backplane> IntoBackplane for B {
    fn into_backplane(self) -> Arc<dyn Backplane> {
        Arc::new(self)
    }
}

impl<B: Backplane> IntoBackplane for Arc<B> {
    fn into_backplane(self) -> Arc<dyn Backplane> {
        self
    }
}

impl IntoBackplane for Arc<dyn Backplane> {
    fn into_backplane(self) -> Arc<dyn Backplane> {
        self
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.plane).finish()
    }
}
