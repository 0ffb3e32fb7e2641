//! The thread that writes: one commit for what waits together, then the sink, then the answers.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{AppendError, BackplaneError, OutcomeKnown, Record, Timestamp};
use fjall::PersistMode;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::backplane::Shared;
use crate::channel::Head;
use crate::config::Fsync;
use crate::failure::{because, down, is_full, unavailable};
use crate::group::Group;
use crate::mark::MarkFile;
use crate::open::{self, Opened};
use crate::queue::{Job, Work};
use crate::retain::millis;
use crate::store::Change;

/// How many appends one commit may have.
const MAX_GROUP: usize = 4096;

/// For how long the disk is not asked again after it refused a write.
const PAUSE: Duration = Duration::from_secs(1);

/// The thread that writes.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    head: Head,
    mark: Option<MarkFile>,
    /// Since when something is acknowledged and not synced.
    unsynced: Option<Instant>,
    /// What may be stored or not, and has to be before anything else is.
    owed: Option<Commit>,
    /// What the disk refused, and until when it is not asked again: asking costs opening the
    /// database anew.
    refused: Option<(Instant, Failed)>,
}

/// What is written at once.
struct Commit {
    changes: Vec<Change>,
    records: Vec<Record>,
    head: Head,
}

/// What a database is that was opened anew.
enum Reopened {
    Same,
    /// It has lost something, and goes on under another epoch.
    Forked,
}

/// A commit that failed.
#[derive(Clone)]
struct Failed {
    outcome: OutcomeKnown,
    is_full: bool,
    cause: BackplaneError,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, head: Head, mark: MarkFile) -> Self {
        Self {
            shared,
            head,
            mark: Some(mark),
            unsynced: None,
            owed: None,
            refused: None,
        }
    }

    pub(crate) fn run(mut self) {
        let most = match self.shared.config.fsync {
            Fsync::Each => 1,
            _ => MAX_GROUP,
        };
        loop {
            let sync_at = match self.shared.config.fsync {
                Fsync::Interval(time) => self.unsynced.map(|since| since + time),
                _ => None,
            };
            match self.shared.queue.take(most, sync_at) {
                Work::Append(jobs) => self.append(jobs),
                Work::Maintain(now, answer) => self.maintain(now, answer),
                Work::Sync => self.sync(),
                Work::Close(answer) => {
                    let closed = self.close();
                    drop(self);
                    let _ = answer.map(|answer| answer.send(closed));
                    return;
                }
            }
        }
    }

    fn append(&mut self, mut jobs: Vec<Job>) {
        jobs.retain(|job| job.ticket.take());
        let size: usize = jobs
            .iter()
            .flat_map(|job| &job.bodies)
            .map(|b| b.len())
            .sum();
        let room = self.is_refused().and_then(|()| self.repair());
        let room = room.and_then(|()| self.has_room(size));
        let mut answers = Vec::with_capacity(jobs.len());
        let commit = room.and_then(|()| {
            self.build(|group| {
                for job in &jobs {
                    answers.push(group.append(&job.append, &job.bodies));
                }
                Ok(())
            })
        });
        let commit = commit.map(|(commit, ())| commit);
        let done = commit.and_then(|commit| match commit {
            Some(commit) => self.commit(commit, self.mode()),
            None => Ok(()),
        });
        match done {
            Ok(()) => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    let _ = job.answer.send(answer);
                }
            }
            Err(failed) => {
                for job in jobs {
                    let _ = job.answer.send(Err(failed.to_error()));
                }
            }
        }
    }

    /// Trims and forgets some; what is left comes after the appends that wait.
    fn maintain(&mut self, now: Timestamp, answer: oneshot::Sender<Result<(), BackplaneError>>) {
        let time = now.as_millis();
        let (ends, idle) = (
            self.shared.config.ends as u64,
            millis(self.shared.config.idle),
        );
        let done = self.repair().and_then(|()| {
            self.forget_keys(time)?;
            let (commit, is_more) = self.build(|group| group.maintain(time, ends, idle))?;
            if let Some(commit) = commit {
                // What is undone by a power failure is done again.
                self.commit(commit, PersistMode::Buffer)?;
            }
            Ok(is_more)
        });
        match done {
            Ok(true) => {
                self.shared.queue.push_other(Work::Maintain(now, answer));
            }
            Ok(false) => drop(answer.send(Ok(()))),
            Err(failed) => drop(answer.send(Err(failed.cause))),
        }
    }

    /// Forgets the older generation of idempotency keys once all of it is too old.
    fn forget_keys(&mut self, now: u64) -> Result<(), Failed> {
        let window = millis(self.shared.config.window);
        if now.saturating_sub(self.head.generation_began) < window {
            return Ok(());
        }
        let next = self.head.generation.wrapping_add(1);
        let cleared = match &*self.shared.store() {
            Some(store) => store.keys[next as usize & 1].clear(),
            None => return Err(Failed::before(down())),
        };
        if let Err(error) = cleared {
            // The next round finds it repaired, or tries that.
            let _ = self.reopen();
            return Err(Failed {
                is_full: is_full(&error),
                ..Failed::before(because("keys could not be forgotten", error))
            });
        }
        self.head.generation = next;
        self.head.generation_began = now;
        Ok(())
    }

    /// What is to be written, unless it is nothing.
    fn build<T>(
        &self,
        fill: impl FnOnce(&mut Group<'_>) -> Result<T, BackplaneError>,
    ) -> Result<(Option<Commit>, T), Failed> {
        let store = self.shared.store();
        let store = store.as_ref().ok_or_else(|| Failed::before(down()))?;
        let lineage = self.shared.lineage();
        let window = millis(self.shared.config.window);
        let mut group = Group::new(store, &lineage, self.head, window);
        let filled = fill(&mut group).map_err(Failed::before)?;
        if group.is_empty() {
            return Ok((None, filled));
        }
        let (changes, records, head) = group.into_parts();
        let commit = Commit {
            changes,
            records,
            head,
        };
        Ok((Some(commit), filled))
    }

    /// Writes, then gives the sink what is new. What failed is tried once more on a database that
    /// was opened anew: a failed write leaves the old one closed to all others.
    fn commit(&mut self, commit: Commit, mode: PersistMode) -> Result<(), Failed> {
        if self.write(&commit, mode).is_ok() {
            self.give(commit);
            return Ok(());
        }
        let again = self.reopen().and_then(|reopened| match reopened {
            Reopened::Same => self.write(&commit, mode),
            Reopened::Forked => Err(BackplaneError::new("the log lost what it had")),
        });
        let Err(cause) = again else {
            self.give(commit);
            return Ok(());
        };
        let mut failed = Failed {
            outcome: OutcomeKnown::NotStored,
            is_full: is_full(&cause),
            cause,
        };
        match self.reopen() {
            // Its numbers are of the epoch before.
            Ok(Reopened::Forked) => {}
            Ok(Reopened::Same) if self.head.last < commit.head.last => {}
            _ => {
                failed.outcome = OutcomeKnown::Unknown;
                self.shared.stall(true);
                self.owed = (!commit.records.is_empty()).then_some(commit);
                return Err(failed);
            }
        }
        self.refused = Some((Instant::now() + PAUSE, failed.clone()));
        Err(failed)
    }

    fn write(&self, commit: &Commit, mode: PersistMode) -> Result<(), BackplaneError> {
        match &*self.shared.store() {
            Some(store) => store
                .commit(&commit.changes, mode)
                .map_err(|error| because("the log could not be written", error)),
            None => Err(down()),
        }
    }

    fn give(&mut self, commit: Commit) {
        self.head = commit.head;
        if let Some(mark) = &mut self.mark {
            // A mark that is behind proves less; nothing else is wrong with it.
            let _ = mark.advance(self.head.last);
        }
        if matches!(self.shared.config.fsync, Fsync::Interval(_)) {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        self.shared.give(commit.records, &self.head);
    }

    /// Opens the database again, and finds out what is in it.
    fn reopen(&mut self) -> Result<Reopened, BackplaneError> {
        let mut store = self.shared.store_mut();
        *store = None;
        self.mark = None;
        let Opened {
            store: opened,
            head,
            lineage,
            mark,
        } = open::open(&self.shared.config)?;
        *store = Some(opened);
        drop(store);
        self.head = head;
        self.mark = Some(mark);
        match self.shared.take_lineage(lineage, &self.head) {
            true => {
                self.owed = None;
                Ok(Reopened::Forked)
            }
            false => Ok(Reopened::Same),
        }
    }

    /// Makes good what failed before, if it did.
    fn repair(&mut self) -> Result<(), Failed> {
        if self.mark.is_none() {
            self.shared.stall(true);
            self.reopen().map_err(Failed::before)?;
        }
        if let Some(owed) = self.owed.take() {
            self.commit(owed, self.mode()).map_err(|failed| Failed {
                outcome: OutcomeKnown::NotStored,
                ..failed
            })?;
        }
        self.shared.stall(false);
        Ok(())
    }

    fn sync(&mut self) {
        self.unsynced = None;
        let synced = match &*self.shared.store() {
            Some(store) => store.sync().is_ok(),
            None => false,
        };
        if !synced {
            // Opening it syncs what is there.
            self.unsynced = Some(Instant::now());
            if self.reopen().is_err() {
                self.shared.stall(true);
            }
        }
    }

    fn close(&mut self) -> Result<(), BackplaneError> {
        let repaired = self.repair().map_err(|failed| failed.cause);
        let mut store = self.shared.store_mut();
        let synced = repaired.and_then(|()| {
            let unsynced = |error| because("what was acknowledged could not be synced", error);
            store.as_ref().ok_or_else(down)?.sync().map_err(unsynced)
        });
        if let (Ok(()), Some(mark)) = (&synced, &mut self.mark) {
            // Without it the next start may begin an epoch, and loses nothing.
            let _ = mark.close();
        }
        *store = None;
        synced
    }

    /// How durable an append is when it is acknowledged.
    fn mode(&self) -> PersistMode {
        match self.shared.config.fsync {
            Fsync::Interval(_) => PersistMode::Buffer,
            _ => PersistMode::SyncData,
        }
    }

    /// Whether the disk refused something just now.
    fn is_refused(&mut self) -> Result<(), Failed> {
        match &self.refused {
            Some((until, failed)) if Instant::now() < *until => Err(failed.clone()),
            _ => {
                self.refused = None;
                Ok(())
            }
        }
    }

    /// Whether what is left on the file system beyond the reserve holds it.
    fn has_room(&self, size: usize) -> Result<(), Failed> {
        #[cfg(unix)]
        if let Ok(found) = rustix::fs::statvfs(&self.shared.config.path) {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            if free < self.shared.config.reserve.saturating_add(size as u64) {
                let cause = "the file system has less than the reserve left";
                return Err(Failed {
                    is_full: true,
                    ..Failed::before(BackplaneError::new(cause))
                });
            }
        }
        Ok(())
    }
}

/// However the thread ends, nobody waits for it any more.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Failed {
    /// Nothing was written, and that is not for want of room.
    fn before(cause: BackplaneError) -> Self {
        Self {
            outcome: OutcomeKnown::NotStored,
            is_full: false,
            cause,
        }
    }

    fn to_error(&self) -> AppendError {
        match self.outcome {
            OutcomeKnown::NotStored if self.is_full => AppendError::Full(self.cause.clone()),
            outcome => unavailable(outcome, self.cause.clone()),
        }
    }
}
