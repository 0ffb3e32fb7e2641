//! What is done for a log now and then, by drivers.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::Remote;
use crate::log::Log;
use crate::name::ChannelName;
use crate::sync::Ordering;
use crate::time::Clock;

/// What the log is to be told, and who is to do it.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    /// What nobody wants any more, maybe.
    unwanted: Vec<Interest>,
    /// The log is being told that nobody wants these.
    releasing: HashSet<Interest>,
    /// Messages to other nodes.
    outbox: VecDeque<Bytes>,
    /// Somebody who closes the hub sends what is left.
    is_sending: bool,
    /// The hub is closed, and nobody sends messages any more.
    sends_no_more: bool,
    /// The log is to be given time to maintain itself.
    maintain: bool,
    driver: Option<Waker>,
}

/// Something that this node wants of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Interest {
    Channel(ChannelName),
    Prefix(Box<str>),
}

/// One thing to do.
enum Chore {
    Maintain,
    Release(Interest),
    Send(Bytes),
}

impl Remote {
    /// Notes that a channel or a pattern may have nobody left. Past the bound it is not noted, as when
    /// nobody drives: the log then gives more than is wanted.
    pub(crate) fn release(&self, interest: Interest) {
        self.leave_chore(|chores| {
            if chores.unwanted.len() < MAX_UNWANTED {
                chores.unwanted.push(interest);
            }
        });
    }

    /// Leaves a message for the other nodes: the oldest goes when there are too many.
    pub(super) fn post(&self, message: Bytes) {
        self.leave_chore(|chores| {
            if chores.sends_no_more {
                return;
            }
            chores.outbox.push_back(message);
            if chores.outbox.len() > MAX_OUTBOX {
                chores.outbox.pop_front();
            }
        });
    }

    /// Sends the messages that were left, as long as the log takes them: the others will find out by
    /// themselves what they are not told.
    pub(super) async fn empty_outbox(&self, clock: &dyn Clock) {
        let mut sent = pin!(async {
            // One after the other: who comes later must not let go of the log meanwhile.
            let _sending = self.retry.until(|_| self.begin_sending()).await;
            while !self.is_stalled()
                && let Some(message) = self.take_post()
                && self.plane.broadcast(message).await.is_ok()
            {}
        });
        let began = clock.elapsed();
        let is_late = |_| (clock.elapsed().saturating_sub(began) >= GOODBYES_FOR).then_some(());
        let mut late = pin!(self.retry.until(is_late));
        poll_fn(|cx| match sent.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => late.as_mut().poll(cx),
        })
        .await;
        let mut chores = self.chores.lock();
        chores.sends_no_more = true;
        chores.outbox = VecDeque::new();
    }

    fn begin_sending(&self) -> Option<Sending<'_>> {
        let was_sending = std::mem::replace(&mut self.chores.lock().is_sending, true);
        (!was_sending).then(|| Sending(self))
    }

    fn take_post(&self) -> Option<Bytes> {
        self.chores.lock().outbox.pop_front()
    }

    /// A round of maintenance: what failed is tried again, and the log maintains itself.
    pub(crate) fn tick(&self, whole_round: bool) {
        self.retry.ring();
        if whole_round {
            self.leave_chore(|chores| chores.maintain = true);
        }
        self.wake_ahead();
    }

    fn leave_chore(&self, leave: impl FnOnce(&mut Chores)) {
        let driver = {
            let mut chores = self.chores.lock();
            leave(&mut chores);
            chores.driver.take()
        };
        driver.into_iter().for_each(Waker::wake);
    }

    /// Done once the log is not being told that nobody wants this.
    pub(super) async fn until_released(&self, interest: &Interest) {
        let is_free = |_| (!self.chores.lock().releasing.contains(interest)).then_some(());
        self.released.until(is_free).await;
    }
}

/// The turn of one that closes the hub, also when it is given up.
struct Sending<'a>(&'a Remote);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.chores.lock().is_sending = false;
        self.0.retry.ring();
    }
}

/// The future that does them.
pub(crate) struct ChoreDriver {
    log: Weak<Log>,
    running: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl ChoreDriver {
    pub(crate) fn new(log: &Arc<Log>) -> Self {
        Self {
            log: Arc::downgrade(log),
            running: None,
        }
    }

    /// Ready once the hub is gone.
    pub(crate) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(running) = &mut self.running {
                if running.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.running = None;
            }
            let Some(log) = self.log.upgrade() else {
                return Poll::Ready(());
            };
            let Some(chore) = log.take_chore(cx) else {
                return Poll::Pending;
            };
            self.running = Some(Box::pin(log.run_chore(chore)));
        }
    }
}

impl Log {
    fn take_chore(&self, cx: &mut Context<'_>) -> Option<Chore> {
        let remote = self.remote.as_ref()?;
        loop {
            let interest = {
                let mut chores = remote.chores.lock();
                // First: messages may come without end.
                if std::mem::take(&mut chores.maintain) {
                    return Some(Chore::Maintain);
                }
                // Who closes the hub sends the rest, and knows when it is sent.
                if !remote.closed.load(Ordering::Acquire)
                    && let Some(message) = chores.outbox.pop_front()
                {
                    return Some(Chore::Send(message));
                }
                match chores.unwanted.pop() {
                    Some(interest) => interest,
                    None => {
                        chores.driver = Some(cx.waker().clone());
                        return None;
                    }
                }
            };
            // Under the lock that making a ring takes: one made later waits until it is released.
            let free = self.if_unwanted(&interest, || {
                remote.chores.lock().releasing.insert(interest.clone());
            });
            if free {
                return Some(Chore::Release(interest));
            }
            remote.chores.lock().releasing.remove(&interest);
            remote.released.ring();
        }
    }

    async fn run_chore(self: Arc<Self>, chore: Chore) {
        let Some(remote) = &self.remote else { return };
        // What fails here is tried again at another round, or may be lost, as messages may.
        match chore {
            Chore::Maintain => drop(remote.plane.maintain(self.config.clock.now()).await),
            Chore::Send(message) => drop(remote.plane.broadcast(message).await),
            Chore::Release(interest) => {
                let releasing = Releasing(remote, interest);
                let done = match &releasing.1 {
                    Interest::Channel(name) => remote.plane.want(name, false).await,
                    Interest::Prefix(prefix) => remote.plane.want_prefix(prefix, false).await,
                };
                // A log that was not told gives more than is wanted, no less.
                drop(done);
            }
        }
    }
}

/// Ends a release, dropped or done: those who want it meanwhile go on.
struct Releasing<'a>(&'a Remote, Interest);

impl Drop for Releasing<'_> {
    fn drop(&mut self) {
        self.0.chores.lock().releasing.remove(&self.1);
        self.0.released.ring();
    }
}

const MAX_OUTBOX: usize = 1024;
const MAX_UNWANTED: usize = 10_000;
/// For so long a hub that closes sends what it has left for the others.
const GOODBYES_FOR: Duration = Duration::from_secs(5);
