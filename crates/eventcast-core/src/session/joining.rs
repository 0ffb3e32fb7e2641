//! What a log outside the hub has of channels that are to join a live session.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::join::Joined;
use super::open::all;
use super::options::{Start, SubscriptionOptions};
use super::reader::Session;
use crate::backplane::BackplaneError;
use crate::error::SubscribeError;
use crate::history::{HistoryPage, HistoryQuery};
use crate::log::{Log, Refused};
use crate::name::ChannelName;
use crate::selector::ChannelSelector;
use crate::sync::{AtomicUsize, Ordering};

/// Channels that are to join a live session, with what the hub's log has of them; see
/// [`Session::prepare`].
#[must_use = "the channels join by `Session::join`"]
pub struct Joining {
    pub(super) channels: Vec<ChannelSelector>,
    pub(super) start: Start,
    /// Of each channel that a log outside was asked about, in their order.
    pub(super) pages: Vec<Option<StoredPage>>,
    /// How many forks of the log the pages know of.
    fork: u64,
    pub(super) asked: Option<Asked>,
}

/// Channels that were made only to ask about them: they go with who asked, unless somebody has them
/// by then.
pub(super) struct Asked {
    log: Arc<Log>,
    channels: Vec<ChannelSelector>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        for channel in &self.channels {
            if let ChannelSelector::Channel(name) = channel {
                self.log.forget_untouched(name);
            }
        }
    }
}

/// A channel's page, from a log outside.
pub(super) struct StoredPage {
    page: HistoryPage,
    /// What follows this is not in the page, whenever it came.
    until: u64,
}

impl Joining {
    pub(super) fn new(
        channels: Vec<ChannelSelector>,
        start: Start,
    ) -> Result<Self, SubscribeError> {
        let is_pattern = |channel| matches!(channel, &ChannelSelector::Pattern(_));
        if start != Start::Live && channels.iter().any(is_pattern) {
            return Err(SubscribeError::PatternStart);
        }
        Ok(Self {
            channels,
            start,
            pages: Vec::new(),
            fork: 0,
            asked: None,
        })
    }

    /// Asks a log outside, unless nothing has to be asked.
    pub(super) async fn read(
        log: Arc<Log>,
        channels: Vec<ChannelSelector>,
        start: Start,
    ) -> Result<Self, SubscribeError> {
        let mut joining = Self::new(channels, start)?;
        let Some(remote) = log.remote.as_ref().filter(|_| start != Start::Live) else {
            return Ok(joining);
        };
        if remote.is_stalled() {
            return Err(SubscribeError::Unavailable);
        }
        // All of them would be asked about, and then refused.
        let limit = log.config.max_session_channels;
        if joining.channels.len() > limit {
            return Err(SubscribeError::SessionFull { limit });
        }
        joining.fork = remote.fork();
        joining.asked = Some(Asked {
            log: Arc::clone(&log),
            channels: joining.channels.clone(),
        });
        let query = HistoryQuery::oldest_first().one_of(joining.channels.len());
        let room = Arc::new(AtomicUsize::new(HistoryQuery::MAX_BYTES));
        let read = |channel: &ChannelSelector| {
            let (log, channel, room) = (Arc::clone(&log), channel.clone(), Arc::clone(&room));
            async move {
                match channel {
                    ChannelSelector::Channel(name) => {
                        log.start_page(&name, start, query, &room).await
                    }
                    ChannelSelector::Pattern(_) => Ok(None),
                }
            }
        };
        let pages = all(joining.channels.iter().map(read).collect()).await;
        joining.pages = pages.map_err(|_| SubscribeError::Unavailable)?;
        Ok(joining)
    }

    /// What was read is no longer what the log has, or was never read.
    pub(super) fn is_stale(&self, log: &Log) -> Result<bool, SubscribeError> {
        match &log.remote {
            Some(_) if self.start == Start::Live || self.channels.is_empty() => Ok(false),
            Some(_) if self.pages.len() < self.channels.len() => Err(SubscribeError::NeedsAsync),
            Some(remote) => Ok(remote.fork() != self.fork),
            None => Ok(false),
        }
    }
}

impl Log {
    /// A page of a channel that begins at a start; `None` when the channel is completed and forgotten.
    /// Once the pages before it have taken all `room`, it is empty and says where to go on.
    async fn start_page(
        &self,
        name: &ChannelName,
        start: Start,
        query: HistoryQuery,
        room: &AtomicUsize,
    ) -> Result<Option<StoredPage>, BackplaneError> {
        let Some(remote) = &self.remote else {
            return Ok(None);
        };
        let ring = match self.find_or_create(name) {
            Ok(ring) => ring,
            Err(Refused::Completed(_)) => return Ok(None),
            Err(Refused::Full) => return Err(BackplaneError::new("too many channels")),
        };
        self.activate(&ring).await?;
        let (origin, broken) = self.origin(start, self.committed());
        let after = self.find_start(&ring, origin).await?;
        if room.load(Ordering::Relaxed) == 0 {
            let mut page = HistoryPage::empty(self.position(self.committed()));
            page.next = Some(self.position(after));
            page.trimmed = broken.is_some();
            return Ok(Some(StoredPage { page, until: after }));
        }
        let query = query.from(self.position(after));
        let mut page = self.stored_history(remote, name, query).await?;
        page.trimmed |= broken.is_some();
        let size: usize = page.events.iter().map(|event| event.payload().len()).sum();
        let take = |left: usize| Some(left.saturating_sub(size));
        let _ = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let until = page.position.sequence().max(after);
        Ok(Some(StoredPage { page, until }))
    }
}

impl Session {
    /// Asks the hub's log what channels have since a start, for [`join`](Self::join). The session is
    /// not borrowed meanwhile, and goes on. There is nothing to ask when the start is
    /// [`Start::Live`], or the log is the hub's own memory.
    ///
    /// # Errors
    /// [`SubscribeError::Unavailable`] when the log cannot be reached, or the hub has no room for a
    /// channel,
    /// [`SubscribeError::SessionFull`] for more channels than a session may have, and
    /// [`SubscribeError::PatternStart`].
    ///
    /// # Cancel safety
    /// A dropped future has changed nothing: who does not want to wait for as long as the log takes
    /// drops it.
    pub fn prepare(
        &self,
        channels: Vec<ChannelSelector>,
        start: Start,
    ) -> impl Future<Output = Result<Joining, SubscribeError>> + Send + use<> {
        let limit = self.log.config.max_session_channels;
        let is_full = start != Start::Live && {
            let named = self.subscriptions.iter().filter(|(_, s)| s.named).count();
            let names = channels.iter().map(ChannelSelector::as_str);
            let new: HashSet<_> = names.filter(|name| self.find(name).is_none()).collect();
            named + new.len() > limit
        };
        let log = Arc::clone(&self.log);
        async move {
            // All of them would be asked about, and then refused.
            if is_full {
                return Err(SubscribeError::SessionFull { limit });
            }
            Joining::read(log, channels, start).await
        }
    }

    /// [`subscribe_with`](Self::subscribe_with) for hubs whose log is outside this process, which is
    /// asked for the pages first, and for others.
    ///
    /// ```
    /// use eventcast_core::{ChannelSelector, Event, Hub, HubConfig, Start, SubscriptionOptions};
    /// use eventcast_testkit::MemoryLog;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::open(HubConfig::new(), MemoryLog::new().node()).await?;
    /// hub.publish("sport", Event::text("before")).await?;
    ///
    /// let mut session = hub.subscribe_async("news").await?;
    /// let sport: ChannelSelector = "sport".parse()?;
    /// let options = SubscriptionOptions::new().with_start(Start::Earliest);
    /// let joined = session.subscribe_with_async(vec![sport], &options).await?;
    /// assert_eq!(joined.history[0].events.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`subscribe_with`](Self::subscribe_with), and [`SubscribeError::Unavailable`].
    ///
    /// # Cancel safety
    /// A dropped future has changed nothing.
    pub async fn subscribe_with_async(
        &mut self,
        channels: Vec<ChannelSelector>,
        options: &SubscriptionOptions,
    ) -> Result<Joined, SubscribeError> {
        let joining = self.prepare(channels, options.start).await?;
        self.join(joining, options)
    }

    /// Has a stored page end where the session is: without what came after that, and with what came
    /// between.
    pub(super) fn end_page(
        &self,
        channel: &ChannelSelector,
        stored: StoredPage,
        query: HistoryQuery,
    ) -> HistoryPage {
        let Some(key) = self.find(channel.as_str()) else {
            return self.empty_page();
        };
        let StoredPage { mut page, until } = stored;
        let end = self.position;
        page.position = self.log.position(end);
        let within = page.events.partition_point(|event| event.sequence() <= end);
        if within < page.events.len() {
            page.events.truncate(within);
            page.next = None;
        } else if page.next.is_none() && until < end {
            // A session that has resumed may be past what this node was given.
            let known = end.min(self.log.committed()).max(until);
            let state = self.subscriptions[key].ring.state.lock();
            if state.is_partial() || until < state.trim_mark() {
                page.next = Some(self.log.position(until));
            } else {
                self.log.read_on(&state, (until, known), query, &mut page);
                let rest = (known < end).then(|| self.log.position(known));
                page.next = page.next.or(rest);
            }
        }
        page
    }
}

impl fmt::Debug for Joining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joining")
            .field("channels", &self.channels)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}
