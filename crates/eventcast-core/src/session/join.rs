//! Channels that join a session, at its opening or later.

use super::builder::Beginning;
use super::cursor::Origin;
use super::options::{Start, SubscriptionOptions};
use super::reader::Session;
use super::signal::Slot;
use super::subscription::Subscription;
use crate::delivery::{Completed, Delivery, Gap, GapReason};
use crate::error::SubscribeError;
use crate::history::HistoryPage;
use crate::id::Position;
use crate::log::Refused;
use crate::name::{ChannelName, NameError};
use crate::ring::Completion;

/// How channels joined a live session; see [`Session::subscribe_with`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Joined {
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
    pub(super) name: &'a ChannelName,
    pub(super) options: &'a SubscriptionOptions,
    pub(super) origin: Origin,
    /// Why the start cannot be honoured, if so.
    pub(super) broken: Option<GapReason>,
}

impl Session {
    /// Adds channels to the running session, at its present position, which is returned: a channel
    /// delivers what follows it. All are added or none; a channel that is in the session already
    /// stays as it is, so asking again is safe.
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
        N: TryInto<ChannelName, Error: Into<NameError>>,
    {
        let joined = self.subscribe_with(channels, &SubscriptionOptions::new())?;
        Ok(joined.position)
    }

    /// [`subscribe`](Self::subscribe) with options. A start other than [`Start::Live`] gives what
    /// is retained between it and the session's position, as one page for each channel, at most
    /// [`HistoryQuery::MAX_LIMIT`](crate::HistoryQuery::MAX_LIMIT) events: the page is no part of
    /// the session's order, and where it is cut its `next` says where to ask for more.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_with<N>(
        &mut self,
        channels: impl IntoIterator<Item = N>,
        options: &SubscriptionOptions,
    ) -> Result<Joined, SubscribeError>
    where
        N: TryInto<ChannelName, Error: Into<NameError>>,
    {
        self.settle();
        let names: Result<Vec<ChannelName>, NameError> = channels
            .into_iter()
            .map(|channel| channel.try_into().map_err(Into::into))
            .collect();
        let names = names?;
        let new: Vec<_> = names
            .iter()
            .map(|name| self.find(name.as_str()).is_none())
            .collect();
        let origin = match self.beginning {
            Beginning::Broken(GapReason::Epoch) => Origin::TrimMark,
            _ => Origin::Sequence(self.position),
        };
        self.attach(names.iter().map(|name| Attach {
            name,
            options,
            origin,
            broken: None,
        }))?;
        let history = names
            .iter()
            .zip(new)
            .map(|(name, is_new)| self.history_page(name, is_new, options.start))
            .collect();
        Ok(Joined {
            position: self.honoured_position(),
            history,
        })
    }

    /// What a channel retains between a start and the position at which it joined.
    fn history_page(&self, name: &ChannelName, is_new: bool, start: Start) -> HistoryPage {
        let until = self.position;
        let subscription = self.find(name.as_str()).filter(|_| is_new);
        let mut page = HistoryPage::empty(self.log.position(until));
        if let Some(key) = subscription
            && start != Start::Live
        {
            let (origin, broken) = self.log.origin(start, until);
            let state = self.subscriptions[key].ring.state.lock();
            let after = super::cursor::Cursor::new(&state, origin, &SubscriptionOptions::new());
            self.log.read_on(
                &state,
                (after.sequence, until),
                crate::HistoryQuery::MAX_LIMIT,
                &mut page,
            );
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
            if let Err(error) = self.attach_one(channel, &mut added) {
                for (key, _) in added {
                    self.remove(key);
                }
                return Err(error);
            }
        }
        if added.is_empty() {
            return Ok(());
        }
        let reason = match std::mem::replace(&mut self.beginning, Beginning::First) {
            Beginning::Broken(reason) => {
                self.settle_start();
                Some(reason)
            }
            Beginning::First | Beginning::Resumed(_) => None,
        };
        self.announce_broken(reason, &added);
        Ok(())
    }

    fn attach_one(
        &mut self,
        channel: Attach<'_>,
        added: &mut Vec<(usize, Option<GapReason>)>,
    ) -> Result<(), SubscribeError> {
        if self.find(channel.name.as_str()).is_some() {
            return Ok(());
        }
        let limit = self.log.config.max_session_channels;
        if self.subscriptions.len() + self.expired.len() >= limit {
            return Err(SubscribeError::SessionFull { limit });
        }
        let entry = self.subscriptions.vacant_entry();
        let slot = Slot {
            index: entry.key() as u32,
            generation: self.generation,
        };
        let Attach {
            name,
            options,
            origin,
            broken,
        } = channel;
        match Subscription::attach(&self.log, name, slot, origin, options) {
            Ok(subscription) => {
                added.push((entry.key(), broken));
                self.active.push(slot.index);
                self.selective |= subscription.cursor.is_selective();
                if !subscription.cursor.done {
                    self.unfinished += 1;
                    self.finished = false;
                }
                self.generation = self.generation.wrapping_add(1);
                entry.insert(subscription);
                Ok(())
            }
            Err(Refused::Completed(end)) => {
                self.expire(name, &end, origin);
                Ok(())
            }
            Err(Refused::Full) => Err(SubscribeError::TooManyChannels {
                limit: self.log.config.max_channels,
            }),
        }
    }

    /// Announces a channel of which only its end is remembered.
    fn expire(&mut self, name: &ChannelName, end: &Completion, origin: Origin) {
        if self.expired.contains(name) {
            return;
        }
        self.expired.push(name.clone());
        let lost = match (self.beginning, origin) {
            (Beginning::Broken(reason), _) => Some(reason),
            (_, Origin::Sequence(sequence)) if sequence < end.sequence => Some(GapReason::Trimmed),
            _ => None,
        };
        if let Some(reason) = lost {
            self.finished = false;
            let gap = Gap::new(name.clone(), reason, None, None);
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
    fn announce_broken(&mut self, resume: Option<GapReason>, added: &[(usize, Option<GapReason>)]) {
        for (key, broken) in added {
            if let Some(reason) = resume.or(*broken) {
                let channel = self.subscriptions[*key].ring.name.clone();
                self.opening
                    .push(Delivery::Gap(Gap::new(channel, reason, None, None)));
            }
        }
        self.position_last_opening_gap();
    }

    pub(super) fn position_last_opening_gap(&mut self) {
        let position = self.log.position(self.position);
        let last = self
            .opening
            .iter_mut()
            .rev()
            .find_map(|delivery| match delivery {
                Delivery::Gap(gap) => Some(gap),
                _ => None,
            });
        if let Some(last) = last {
            last.position = Some(position);
        }
    }
}
