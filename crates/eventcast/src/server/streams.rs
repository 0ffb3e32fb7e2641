//! The open streams of an HTTP/2 connection, each a task.
//!
//! hyper stops polling a body while its stream's peer grants no window, and never gives up. So this
//! spawns hyper's tasks itself, counts what their bodies gave and h2 has not taken, and aborts the
//! tasks of a stream where that does not change: dropping them resets the stream.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use hyper::rt::Executor;
use slab::Slab;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

tokio::task_local! {
    /// The stream that a task works for.
    static CURRENT: Arc<Stream>;
}

/// All streams of a connection: what hyper spawns their tasks with.
#[derive(Clone)]
pub(super) struct Streams(Arc<Shared>);

struct Shared {
    tasks: TaskTracker,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    streams: Slab<Weak<Stream>>,
    /// One was opened since [`Streams::were_open`] was asked.
    opened: bool,
}

impl Streams {
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self(Arc::new(Shared {
            tasks,
            open: Mutex::default(),
        }))
    }

    /// The stream that the running task works for.
    ///
    /// # Panics
    /// Outside hyper's tasks.
    pub(super) fn current() -> Arc<Stream> {
        CURRENT.with(Arc::clone)
    }

    /// Whether a stream is open, or was since the last call.
    pub(super) fn were_open(&self) -> bool {
        let mut open = self.open();
        std::mem::take(&mut open.opened) || !open.streams.is_empty()
    }

    /// Resets the streams whose peer has taken nothing in so many calls, this one included, and
    /// returns how many.
    pub(super) fn end_stalled(&self, patience: u32) -> usize {
        // The last owner of a stream takes the lock.
        let streams: Vec<_> = {
            let open = self.open();
            let streams = open.streams.iter();
            streams.filter_map(|(_, stream)| stream.upgrade()).collect()
        };
        let ended = streams
            .iter()
            .filter(|stream| stream.has_stalled(patience) && stream.abort());
        ended.count()
    }

    fn add(&self) -> Arc<Stream> {
        let mut open = self.open();
        open.opened = true;
        let entry = open.streams.vacant_entry();
        let stream = Arc::new(Stream {
            connection: self.clone(),
            key: entry.key(),
            tasks: Default::default(),
            unsent: AtomicUsize::new(0),
            progress: AtomicBool::new(false),
            idle: AtomicU32::new(0),
            aborted: AtomicBool::new(false),
            waiting: Mutex::default(),
        });
        entry.insert(Arc::downgrade(&stream));
        stream
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        // A request is a new stream; a task that a stream's own task asks for writes what its
        // upgrade writes.
        let (stream, place) = match CURRENT.try_with(Arc::clone) {
            Ok(stream) => (stream, 1),
            Err(_) => (self.add(), 0),
        };
        let future = CURRENT.scope(Arc::clone(&stream), future);
        let task = self.0.tasks.spawn(future);
        let _ = stream.tasks[place].set(task.abort_handle());
    }
}

/// One stream, until its last task has ended and nothing of it waits to be sent.
pub(crate) struct Stream {
    connection: Streams,
    key: usize,
    /// The request's, and its upgrade's.
    tasks: [OnceLock<AbortHandle>; 2],
    /// Pieces of data that were given and are not sent.
    unsent: AtomicUsize,
    /// Something was sent since this was last looked at.
    progress: AtomicBool,
    /// How often nothing was.
    idle: AtomicU32,
    aborted: AtomicBool,
    /// Waits until all is sent.
    waiting: Mutex<Option<Waker>>,
}

impl Stream {
    /// There is one more piece to send.
    pub(super) fn add_unsent(&self) {
        if self.unsent.fetch_add(1, Ordering::Relaxed) == 0 {
            self.progress.store(true, Ordering::Relaxed);
        }
    }

    /// A part of a piece was sent.
    pub(super) fn note_progress(&self) {
        self.progress.store(true, Ordering::Relaxed);
    }

    /// A piece was sent, or thrown away.
    pub(super) fn remove_unsent(&self) {
        self.progress.store(true, Ordering::Relaxed);
        if self.unsent.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Not under the lock.
            let waker = self.waiting().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Ready once nothing waits to be sent.
    pub(super) fn poll_sent(&self, cx: &Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting();
        if self.unsent.load(Ordering::Acquire) == 0 {
            return Poll::Ready(());
        }
        *waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Nothing more will be written: if the stream is not done with what was, within the write
    /// timeout, it is reset.
    pub(crate) fn finish(&self) {
        self.add_unsent();
    }

    fn has_stalled(&self, patience: u32) -> bool {
        let progress = self.progress.swap(false, Ordering::Relaxed);
        if progress || self.unsent.load(Ordering::Relaxed) == 0 {
            self.idle.store(0, Ordering::Relaxed);
            return false;
        }
        self.idle.fetch_add(1, Ordering::Relaxed) + 1 >= patience
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was reset because its peer took nothing.
    pub(super) fn was_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// `false` if it was reset before.
    fn abort(&self) -> bool {
        let was_aborted = self.aborted.swap(true, Ordering::AcqRel);
        for task in self.tasks.iter().filter_map(OnceLock::get) {
            task.abort();
        }
        !was_aborted
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut open = self.connection.open();
        open.streams.remove(self.key);
        if open.streams.is_empty() {
            open.streams.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stalled_after(stream: &Stream, most: u32) -> Option<u32> {
        (1..=most).find(|_| stream.has_stalled(3))
    }

    #[test]
    fn only_what_waits_without_progress_stalls() {
        let streams = Streams::new(TaskTracker::new());
        let stream = streams.add();
        assert_eq!(stalled_after(&stream, 10), None, "nothing to send");
        stream.add_unsent();
        // The first look sees that something was given.
        assert_eq!(stalled_after(&stream, 10), Some(4));
        stream.note_progress();
        assert_eq!(stalled_after(&stream, 10), Some(4));
        stream.add_unsent();
        assert!(stream.has_stalled(3), "more to send is no progress");
        stream.remove_unsent();
        assert_eq!(stalled_after(&stream, 10), Some(4));
        stream.remove_unsent();
        assert_eq!(stalled_after(&stream, 10), None);
    }

    #[test]
    fn streams_are_open_until_dropped() {
        let streams = Streams::new(TaskTracker::new());
        assert!(!streams.were_open());
        let stream = streams.add();
        assert!(streams.were_open() && streams.were_open());
        drop(stream);
        assert!(!streams.were_open());
        drop(streams.add());
        assert!(streams.were_open(), "one that came and went");
        assert!(!streams.were_open());
    }
}
