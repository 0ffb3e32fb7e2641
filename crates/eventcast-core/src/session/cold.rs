//! Reading from the log outside what memory no longer holds, or not yet.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::cursor::Cursor;
use super::merge::Budget;
use super::options::SlowPolicy;
use super::reader::Session;
use super::subscription::Subscription;
use crate::backplane::{BackplaneError, Body, Page, PageQuery};
use crate::delivery::{Completed, Conflated, Delivery, End, Gap, GapReason, Outcome};
use crate::log::Log;
use crate::name::Key;
use crate::ring::{Completion, Ring, RingState};
use crate::stored::{StoredEvent, Timestamp};

/// What a channel brings from the log, in place of its ring.
#[derive(Default)]
pub(crate) struct Cold {
    /// What was read and is not handed out yet.
    pub(super) page: Option<ReadPage>,
    reading: Option<Reading>,
    /// The last read failed.
    failed: bool,
    /// Something was read before: what is trimmed by now was there.
    pub(super) was_read: bool,
    /// It begins with whatever is retained: what was trimmed before is no loss.
    from_trim_mark: bool,
}

type Reading = Pin<Box<dyn Future<Output = Result<Option<ReadPage>, BackplaneError>> + Send>>;

pub(super) struct ReadPage {
    items: VecDeque<Item>,
    /// The page holds everything up to here.
    until: u64,
    /// The last sequence of the channel that the log no longer holds.
    trim_mark: u64,
    /// The newest event of each key.
    newest: HashMap<Key, u64>,
}

enum Item {
    Event(Arc<StoredEvent>),
    End(u64, Timestamp, Outcome),
}

impl Item {
    fn sequence(&self) -> u64 {
        match self {
            Self::Event(event) => event.sequence(),
            Self::End(sequence, ..) => *sequence,
        }
    }
}

impl Cold {
    /// Of a channel that begins with whatever is retained.
    pub(super) fn from_trim_mark() -> Box<Self> {
        Box::new(Self {
            from_trim_mark: true,
            ..Self::default()
        })
    }

    /// Whether nothing is known of what comes next.
    pub(super) fn needs_page(&self) -> bool {
        self.page.is_none()
    }
}

impl ReadPage {
    fn new(page: Page, after: u64, until: u64) -> Self {
        let mut newest = HashMap::new();
        let records = page.records.into_iter();
        let records = records.filter(|r| r.position.sequence() > after);
        let items: VecDeque<_> = records
            .map(|record| match record.body {
                Body::Completion(ref outcome) => {
                    Item::End(record.position.sequence(), record.time, outcome.clone())
                }
                Body::Event(event) => {
                    if let Some(key) = event.key() {
                        newest.insert(key.clone(), record.position.sequence());
                    }
                    let (position, time) = (record.position, record.time);
                    Item::Event(Arc::new(StoredEvent::new(
                        position,
                        time,
                        record.channel,
                        event,
                    )))
                }
            })
            .collect();
        let last = items.back().map(Item::sequence);
        Self {
            until: match last {
                Some(last) if !page.complete => last,
                _ => until,
            },
            items,
            trim_mark: page.trim_mark,
            newest,
        }
    }
}

impl Cursor {
    /// Whether what comes next has to be read from the log.
    pub(crate) fn is_cold(&self, state: &RingState) -> bool {
        state.is_backed() && !self.done && (state.is_partial() || self.sequence < state.trim_mark())
    }
}

impl Subscription {
    /// The lowest sequence that a cold channel may bring next.
    pub(super) fn cold_bound(&mut self) -> u64 {
        let after = self.cursor.sequence;
        let cold = self.cold.get_or_insert_default();
        match &cold.page {
            Some(page) if page.trim_mark.min(page.until) <= after => {
                page.items.front().map_or(after + 1, Item::sequence)
            }
            _ => after + 1,
        }
    }

    /// Goes on to the ring, or to the next page, once a page is read to its end.
    fn finish_page(&mut self, state: &RingState) {
        if let Some(cold) = &mut self.cold
            && let Some(page) = &cold.page
            && page.items.is_empty()
            && page.trim_mark.min(page.until) <= self.cursor.sequence
        {
            self.cursor.sequence = self.cursor.sequence.max(page.until);
            cold.page = None;
            if !self.cursor.is_cold(state) {
                self.cold = None;
                self.cursor.enter_ring(state);
            }
        }
    }
}

impl Session {
    /// Delivers from a page, up to the limit of the others; see `turn`. `None` when the session
    /// ends.
    pub(super) fn cold_turn(
        &mut self,
        index: u32,
        state: &mut RingState,
        (dispatched, next): (u64, u64),
        budget: &mut Budget,
        out: &mut Vec<Delivery>,
    ) -> Option<()> {
        let subscription = &mut self.subscriptions[index as usize];
        subscription.cold_bound();
        let cursor = &mut subscription.cursor;
        let Some(Cold {
            page: Some(page),
            was_read,
            from_trim_mark,
            ..
        }) = subscription.cold.as_deref_mut()
        else {
            return Some(());
        };
        let name = &subscription.ring.name;
        // What the ring holds is not lost, whatever the log still has.
        let trimmed = page.trim_mark.min(page.until);
        if std::mem::take(from_trim_mark) {
            cursor.sequence = cursor.sequence.max(trimmed);
        }
        if cursor.sequence < trimmed {
            let reason = match *was_read || cursor.was_in_ring() {
                true => GapReason::Slow,
                false => GapReason::Trimmed,
            };
            if reason == GapReason::Slow && cursor.slow == SlowPolicy::Disconnect {
                self.ended = true;
                out.push(Delivery::End(End::Slow));
                return None;
            }
            cursor.sequence = trimmed;
            self.reached = self.reached.max(trimmed.min(dispatched).min(next - 1));
            self.position = self.reached;
            let position = Some(self.log.position(self.position));
            out.push(Delivery::Gap(Gap::new(name, reason, None, position)));
            budget.spend(0);
        }
        *was_read = true;
        let mut conflated = 0;
        while !budget.is_spent()
            && let Some(item) = page.items.front()
            && item.sequence() <= dispatched.min(next)
        {
            let sequence = item.sequence();
            let Some(item) = page.items.pop_front() else {
                break;
            };
            if sequence <= cursor.sequence {
                continue;
            }
            cursor.sequence = sequence;
            match item {
                Item::Event(event) if !cursor.takes(&event) => {
                    self.reached = sequence;
                    budget.skip();
                }
                Item::Event(event)
                    if cursor.slow == SlowPolicy::Conflate
                        && (state.is_superseded(&event) || is_superseded(&page.newest, &event)) =>
                {
                    conflated += 1;
                    self.reached = sequence;
                    budget.skip();
                }
                Item::Event(event) => {
                    tell_conflated(&mut conflated, name, out);
                    self.reached = sequence;
                    self.position = sequence;
                    budget.spend(event.payload().len());
                    out.push(Delivery::Event(event));
                }
                Item::End(sequence, time, outcome) => {
                    tell_conflated(&mut conflated, name, out);
                    cursor.done = true;
                    self.reached = self.reached.max(sequence);
                    self.position = self.reached;
                    self.unfinished -= u32::from(subscription.named);
                    budget.spend(0);
                    if state.completion().is_none() {
                        state.complete(Completion {
                            sequence,
                            time,
                            outcome: outcome.clone(),
                        });
                    }
                    out.push(Delivery::Completed(Completed {
                        channel: name.clone(),
                        outcome,
                        position: Some(self.log.position(self.position)),
                    }));
                    page.items.clear();
                }
            }
        }
        tell_conflated(&mut conflated, name, out);
        if cursor.done {
            subscription.cold = None;
        }
        subscription.finish_page(state);
        Some(())
    }

    /// Starts the page reads that the merge waits for, and polls those that run.
    pub(super) fn poll_pages(&mut self, cx: &mut Context<'_>) {
        let mut running = 0;
        let waiting = self.active.iter();
        let cold_channels = waiting
            .filter(|index| self.subscriptions[**index as usize].cold.is_some())
            .count();
        let share = cold_channels.max(1);
        let limit = (PAGE_RECORDS / share).max(4);
        let bytes = PageQuery::share_of_bytes(share);
        let mut failed = 0;
        for index in &self.active {
            let subscription = &mut self.subscriptions[*index as usize];
            let Some(cold) = subscription.cold.as_deref_mut() else {
                continue;
            };
            while cold.needs_page() && running < READS_AT_ONCE {
                let after = subscription.cursor.sequence;
                let (log, ring) = (&self.log, &subscription.ring);
                let reading = cold.reading.get_or_insert_with(|| {
                    let retry = cold.failed;
                    let most = (limit, bytes);
                    Box::pin(read(Arc::clone(log), Arc::clone(ring), after, most, retry))
                });
                match reading.as_mut().poll(cx) {
                    Poll::Pending => {
                        running += 1;
                        break;
                    }
                    Poll::Ready(Ok(Some(page))) => {
                        cold.reading = None;
                        cold.failed = false;
                        cold.page = Some(page);
                    }
                    Poll::Ready(Ok(None)) => {
                        // The ring has all of it.
                        let state = subscription.ring.state.lock();
                        cold.reading = None;
                        if !subscription.cursor.is_cold(&state) {
                            subscription.cursor.enter_ring(&state);
                            subscription.cold = None;
                            break;
                        }
                    }
                    Poll::Ready(Err(_)) => {
                        cold.reading = None;
                        cold.failed = true;
                    }
                }
            }
            failed += usize::from(subscription.cold.as_ref().is_some_and(|c| c.failed));
            if let Some(subscription) = self.subscriptions.get_mut(*index as usize)
                && subscription
                    .cold
                    .as_ref()
                    .is_some_and(|cold| cold.page.is_some())
            {
                let ring = Arc::clone(&subscription.ring);
                subscription.finish_page(&ring.state.lock());
            }
        }
        if let Some(node) = &mut self.node {
            node.failing = failed > 0;
        }
    }

    /// Whether a read is to be started that was not known of before the merge.
    pub(super) fn has_new_reads(&self) -> bool {
        let cold = self.active.iter().filter_map(|index| {
            let subscription = self.subscriptions.get(*index as usize)?;
            subscription.cold.as_ref()
        });
        let (mut running, mut new) = (0, 0);
        for cold in cold.filter(|cold| cold.needs_page()) {
            match cold.reading {
                Some(_) => running += 1,
                None => new += 1,
            }
        }
        new > 0 && running < READS_AT_ONCE
    }
}

/// Reads the next page of a channel; `None` when its ring has become whole and reaches down to it.
async fn read(
    log: Arc<Log>,
    ring: Arc<Ring>,
    after: u64,
    (limit, bytes): (usize, usize),
    retry: bool,
) -> Result<Option<ReadPage>, BackplaneError> {
    if retry && let Some(remote) = &log.remote {
        remote.until_retry().await;
    }
    log.activate(&ring).await?;
    // Up to where the ring begins; beyond the committed number the log may not be read through.
    let until = {
        let state = ring.state.lock();
        state.trim_mark().min(log.committed())
    };
    if after >= until {
        return Ok(None);
    }
    let query = PageQuery {
        after,
        until,
        limit,
        bytes,
        backwards: false,
    };
    let page = log.page(&ring.name, query).await?;
    Ok(Some(ReadPage::new(page, after, until)))
}

fn is_superseded(newest: &HashMap<Key, u64>, event: &StoredEvent) -> bool {
    let newest = event.key().and_then(|key| newest.get(key));
    newest.is_some_and(|newest| *newest > event.sequence())
}

fn tell_conflated(count: &mut u64, channel: &crate::ChannelName, out: &mut Vec<Delivery>) {
    if *count > 0 {
        let (channel, count) = (channel.clone(), std::mem::take(count));
        out.push(Delivery::Conflated(Conflated { channel, count }));
    }
}

/// So many channels of a session are read at once.
const READS_AT_ONCE: usize = 8;
/// So many records of all its channels together, about, are asked for, with
/// [`PageQuery::MAX_BYTES`] of payloads.
const PAGE_RECORDS: usize = 128;

impl std::fmt::Debug for Cold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cold")
            .field("needs_page", &self.needs_page())
            .finish_non_exhaustive()
    }
}
