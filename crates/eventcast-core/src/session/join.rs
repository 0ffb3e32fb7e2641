//! Channels that join a session, at its opening or later.

use super::builder::Beginning;
use super::cursor::{Cursor, Origin};
use super::joining::Joining;
use super::options::{Start, SubscriptionOptions};
use super::reader::Session;
use super::subscription::Subscription;
use crate::delivery::{Completed, Delivery, Gap, GapReason};
use crate::error::SubscribeError;
use crate::history::{HistoryPage, HistoryQuery};
use crate::id::Position;
use crate::log::Refused;
use crate::name::{ChannelName, NameError};
use crate::ring::Completion;
use crate::selector::ChannelSelector;

/// How channels joined a live session; see [`Session::subscribe_with`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Joined {
    /// All channels and patterns of the session, now.
    pub channels: Vec<ChannelSelector>,
    /// Where they joined: they deliver what follows it. `None` while gaps of a resume that cannot
    /// be honoured are still to come.
    pub position: Option<Position>,
    /// For each channel, in the order named, what is retained between the start that was asked for
    /// and the position; empty when the start is [`Start::Live`], or the channel was in the
    /// session already.
    pub history: Vec<HistoryPage>,
}

/// A channel to attach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attach<'a> {
    pub(super) selector: &'a ChannelSelector,
    pub(super) options: &'a SubscriptionOptions,
    pub(super) origin: Origin,
    /// Why the start cannot be honoured, if so.
    pub(super) broken: Option<GapReason>,
}

impl Session {
    /// Adds channels, or [patterns](crate::ChannelPattern), to the running session, at its present
    /// position, which is returned: a channel delivers what follows it. All are added or none; a
    /// channel that is in the session already stays as it is, so asking again is safe.
    ///
    /// The first channels of a session that was opened without any begin where the session was
    /// told to resume.
    ///
    /// # Errors
    /// [`SubscribeError`] when a name is not valid or a limit is met.
    pub fn subscribe<N>(
        &mut self,
        channels: impl IntoIterator<Item = N>,
    ) -> Result<Option<Position>, SubscribeError>
    where
        N: TryInto<ChannelSelector, Error: Into<NameError>>,
    {
        let joined = self.subscribe_with(channels, &SubscriptionOptions::new())?;
        Ok(joined.position)
    }

    /// [`subscribe`](Self::subscribe) with options. A start other than [`Start::Live`] gives what
    /// is retained between it and the session's position, as one page for each channel, at most
    /// [`HistoryQuery::MAX_LIMIT`] events, all pages together with
    /// [`HistoryQuery::MAX_BYTES`] of payloads, about: a page is no part of the session's order,
    /// and where it is cut its `next` says where to ask for more. A pattern has no such page: it
    /// joins live, or is refused.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe). [`SubscribeError::NeedsAsync`] when a log outside this
    /// process would have to be asked: see
    /// [`subscribe_with_async`](Self::subscribe_with_async).
    pub fn subscribe_with<N>(
        &mut self,
        channels: impl IntoIterator<Item = N>,
        options: &SubscriptionOptions,
    ) -> Result<Joined, SubscribeError>
    where
        N: TryInto<ChannelSelector, Error: Into<NameError>>,
    {
        let selectors: Result<Vec<ChannelSelector>, NameError> = channels
            .into_iter()
            .map(|channel| channel.try_into().map_err(Into::into))
            .collect();
        self.join(Joining::new(selectors?, options.start)?, options)
    }

    /// [`subscribe_with`](Self::subscribe_with) for channels that were
    /// [prepared](Self::prepare): the start is the one that they were prepared with, whatever the
    /// options say.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe). [`SubscribeError::Unavailable`] when the log lost something
    /// after it was asked; a retry helps.
    pub fn join(
        &mut self,
        joining: Joining,
        options: &SubscriptionOptions,
    ) -> Result<Joined, SubscribeError> {
        self.settle();
        if joining.is_stale(&self.log)? {
            return Err(SubscribeError::Unavailable);
        }
        let Joining {
            channels: selectors,
            start,
            pages,
            asked: _asked,
            ..
        } = joining;
        let new: Vec<_> = selectors
            .iter()
            .map(|selector| self.find(selector.as_str()).is_none())
            .collect();
        let origin = match self.beginning {
            Beginning::Broken(GapReason::Epoch) => Origin::TrimMark,
            _ => Origin::Sequence(self.position),
        };
        self.attach(selectors.iter().map(|selector| Attach {
            selector,
            options,
            origin,
            broken: None,
        }))?;
        let query = HistoryQuery::oldest_first().one_of(selectors.len());
        let stored = pages.into_iter().chain(std::iter::repeat_with(|| None));
        let history = selectors
            .iter()
            .zip(new)
            .zip(stored)
            .map(|((selector, is_new), stored)| match stored {
                _ if !is_new || start == Start::Live => self.empty_page(),
                Some(stored) => self.end_page(selector, stored, query),
                None => self.page_in_memory(selector, start, query),
            })
            .collect();
        Ok(self.joined(history))
    }

    pub(super) fn joined(&self, history: Vec<HistoryPage>) -> Joined {
        Joined {
            channels: self.channels(),
            position: self.honoured_position(),
            history,
        }
    }

    pub(super) fn empty_page(&self) -> HistoryPage {
        HistoryPage::empty(self.log.position(self.position))
    }

    /// What a channel retains between a start and the position at which it joined.
    fn page_in_memory(
        &self,
        channel: &ChannelSelector,
        start: Start,
        query: HistoryQuery,
    ) -> HistoryPage {
        let until = self.position;
        let mut page = self.empty_page();
        if let Some(key) = self.find(channel.as_str()) {
            let (origin, broken) = self.log.origin(start, until);
            let state = self.subscriptions[key].ring.state.lock();
            let after = Cursor::new(&state, origin, &SubscriptionOptions::new());
            let range = (after.sequence, until);
            self.log.read_on(&state, range, query, &mut page);
            page.trimmed |= broken.is_some();
        }
        page
    }

    pub(super) fn attach<'a>(
        &mut self,
        channels: impl Iterator<Item = Attach<'a>>,
    ) -> Result<(), SubscribeError> {
        let mut added = Vec::new();
        self.subscriptions.reserve_exact(channels.size_hint().0);
        for channel in channels {
            match self.attach_one(&channel) {
                Ok(true) => added.push((channel.selector, channel.broken)),
                Ok(false) => {}
                Err(error) => {
                    for (selector, _) in added {
                        self.unsubscribe(selector.as_str());
                    }
                    return Err(error);
                }
            }
        }
        if added.is_empty() {
            return Ok(());
        }
        let reason = match self.beginning {
            Beginning::Broken(reason) => {
                self.beginning = Beginning::First;
                self.settle_start();
                Some(reason)
            }
            Beginning::Forked(_) => {
                self.beginning = Beginning::First;
                self.settle_start();
                Some(GapReason::Epoch)
            }
            Beginning::Resumed(_) => {
                self.beginning = Beginning::Continued;
                None
            }
            Beginning::Continued | Beginning::First => None,
        };
        self.announce_broken(reason, &added);
        Ok(())
    }

    /// `false` when it is in the session already.
    fn attach_one(&mut self, attach: &Attach<'_>) -> Result<bool, SubscribeError> {
        let Attach {
            selector,
            options,
            origin,
            ..
        } = *attach;
        let name = match selector {
            ChannelSelector::Channel(name) => name,
            ChannelSelector::Pattern(pattern) => {
                return self.attach_pattern(pattern, options, origin);
            }
        };
        if self.find(name.as_str()).is_some() || self.expired.contains(name) {
            return Ok(false);
        }
        if self.name_matched(name, options).is_some() {
            return Ok(true);
        }
        self.make_room()?;
        match Subscription::attach(&self.log, name, origin, options) {
            Ok((ring, cursor)) => {
                self.insert(ring, cursor, true);
            }
            Err(Refused::Completed(end)) => self.expire(name, &end, origin),
            Err(Refused::Full) => {
                return Err(SubscribeError::TooManyChannels {
                    limit: self.log.config.max_channels,
                });
            }
        }
        Ok(true)
    }

    /// Announces a channel of which only its end is remembered.
    fn expire(&mut self, name: &ChannelName, end: &Completion, origin: Origin) {
        self.expired.push(name.clone());
        let lost = match (self.beginning, origin) {
            (Beginning::Broken(reason), _) => Some(reason),
            (_, Origin::Sequence(sequence)) if sequence < end.sequence => Some(GapReason::Trimmed),
            _ => None,
        };
        if let Some(reason) = lost {
            self.finished = false;
            let gap = Gap::new(name, reason, None, None);
            self.opening.push(Delivery::Gap(gap));
        }
        self.opening.push(Delivery::Completed(Completed {
            channel: name.clone(),
            outcome: end.outcome.clone(),
            position: None,
        }));
    }

    /// Announces starts that cannot be honoured. Only the last gap carries a position: a reader
    /// that is cut before it comes back with the id it had, and is told of them all again.
    fn announce_broken(
        &mut self,
        resume: Option<GapReason>,
        added: &[(&ChannelSelector, Option<GapReason>)],
    ) {
        for (selector, broken) in added {
            let is_expired = self
                .expired
                .iter()
                .any(|name| name.as_str() == selector.as_str());
            // An expired channel has had its gap, before its end.
            if let Some(reason) = resume.or(*broken).filter(|_| !is_expired) {
                let gap = Gap::new(*selector, reason, None, None);
                self.opening.push(Delivery::Gap(gap));
            }
        }
        self.position_last_opening_gap();
    }

    pub(super) fn position_last_opening_gap(&mut self) {
        let gaps = self
            .opening
            .iter_mut()
            .filter_map(|delivery| match delivery {
                Delivery::Gap(gap) => Some(gap),
                _ => None,
            });
        let mut position = Some(self.log.position(self.position));
        for gap in gaps.rev() {
            gap.position = position.take();
        }
    }
}
