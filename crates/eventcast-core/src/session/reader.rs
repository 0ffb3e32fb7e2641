//! The session: what a connection, or code in this process, reads from.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use slab::Slab;

use super::builder::Beginning;
use super::handle::SessionHandle;
use super::merge::Budget;
use super::node::Node;
use super::patterns::PatternSubscription;
use super::signal::{Signal, Slot};
use super::subscription::Subscription;
use crate::delivery::{Completed, Delivery, End, Open};
use crate::hub::Hub;
use crate::log::Log;
use crate::name::ChannelName;
use crate::observer::Observer;
use crate::selector::ChannelSelector;

/// One reader of a hub: any number of channels, delivered in the one order of their ids.
///
/// A session is a cursor into the log, not a queue: replay and live are the same read, and a
/// reader that stops costs nothing but its place. When it reads on and the log has trimmed what it
/// missed, it finds a [`Gap`](crate::Gap).
///
/// Connections read batches with [`poll_batch`](Self::poll_batch); code in this process can use
/// the session as a [`Stream`], which ends after [`Delivery::End`].
///
/// # Ordering
/// Events come in the order of their ids, so a live channel waits behind another channel's
/// backlog in the same session. Who wants both at once opens two sessions.
///
/// # Cancel safety
/// Nothing is taken from the session before it is handed out: a `next()` future may be dropped.
///
/// # Examples
/// A reader that is slower than retention is told what it lost:
/// ```
/// use eventcast_core::{Delivery, Event, GapReason, Hub, HubConfig, Retention};
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = HubConfig::new().with_retention(Retention::new().with_count(2));
/// let hub = Hub::with_config(config);
/// let mut session = hub.subscribe("ticker")?;
/// for n in 1..=5 {
///     hub.publish("ticker", Event::text(n.to_string())).await?;
/// }
/// let Some(Delivery::Gap(gap)) = session.next().await else { panic!() };
/// assert_eq!((gap.reason, gap.missed), (GapReason::Slow, Some(3)));
/// let Some(Delivery::Event(event)) = session.next().await else { panic!() };
/// assert_eq!(event.payload().as_str(), Some("4"));
/// # Ok(())
/// # }
/// ```
pub struct Session {
    pub(super) log: Arc<Log>,
    pub(super) shard: u32,
    pub(super) signal: Arc<Signal>,
    pub(super) subscriptions: Slab<Subscription>,
    pub(super) patterns: Vec<PatternSubscription>,
    /// Subscriptions that are not armed: they may have something.
    pub(super) active: Vec<u32>,
    /// The position that the reader was last given.
    pub(super) position: u64,
    /// The position that the merge has reached; past the other by what nobody was given.
    pub(super) reached: u64,
    /// What the session began with.
    pub(super) beginning: Beginning,
    /// What comes before anything else: gaps of starts that cannot be honoured, and the ends of
    /// channels of which only that is remembered.
    pub(super) opening: Vec<Delivery>,
    /// Completed channels that exist no more.
    pub(super) expired: Vec<ChannelName>,
    /// How many channels may still bring something.
    pub(super) unfinished: u32,
    /// It resumed, and nothing is left to deliver or to announce.
    pub(super) finished: bool,
    /// Some channel may pass over events without a word.
    pub(super) selective: bool,
    pub(super) generation: u32,
    marked: Vec<Slot>,
    /// Deliveries of a batch that the stream has not handed out yet.
    buffered: VecDeque<Delivery>,
    stays_open: bool,
    key: Option<Arc<str>>,
    pub(super) observer: Option<Box<ChannelObserver>>,
    /// Is told what is handed out, beside the hub's.
    delivery_observer: Option<Arc<dyn Observer>>,
    /// What was published before the session was opened.
    began: u64,
    pub(super) ended: bool,
    /// Only of a hub whose log is outside.
    pub(super) node: Option<Box<Node>>,
}

pub(super) type ChannelObserver = dyn Fn(&[ChannelSelector]) + Send + Sync;

/// How much one batch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// At most so many deliveries; at least one.
    pub events: usize,
    /// No further delivery once so many bytes are gathered.
    pub bytes: usize,
}

impl Default for BatchLimits {
    /// 64 deliveries, 64 KiB.
    fn default() -> Self {
        Self {
            events: 64,
            bytes: 64 << 10,
        }
    }
}

impl Session {
    pub(super) fn new(hub: &Hub, committed: u64, beginning: Beginning) -> Self {
        let position = match beginning {
            Beginning::Forked(sequence) | Beginning::Resumed(sequence) => sequence,
            Beginning::Broken(_) | Beginning::Continued | Beginning::First => committed,
        };
        let signal = Arc::default();
        Self {
            node: Node::new(&hub.log, &signal),
            shard: hub.log.assign_shard() as u32,
            log: Arc::clone(&hub.log),
            signal,
            subscriptions: Slab::new(),
            patterns: Vec::new(),
            active: Vec::new(),
            position,
            reached: position,
            beginning,
            opening: Vec::new(),
            expired: Vec::new(),
            unfinished: 0,
            finished: matches!(beginning, Beginning::Resumed(_)),
            selective: false,
            generation: 0,
            marked: Vec::new(),
            buffered: VecDeque::new(),
            stays_open: false,
            key: None,
            observer: None,
            delivery_observer: None,
            began: committed,
            ended: false,
        }
    }

    /// The first block of a connection: where the session stands and what it carries.
    #[must_use]
    pub fn opening(&self) -> Open {
        Open {
            position: self.honoured_position(),
            channels: self.channels(),
            session: self.key.clone(),
            heartbeat: None,
            retry: None,
        }
    }

    /// The session's channels and patterns, in the order in which they were added; completed
    /// channels that exist no more come last.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelSelector> {
        let named = self.subscriptions.iter().filter(|(_, s)| s.named);
        let named = named.map(|(_, s)| (s.slot.generation, s.ring.name.clone().into()));
        let patterns = self.patterns.iter();
        let patterns = patterns.map(|p| (p.order, p.pattern.clone().into()));
        let mut selectors: Vec<_> = named.chain(patterns).collect();
        selectors.sort_by_key(|(order, _)| *order);
        let selectors = selectors.into_iter().map(|(_, selector)| selector);
        selectors
            .chain(self.expired.iter().map(Into::into))
            .collect()
    }

    /// Whether the session resumed, every channel of it is completed, and the id is at or past
    /// each end: there is nothing to deliver, now or ever.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished && !(self.subscriptions.is_empty() && self.expired.is_empty())
    }

    /// Keeps the session open when all its channels are completed, for readers that may add others;
    /// otherwise it ends with [`End::Completed`]. One that is [finished](Self::is_finished) tells
    /// its ends once more, or its reader would wait for them.
    pub fn stay_open(&mut self) {
        if self.is_finished() && !self.stays_open {
            let ends = self.subscriptions.iter().filter_map(|(_, subscription)| {
                let state = subscription.ring.state.lock();
                let end = state.completion()?;
                Some(Delivery::Completed(Completed {
                    channel: subscription.ring.name.clone(),
                    outcome: end.outcome.clone(),
                    position: None,
                }))
            });
            self.opening.extend(ends);
        }
        self.stays_open = true;
    }

    /// The key by which the session's client can name it over another connection: whoever has it
    /// may change what the session carries, so it must not be guessable. The opening tells it.
    pub fn set_key(&mut self, key: impl Into<Arc<str>>) {
        self.key = Some(key.into());
    }

    /// Calls `observer` with all channels of the session each time its [handle](Self::handle) has
    /// changed them: before anybody else is told, in the order of the changes.
    pub fn observe_changes(
        &mut self,
        observer: impl Fn(&[ChannelSelector]) + Send + Sync + 'static,
    ) {
        self.observer = Some(Box::new(observer));
    }

    /// The session's key, if it was given one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Has an observer told what this session hands out, beside the hub's: one that knows whose
    /// session it is. A second call replaces the first one's.
    pub fn set_observer(&mut self, observer: Arc<dyn Observer>) {
        self.delivery_observer = Some(observer);
    }

    /// Removes a channel or a pattern, by the text that it was added by; `false` when it is not in
    /// the session. What it has in a batch that is already handed out stays there.
    pub fn unsubscribe(&mut self, channel: &str) -> bool {
        let is_same = |name: &ChannelName| name.as_str() == channel;
        if let Some(key) = self.find(channel) {
            self.remove_named(key);
        } else if let Some(index) = self.find_pattern(channel) {
            self.remove_pattern(index);
        } else if let Some(index) = self.expired.iter().position(is_same) {
            self.expired.remove(index);
        } else {
            return false;
        }
        self.opening.retain(|delivery| match delivery {
            Delivery::Completed(end) => end.channel.as_str() != channel,
            Delivery::Gap(gap) => gap.channel.as_str() != channel,
            _ => true,
        });
        self.position_last_opening_gap();
        true
    }

    pub(super) fn remove(&mut self, key: usize) {
        let subscription = self.subscriptions.remove(key);
        self.active.retain(|index| *index as usize != key);
        self.unfinished -= u32::from(subscription.named && !subscription.cursor.done);
        subscription.detach(&self.log, self.shard as usize);
    }

    /// A handle that can change or end the session from elsewhere.
    #[must_use]
    pub fn handle(&self) -> SessionHandle {
        self.note_progress();
        SessionHandle::new(Arc::clone(&self.signal), &self.log)
    }

    /// Appends what is ready, in order, to `out`: at least one delivery when it returns ready, but
    /// for a session that has ended. After [`Delivery::End`] it is always ready and adds nothing.
    pub fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        limits: BatchLimits,
        out: &mut Vec<Delivery>,
    ) -> Poll<()> {
        let before = out.len();
        let polled = self.poll_ready(cx, limits, out);
        self.note_progress();
        if out.len() > before {
            let began = self.log.position(self.began);
            for observer in self.log.observers().chain(&self.delivery_observer) {
                observer.delivered(&out[before..], began);
            }
        }
        polled
    }

    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        limits: BatchLimits,
        out: &mut Vec<Delivery>,
    ) -> Poll<()> {
        if self.ended {
            return Poll::Ready(());
        }
        let before = out.len();
        let mut budget = Budget::new(limits);
        loop {
            // The dispatched number first, then the marks: whoever is behind it is marked by now.
            let dispatched = if self.has_one_channel() {
                u64::MAX
            } else {
                self.log.dispatched(self.shard as usize)
            };
            if let Some(end) = self.take_marks(cx) {
                self.ended = true;
                out.push(Delivery::End(end));
                return Poll::Ready(());
            }
            let had_one_channel = dispatched == u64::MAX;
            self.make_changes(out);
            if had_one_channel && !self.has_one_channel() {
                // No bound was read for the channels that have joined.
                continue;
            }
            out.append(&mut self.opening);
            if self.node.is_some() {
                match self.poll_node(cx, out) {
                    Poll::Ready(None) => {}
                    Poll::Ready(Some(end)) => {
                        self.ended = true;
                        out.push(Delivery::End(end));
                        return Poll::Ready(());
                    }
                    Poll::Pending if out.len() > before => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            let waits = if self.has_one_channel() {
                self.read_single(&mut budget, out);
                None
            } else {
                self.read_merged(dispatched, &mut budget, out)
            };
            if self.is_completed() {
                self.ended = true;
                if !self.expired.is_empty() {
                    // Their ends have no place in the order any more. Nothing is left to come, so
                    // the reader may have the position past them, and is finished if it returns.
                    self.reached = self.log.committed();
                    self.position = self.reached;
                    out.push(Delivery::Position(self.log.position(self.position)));
                }
                out.push(Delivery::End(End::Completed));
            }
            if out.len() > before {
                return Poll::Ready(());
            }
            if budget.is_spent() {
                // All that was read is nobody's: others get their turn before it goes on.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.node.is_some() && (self.has_new_reads() || !self.knows_forks()) {
                continue;
            }
            match waits {
                Some(sequence)
                    if !self.log.shards[self.shard as usize].block(&self.signal, sequence) => {}
                _ => return Poll::Pending,
            }
        }
    }

    /// Whether the last batch was all that there was, and its poll's waker is woken when there is
    /// more: polling again in the same turn would be pending. Says nothing before the first poll,
    /// nor once the waker may have been woken.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        // Every channel is armed, in the critical section that found it read to its end, after the
        // waker was left.
        self.active.is_empty()
            && !self.ended
            && self.patterns.iter().all(|p| p.unknown_after.is_none())
    }

    /// At most one, now and later.
    fn has_one_channel(&self) -> bool {
        self.subscriptions.len() <= 1 && self.patterns.is_empty()
    }

    /// Every channel has told its end, and nobody may add another.
    fn is_completed(&self) -> bool {
        let has_channels = !(self.subscriptions.is_empty() && self.expired.is_empty());
        let has_channels = has_channels && self.patterns.is_empty();
        has_channels && self.unfinished == 0 && !self.stays_open && !self.ended
    }

    /// Takes the marks of dispatchers and leaves the waker; returns how to end, if so told.
    fn take_marks(&mut self, cx: &Context<'_>) -> Option<End> {
        let end = self.signal.take_marked(cx.waker(), &mut self.marked);
        for slot in self.marked.drain(..) {
            if let Some(subscription) = self.subscriptions.get_mut(slot.index as usize)
                && subscription.slot == slot
            {
                subscription.armed = None;
                self.active.push(slot.index);
            }
        }
        if self.patterns.is_empty() {
            return end;
        }
        end.or_else(|| self.take_announced())
    }

    pub(super) fn find(&self, channel: &str) -> Option<usize> {
        self.subscriptions
            .iter()
            .find(|(_, subscription)| {
                subscription.named && subscription.ring.name.as_str() == channel
            })
            .map(|(key, _)| key)
    }
}

impl Stream for Session {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if self.buffered.is_empty() {
            let mut batch = Vec::new();
            if self
                .poll_batch(cx, BatchLimits::default(), &mut batch)
                .is_pending()
            {
                return Poll::Pending;
            }
            self.buffered = batch.into();
        }
        Poll::Ready(self.buffered.pop_front())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.signal.close();
        if let Some(node) = &self.node {
            node.leave(&self.log, &self.signal);
        }
        for pattern in &self.patterns {
            self.log.leave_pattern(
                self.shard as usize,
                pattern.pattern.prefix(),
                pattern.generation,
            );
        }
        for subscription in self.subscriptions.drain() {
            subscription.detach(&self.log, self.shard as usize);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("position", &self.log.position(self.position))
            .field("channels", &self.channels())
            .finish_non_exhaustive()
    }
}
