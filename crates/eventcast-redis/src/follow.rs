//! The task that keeps a hub up to date: connects, reads what was missed, then follows.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{BackplaneError, Epoch, PageQuery, Record, Sink};
use futures_util::{StreamExt, stream};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::link::Link;
use crate::queue::Push;
use crate::read;
use crate::shared::Shared;
use crate::wire::{self, Notice};

/// How many channels are read at once after an outage.
const READERS: usize = 16;
/// How many changed channels are read after an outage; a hub that missed more reads pages.
const MAX_CHANNELS: usize = 4096;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What gives a hub's sink all records, in order.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    sink: Arc<dyn Sink>,
    /// The newest epoch that the sink knows.
    epoch: Epoch,
    /// The last sequence that the sink was given, or told of.
    seen: u64,
}

impl Follower {
    pub(crate) fn new(shared: Arc<Shared>, sink: Arc<dyn Sink>, link: &Link) -> Self {
        shared.given.send_replace(link.until);
        Self {
            shared,
            sink,
            epoch: link.epoch,
            seen: link.until,
        }
    }

    /// Runs until it is aborted.
    pub(crate) async fn run(mut self, link: Arc<Link>) {
        let mut next = Some(link);
        let mut stalled = false;
        let mut pause = FIRST_PAUSE;
        loop {
            let ready = match next.take() {
                Some(link) => Ok(link),
                None => Link::establish(&self.shared).await,
            };
            let resumed = match ready {
                Ok(link) => self.resume(&link).await.map(|()| link),
                Err(error) => Err(error),
            };
            if let Ok(link) = resumed {
                pause = FIRST_PAUSE;
                // Who is told that the log is back can use it.
                self.shared.link.send_replace(Some(Arc::clone(&link)));
                if stalled {
                    self.sink.recovered();
                }
                // Whatever ended it: the next connection finds out what is true.
                let _ = self.serve(&link).await;
                self.shared.link.send_replace(None);
                self.sink.stalled();
                stalled = true;
            } else {
                if !stalled {
                    self.sink.stalled();
                    stalled = true;
                }
                // Nodes that lost the server together come back apart.
                let share = (Epoch::random().bits() % 1024) as u32;
                sleep(pause / 2 + pause / 2048 * share).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Gives what was missed, and the epochs that were started, each in its place.
    async fn resume(&mut self, link: &Link) -> Result<(), BackplaneError> {
        let segments = &link.segments;
        let known = segments.iter().position(|s| s.epoch == self.epoch);
        // Nothing of a log that is not the hub's comes before its newest epoch.
        let foreign = segments.len().saturating_sub(1);
        for index in known.map_or(foreign, |known| known + 1)..segments.len() {
            let first = segments[index].first;
            if known.is_some() {
                let before = first.saturating_sub(1).min(link.until);
                self.catch_up(link, before).await?;
            }
            self.epoch = segments[index].epoch;
            self.seen = self.seen.max(first.saturating_sub(1));
            self.sink.forked(wire::lineage(&segments[..=index]));
        }
        self.catch_up(link, link.until).await
    }

    /// Hands on what is pushed until the connections fail or the log goes on under another epoch.
    async fn serve(&mut self, link: &Arc<Link>) -> Result<(), BackplaneError> {
        let shared = Arc::clone(&self.shared);
        let mut ticks = interval(shared.config.ping_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ping = None;
        loop {
            tokio::select! {
                more = link.queue.ready() => {
                    if !more {
                        return Err(BackplaneError::new("the server closed the connection"));
                    }
                    self.drain(link).await?;
                }
                () = link.failed() => return Err(BackplaneError::new("the connection failed")),
                _ = ticks.tick(), if ping.is_none() => {
                    let answer = timeout(shared.config.silence, link.ping(&shared));
                    ping = Some(Box::pin(answer));
                }
                answer = async {
                    match ping.as_mut() {
                        Some(ping) => ping.await,
                        None => std::future::pending().await,
                    }
                } => {
                    ping = None;
                    let silent = |_| BackplaneError::new("the server does not answer");
                    let head = answer.map_err(silent)??;
                    // What was pushed before the answer is in the queue.
                    self.drain(link).await?;
                    self.catch_up(link, head).await?;
                }
            }
        }
    }

    async fn drain(&mut self, link: &Link) -> Result<(), BackplaneError> {
        let before = self.seen;
        for push in link.queue.take() {
            match push {
                Push::Message(bytes) => {
                    if bytes.len() >= 16 && bytes[..16] != self.shared.node {
                        self.sink.message(bytes.slice(16..));
                    }
                }
                Push::Records(bytes) => match wire::notice(&bytes) {
                    Some(notice) => self.take(link, notice).await?,
                    // If it stood for records, the next number or ping tells that they are missing.
                    None => continue,
                },
            }
        }
        if self.seen > before {
            self.shared.given.send_replace(self.seen);
        }
        Ok(())
    }

    async fn take(&mut self, link: &Link, notice: Notice) -> Result<(), BackplaneError> {
        let (epoch, first, time, channel, bodies) = match notice {
            Notice::Forked(epoch) if epoch == link.epoch => return Ok(()),
            Notice::Forked(_) => return Err(BackplaneError::new("another node started an epoch")),
            Notice::Records {
                epoch,
                first,
                time,
                channel,
                bodies,
            } => (epoch, first, time, channel, bodies),
        };
        if epoch != link.epoch {
            return Err(BackplaneError::new("another node started an epoch"));
        }
        if first > self.seen + 1 {
            // All records are announced here, so that a hole is something that did not come.
            self.catch_up(link, first - 1).await?;
        }
        let after = self.seen;
        let last = first + bodies.len() as u64 - 1;
        let sequences = first..=last;
        self.shared.saw(last, time.as_millis());
        for (sequence, body) in sequences.zip(bodies).filter(|(s, _)| *s > after) {
            let position = eventcast_core::Position::new(epoch, sequence);
            self.seen = sequence;
            self.sink.record(Record {
                position,
                time,
                channel: channel.clone(),
                body,
            });
        }
        Ok(())
    }

    /// Gives everything up to a sequence, or says that it has to be read in pages.
    async fn catch_up(&mut self, link: &Link, until: u64) -> Result<(), BackplaneError> {
        if until <= self.seen {
            return Ok(());
        }
        match self.missed(link, until).await? {
            Some(records) => {
                for record in records {
                    let sequence = record.position.sequence();
                    self.shared.saw(sequence, record.time.as_millis());
                    self.sink.record(record);
                }
                self.sink.watermark(until);
            }
            None => self.sink.skipped(until),
        }
        self.seen = until;
        self.shared.saw(until, 0);
        self.shared.given.send_replace(until);
        Ok(())
    }

    /// The records that the sink was not given, in order; `None` when they are too many, or some of
    /// them are gone or not readable.
    async fn missed(&self, link: &Link, until: u64) -> Result<Option<Vec<Record>>, BackplaneError> {
        let (shared, seen) = (&*self.shared, self.seen);
        let channels = read::channels(shared, link, "", seen, MAX_CHANNELS + 1).await?;
        if channels.len() > MAX_CHANNELS {
            return Ok(None);
        }
        let mut missed = Vec::new();
        let mut bytes = 0;
        let mut after: Vec<_> = channels
            .into_iter()
            .map(|channel| (channel, seen))
            .collect();
        while !after.is_empty() {
            let pages = after.drain(..).map(|(channel, after)| async move {
                let query = PageQuery {
                    after,
                    until,
                    limit: 256,
                    bytes: PageQuery::MAX_BYTES,
                    backwards: false,
                };
                let page = read::page(shared, link, &channel, query).await;
                (channel, page)
            });
            let mut pages = stream::iter(pages).buffer_unordered(READERS);
            let mut rest = Vec::new();
            while let Some((channel, page)) = pages.next().await {
                let page = page?;
                bytes += page.records.iter().map(size).sum::<usize>();
                if page.trim_mark > seen
                    || missed.len() + page.records.len() > shared.config.queue_count
                    || bytes > shared.config.queue_bytes
                {
                    return Ok(None);
                }
                if let Some(last) = page.records.last()
                    && !page.complete
                {
                    rest.push((channel, last.position.sequence()));
                }
                missed.extend(page.records);
            }
            drop(pages);
            after = rest;
        }
        missed.sort_unstable_by_key(|record| record.position.sequence());
        Ok(self.is_whole(link, &missed, until).then_some(missed))
    }

    /// Whether nothing is missing: numbers follow each other but where an epoch starts.
    fn is_whole(&self, link: &Link, records: &[Record], until: u64) -> bool {
        let mut next = self.seen + 1;
        let starts = |next: u64, first: u64| {
            let mut pairs = link.segments.windows(2);
            pairs.any(|pair| pair[1].first == first && pair[0].last.is_some_and(|l| l < next))
        };
        for sequence in records.iter().map(|record| record.position.sequence()) {
            if sequence != next && !starts(next, sequence) {
                return false;
            }
            next = sequence + 1;
        }
        next == until + 1 || starts(next, until + 1)
    }
}

fn size(record: &Record) -> usize {
    match &record.body {
        eventcast_core::Body::Event(event) => event.payload().len() + 256,
        eventcast_core::Body::Completion(_) => 256,
    }
}
