//! What a log outside the hub has of channels that are to join a live session.

use std::fmt;
use std::sync::Arc;

use super::join::Joined;
use super::open::all;
use super::options::{Start, SubscriptionOptions};
use super::reader::Session;
use crate::backplane::BackplaneError;
use crate::error::SubscribeError;
use crate::history::{HistoryPage, HistoryQuery};
use crate::log::Log;
use crate::name::ChannelName;
use crate::selector::ChannelSelector;

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
        let query = HistoryQuery::oldest_first().one_of(joining.channels.len());
        let read = |channel: &ChannelSelector| {
            let (log, channel) = (Arc::clone(&log), channel.clone());
            async move {
                match channel {
                    ChannelSelector::Channel(name) => log.start_page(&name, start, query).await,
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
            Some(_) if self.start == Start::Live => Ok(false),
            Some(_) if self.pages.len() < self.channels.len() => Err(SubscribeError::NeedsAsync),
            Some(remote) => Ok(remote.fork() != self.fork),
            None => Ok(false),
        }
    }
}

impl Log {
    /// A page of a channel that begins at a start; `None` when the channel cannot be had.
    async fn start_page(
        &self,
        name: &ChannelName,
        start: Start,
        query: HistoryQuery,
    ) -> Result<Option<StoredPage>, BackplaneError> {
        let (Some(remote), Ok(ring)) = (&self.remote, self.find_or_create(name)) else {
            return Ok(None);
        };
        self.activate(&ring).await?;
        let (origin, broken) = self.origin(start, self.committed());
        let after = self.find_start(&ring, origin).await?;
        let query = query.from(self.position(after));
        let mut page = self.stored_history(remote, name, query).await?;
        page.trimmed |= broken.is_some();
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
    /// [`SubscribeError::Unavailable`] when the log cannot be reached,
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
        Joining::read(Arc::clone(&self.log), channels, start)
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
            let known = end.min(self.log.committed());
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
