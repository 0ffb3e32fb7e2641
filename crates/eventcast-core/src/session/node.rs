//! What a session follows of a log outside the hub: stalls, forks, and channels that its patterns
//! fit and that this node does not know.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::reader::Session;
use crate::backplane::BackplaneError;
use crate::delivery::{Delivery, End, Gap, GapReason};
use crate::log::Log;
use crate::name::ChannelName;
use crate::session::Signal;
use crate::stored::Timestamp;

/// The part of a session that only hubs with a log outside have.
pub(super) struct Node {
    /// Its place among those that are told of stalls.
    key: usize,
    told_stalled: bool,
    /// How many forks it has looked at.
    pub(super) fork: u64,
    /// A page cannot be read.
    pub(super) failing: bool,
    /// It resumed after what this node was given, then.
    ahead: Option<(u64, Timestamp)>,
    /// A look for channels that patterns fit; nothing is handed out before it is done.
    lookup: Option<Lookup>,
    /// The last look failed.
    lookup_failed: bool,
}

type Lookup = Pin<Box<dyn Future<Output = Result<Vec<ChannelName>, BackplaneError>> + Send>>;

impl Node {
    /// `None` for a hub that is its own log.
    pub(super) fn new(log: &Log, signal: &Arc<Signal>) -> Option<Box<Self>> {
        let remote = log.remote.as_ref()?;
        Some(Box::new(Self {
            key: remote.enter(signal),
            told_stalled: false,
            fork: remote.fork(),
            failing: false,
            ahead: None,
            lookup: None,
            lookup_failed: false,
        }))
    }

    pub(super) fn leave(&self, log: &Log, signal: &Signal) {
        signal.set_ahead(false);
        if let Some(remote) = &log.remote {
            remote.leave(self.key);
        }
    }
}

impl Session {
    /// Notes that it resumed after what this node was given.
    pub(super) fn note_ahead(&mut self, sequence: u64) {
        let now = self.log.config.clock.now();
        if let (Some(node), Some(remote)) = (&mut self.node, &self.log.remote)
            && sequence > self.log.committed()
        {
            node.ahead = Some((sequence, now));
            self.signal.set_ahead(true);
            remote.enter_ahead(&self.signal);
        }
    }

    /// Looks at what became of the log, and goes on with what it was asked. Pending when nothing may
    /// be handed out before that is known; an end when the session has too many channels.
    pub(super) fn poll_node(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<Delivery>,
    ) -> Poll<Option<End>> {
        self.look_at_fork(out);
        let found = self.poll_lookup(cx);
        if found.is_ready() {
            self.poll_pages(cx);
            self.look_at_fork(out);
        }
        self.tell_stall(out);
        found
    }

    /// Whether the session knows of all forks.
    pub(super) fn knows_forks(&self) -> bool {
        match (&self.node, &self.log.remote) {
            (Some(node), Some(remote)) => node.fork == remote.fork(),
            _ => true,
        }
    }

    fn tell_stall(&mut self, out: &mut Vec<Delivery>) {
        let committed = self.log.committed();
        let (Some(node), Some(remote)) = (&mut self.node, &self.log.remote) else {
            return;
        };
        let mut is_late = false;
        if let Some((sequence, since)) = node.ahead {
            if sequence <= committed {
                node.ahead = None;
                self.signal.set_ahead(false);
            } else {
                is_late = since.is_older_than(AHEAD_FOR, self.log.config.clock.now());
            }
        }
        let is_stalled = remote.is_stalled() || node.failing || node.lookup_failed || is_late;
        if is_stalled != node.told_stalled {
            node.told_stalled = is_stalled;
            out.push(match is_stalled {
                true => Delivery::Stalled,
                false => Delivery::Recovered,
            });
        }
    }

    /// Tells what was lost at a fork, if the reader was given a position after it.
    fn look_at_fork(&mut self, out: &mut Vec<Delivery>) {
        let (Some(node), Some(remote)) = (&mut self.node, &self.log.remote) else {
            return;
        };
        let (fork, seen) = (remote.fork(), node.fork);
        if fork == seen {
            return;
        }
        node.fork = fork;
        let lost = remote.lost_around(self.position, seen);
        for (_, subscription) in &mut self.subscriptions {
            let ring = Arc::clone(&subscription.ring);
            let state = ring.state.lock();
            let cursor = &mut subscription.cursor;
            if let Some(end) = remote.lost_around(cursor.sequence, seen) {
                cursor.sequence = cursor.sequence.max(end);
                subscription.cold = None;
                cursor.enter_ring(&state);
            }
            let was_done = cursor.done;
            let end = state.completion().map(|end| end.sequence);
            cursor.done = was_done && end.is_some_and(|end| cursor.sequence >= end);
            if was_done && !cursor.done {
                self.unfinished += u32::from(subscription.named);
            }
        }
        if let Some(end) = remote.lost_around(self.reached, seen) {
            // It had come so far without anything to hand out.
            self.reached = if lost.is_some() { end } else { self.position };
        }
        let Some(end) = lost else { return };
        self.finished = false;
        self.position = end.max(self.position);
        self.reached = self.position;
        let channels = self.channels();
        let last = channels.len().saturating_sub(1);
        for (index, channel) in channels.into_iter().enumerate() {
            let position = (index == last).then(|| self.log.position(self.position));
            let gap = Gap::new(channel, GapReason::Epoch, None, position);
            out.push(Delivery::Gap(gap));
        }
    }

    /// Pending while it is not known which channels patterns fit.
    fn poll_lookup(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        for index in 0..self.patterns.len() {
            loop {
                let pattern = &self.patterns[index];
                let Some(after) = pattern.unknown_after else {
                    break;
                };
                let limit = self.log.config.max_session_channels + 1;
                let prefix: Box<str> = pattern.pattern.prefix().into();
                let log = Arc::clone(&self.log);
                let Some(node) = &mut self.node else {
                    return Poll::Ready(None);
                };
                let retry = node.lookup_failed;
                let lookup = node.lookup.get_or_insert_with(|| {
                    Box::pin(async move {
                        if let (Some(remote), true) = (&log.remote, retry) {
                            remote.until_retry().await;
                        }
                        log.look_up(&prefix, after, limit).await
                    })
                });
                match lookup.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => {
                        node.lookup = None;
                        node.lookup_failed = true;
                    }
                    Poll::Ready(Ok(names)) => {
                        node.lookup = None;
                        node.lookup_failed = false;
                        self.patterns[index].unknown_after = None;
                        for name in names {
                            if self.attach_found(index, &name, after).is_err() {
                                return Poll::Ready(Some(End::TooManyChannels));
                            }
                        }
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

/// A session that resumed after what this node was given waits for so long before it is told that
/// the log is behind.
const AHEAD_FOR: Duration = Duration::from_secs(5);
