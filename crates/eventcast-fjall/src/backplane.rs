//! The log that a hub uses.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use async_trait::async_trait;
use eventcast_core::{
    Append, AppendError, Attached, Backplane, BackplaneError, Body, Capabilities, ChannelFacts,
    ChannelName, Lineage, OutcomeKnown, Page, PageQuery, Position, Record, ReplayStore, Sink,
    Timestamp,
};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::channel::Head;
use crate::config::FjallConfig;
use crate::failure::{closed, down, unavailable};
use crate::open::{self, Opened};
use crate::queue::{Job, Queue, Ticket, Work};
use crate::read;
use crate::store::Store;
use crate::writer::Writer;

/// What an append counts in the queue besides its bytes.
const OVERHEAD: usize = 512;

/// A log on this machine's disk, of one hub.
///
/// It needs a tokio runtime with time for [`open`](Self::open) and for what a hub asks of it; it
/// writes in a thread of its own. Dropped without [`close`](Backplane::close), it is closed
/// there and then, which takes as long as the disk.
///
/// ```no_run
/// use std::sync::Arc;
/// use eventcast_core::Backplane;
/// use eventcast_fjall::{FjallBackplane, FjallConfig};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = FjallConfig::new("/var/lib/shop/events");
/// let log: Arc<dyn Backplane> = Arc::new(FjallBackplane::open(config).await?);
/// println!("what is acknowledged survives: {:?}", log.capabilities().durability);
/// # Ok(())
/// # }
/// ```
pub struct FjallBackplane {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread that writes and those who read share.
pub(crate) struct Shared {
    pub(crate) config: FjallConfig,
    pub(crate) queue: Queue,
    room: Arc<Semaphore>,
    /// `None` while it cannot be opened, and once the log is closed.
    store: RwLock<Option<Store>>,
    given: Mutex<Given>,
}

/// What the sink was given.
struct Given {
    sink: Option<Arc<dyn Sink>>,
    lineage: Arc<Lineage>,
    last: u64,
    floor: u64,
    is_attached: bool,
    is_stalled: bool,
    is_closed: bool,
}

impl fmt::Debug for FjallBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallBackplane")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl FjallBackplane {
    /// Opens the log in its directory, or makes one. What was written and not synced before the
    /// machine ended is taken up as far as it is whole.
    ///
    /// # Errors
    /// [`BackplaneError`] when the directory is in use, cannot be read or written, or holds
    /// something that is no log of this version, or one that is broken in its middle.
    ///
    /// # Cancel safety
    /// The log is opened and closed again; until that is done the directory is in use.
    pub async fn open(config: FjallConfig) -> Result<Self, BackplaneError> {
        let opening = spawn_blocking(move || {
            let opened = open::open(&config)?;
            Self::start(config, opened)
        });
        opening
            .await
            .map_err(|error| BackplaneError::because("the log could not be opened", error))?
    }

    fn start(config: FjallConfig, opened: Opened) -> Result<Self, BackplaneError> {
        let Opened {
            store,
            head,
            lineage,
            mark,
        } = opened;
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            room: Arc::new(Semaphore::new(config.queue_bytes)),
            store: RwLock::new(Some(store)),
            given: Mutex::new(Given {
                sink: None,
                lineage: Arc::new(lineage),
                last: head.last,
                floor: head.floor,
                is_attached: false,
                is_stalled: false,
                is_closed: false,
            }),
            config,
        });
        let writer = Writer::new(Arc::clone(&shared), head, mark);
        let thread = std::thread::Builder::new()
            .name("eventcast-fjall".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| BackplaneError::because("no thread could be started", error))?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Reads in a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store, &Lineage) -> Result<T, BackplaneError> + Send + 'static,
    ) -> Result<T, BackplaneError> {
        let shared = Arc::clone(&self.shared);
        let reading = spawn_blocking(move || {
            let store = shared.store();
            let lineage = shared.lineage();
            match &*store {
                Some(store) => read(store, &lineage),
                None if shared.given().is_closed => Err(closed()),
                None => Err(down()),
            }
        });
        let failed = |error| BackplaneError::because("the log could not be read", error);
        reading.await.map_err(failed)?
    }
}

impl Shared {
    pub(crate) fn store(&self) -> RwLockReadGuard<'_, Option<Store>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store_mut(&self) -> RwLockWriteGuard<'_, Option<Store>> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lineage(&self) -> Arc<Lineage> {
        Arc::clone(&self.given().lineage)
    }

    /// Gives the sink what was committed.
    pub(crate) fn give(&self, records: Vec<Record>, head: &Head) {
        let mut given = self.given();
        given.last = head.last;
        given.floor = head.floor;
        if let Some(sink) = &given.sink {
            records.into_iter().for_each(|record| sink.record(record));
        }
    }

    /// The epochs as they are now that the log was opened again; whether they are others.
    pub(crate) fn take_lineage(&self, lineage: Lineage, head: &Head) -> bool {
        let mut given = self.given();
        let is_forked = *given.lineage != lineage;
        if is_forked {
            given.last = head.last;
            given.lineage = Arc::new(lineage.clone());
            if let Some(sink) = &given.sink {
                sink.forked(lineage);
            }
        }
        is_forked
    }

    pub(crate) fn stall(&self, is_stalled: bool) {
        let mut given = self.given();
        if std::mem::replace(&mut given.is_stalled, is_stalled) != is_stalled
            && let Some(sink) = &given.sink
        {
            match is_stalled {
                true => sink.stalled(),
                false => sink.recovered(),
            }
        }
    }

    /// Nothing is written any more.
    pub(crate) fn end(&self) {
        let mut given = self.given();
        given.is_closed = true;
        let sink = given.sink.take();
        drop(given);
        drop(sink);
        self.room.close();
        self.queue.shut();
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an append and waits for its answer, in time.
    async fn append(
        &self,
        append: Append,
        deadline: Instant,
    ) -> Result<Vec<Position>, AppendError> {
        let bodies: Vec<_> = append.bodies.iter().map(Body::encode).collect();
        let size: usize = bodies.iter().map(|body| body.len()).sum();
        let limit = self.config.max_append;
        if size > limit {
            return Err(AppendError::TooLarge { limit });
        }
        let is_end = |body: &Body| matches!(body, Body::Completion(_));
        match append.bodies.iter().position(is_end) {
            // Nothing follows a channel's end.
            Some(end) if end + 1 < bodies.len() => return Err(AppendError::Completed),
            _ if bodies.is_empty() => return Ok(Vec::new()),
            _ => {}
        }
        let late = || BackplaneError::new("the disk did not take it in time");
        let share = (size + OVERHEAD * bodies.len()).min(self.config.queue_bytes);
        let room = Arc::clone(&self.room).acquire_many_owned(share as u32);
        let room = match timeout_at(deadline, room).await {
            Ok(Ok(room)) => room,
            Ok(Err(_)) => return Err(unavailable(OutcomeKnown::NotStored, closed())),
            Err(_) => return Err(unavailable(OutcomeKnown::NotStored, late())),
        };
        let (answer, answered) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let job = Job {
            append,
            bodies,
            ticket: Arc::clone(&ticket),
            answer,
            _room: room,
        };
        if !self.queue.push(job) {
            return Err(unavailable(OutcomeKnown::NotStored, closed()));
        }
        let error = match timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_)) => closed(),
            Err(_) => late(),
        };
        let outcome = match ticket.withdraw() {
            true => OutcomeKnown::NotStored,
            false => OutcomeKnown::Unknown,
        };
        Err(unavailable(outcome, error))
    }
}

impl Drop for FjallBackplane {
    fn drop(&mut self) {
        self.shared.queue.push_other(Work::Close(None));
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let _ = thread.map(JoinHandle::join);
    }
}

#[async_trait]
impl ReplayStore for FjallBackplane {
    async fn page(&self, channel: &ChannelName, query: PageQuery) -> Result<Page, BackplaneError> {
        let channel = channel.clone();
        self.read(move |store, lineage| read::page(store, lineage, &channel, query))
            .await
    }

    async fn facts(&self, channel: &ChannelName) -> Result<ChannelFacts, BackplaneError> {
        let channel = channel.clone();
        self.read(move |store, lineage| read::facts(store, lineage, &channel))
            .await
    }

    async fn channels(
        &self,
        prefix: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChannelName>, BackplaneError> {
        let prefix = prefix.to_owned();
        self.read(move |store, _| read::channels(store, &prefix, after, limit))
            .await
    }
}

#[async_trait]
impl Backplane for FjallBackplane {
    fn capabilities(&self) -> Capabilities {
        let config = &self.shared.config;
        Capabilities::new(config.fsync.durability()).deduplicating(config.window)
    }

    async fn attach(&self, sink: Arc<dyn Sink>) -> Result<Attached, BackplaneError> {
        let mut given = self.shared.given();
        if given.is_closed {
            return Err(closed());
        }
        if std::mem::replace(&mut given.is_attached, true) {
            return Err(BackplaneError::new("a hub is attached, or was"));
        }
        if given.is_stalled {
            sink.stalled();
        }
        given.sink = Some(sink);
        Ok(Attached {
            lineage: Lineage::clone(&given.lineage),
            committed: given.last,
            floor: given.floor,
        })
    }

    async fn append(&self, append: Append) -> Result<Vec<Position>, AppendError> {
        let began = Instant::now();
        let deadline = began + self.shared.config.publish_timeout;
        let appended = self.shared.append(append, deadline).await;
        appended.map_err(|error| match error {
            AppendError::Unavailable {
                outcome, source, ..
            } => AppendError::Unavailable {
                outcome,
                waited: began.elapsed(),
                source,
            },
            error => error,
        })
    }

    async fn maintain(&self, now: Timestamp) -> Result<(), BackplaneError> {
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push_other(Work::Maintain(now, answer));
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn close(&self) -> Result<(), BackplaneError> {
        let (answer, answered) = oneshot::channel();
        if !self.shared.queue.push_other(Work::Close(Some(answer))) {
            return Ok(());
        }
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}
