//! A session's patterns: the channels that fit come and go.
//!
//! A channel is attached while it has something to deliver or waits for more; see "Patterns" in
//! `docs/design.md` for why none is missed and none comes twice.

use std::collections::HashSet;
use std::sync::Arc;

use super::cold::Cold;
use super::cursor::{Cursor, Origin};
use super::options::{SlowPolicy, SubscriptionOptions};
use super::reader::Session;
use super::signal::{Announced, Slot};
use super::subscription::Subscription;
use crate::delivery::{Delivery, End, Gap, GapReason};
use crate::error::SubscribeError;
use crate::name::ChannelName;
use crate::ring::Ring;
use crate::selector::ChannelPattern;
use crate::waiting::Announcement;

#[derive(Debug)]
pub(super) struct PatternSubscription {
    pub(super) pattern: ChannelPattern,
    options: SubscriptionOptions,
    /// What lies up to here is none of its concern, but for what it attached at once.
    start: u64,
    /// Its generation in the shard's index.
    pub(super) generation: u64,
    /// Its place among the session's channels.
    pub(super) order: u32,
    /// Which channels fit and have something after this sequence is for the log outside to say.
    pub(super) unknown_after: Option<u64>,
}

impl Session {
    /// Adds a pattern and the channels that fit and have something for it. `false` when it is in
    /// the session already.
    pub(super) fn attach_pattern(
        &mut self,
        pattern: &ChannelPattern,
        options: &SubscriptionOptions,
        origin: Origin,
    ) -> Result<bool, SubscribeError> {
        if self.find_pattern(pattern.as_str()).is_some() {
            return Ok(false);
        }
        self.make_room()?;
        if self.node.is_some() && matches!(origin, Origin::Last(_) | Origin::Since(_)) {
            return Err(SubscribeError::PatternStart);
        }
        let origin = match origin {
            // Completed channels are not news.
            Origin::Live(sequence) => Origin::Sequence(sequence),
            other => other,
        };
        let start = match origin {
            Origin::Sequence(sequence) => sequence,
            _ => self.reached,
        };
        let index = &self.log.shards[self.shard as usize].patterns;
        // Before the look at what there is: what comes meanwhile is announced.
        let generation = index.register(pattern.prefix(), &self.signal);
        self.patterns.push(PatternSubscription {
            pattern: pattern.clone(),
            options: options.clone(),
            start,
            generation,
            order: self.generation,
            unknown_after: self.node.is_some().then_some(match origin {
                Origin::Sequence(sequence) => sequence,
                _ => 0,
            }),
        });
        self.generation = self.generation.wrapping_add(1);
        self.finished = false;
        if self.node.is_some() {
            return Ok(true);
        }
        match self.attach_matches(self.patterns.len() - 1, origin) {
            Ok(is_lost) => {
                if is_lost {
                    self.announce_lost(pattern.clone(), GapReason::Trimmed);
                }
                Ok(true)
            }
            Err(error) => {
                self.remove_pattern(self.patterns.len() - 1);
                Err(error)
            }
        }
    }

    pub(super) fn find_pattern(&self, pattern: &str) -> Option<usize> {
        let is_same = |other: &PatternSubscription| other.pattern.as_str() == pattern;
        self.patterns.iter().position(is_same)
    }

    /// Removes a pattern, and the channels that the session has by it alone.
    pub(super) fn remove_pattern(&mut self, index: usize) {
        let gone = self.patterns.remove(index);
        self.log
            .leave_pattern(self.shard as usize, gone.pattern.prefix(), gone.generation);
        let matched = self.subscriptions.iter().filter(|(_, s)| !s.named);
        let orphans: Vec<usize> = matched
            .filter(|(_, s)| self.covering(&s.ring.name).is_none())
            .map(|(key, _)| key)
            .collect();
        for key in orphans {
            self.remove(key);
        }
        if self.patterns.is_empty() {
            drop(self.signal.take_announced());
        }
    }

    /// Removes a channel that was named; one that a pattern fits stays for its sake.
    pub(super) fn remove_named(&mut self, key: usize) {
        let subscription = &self.subscriptions[key];
        let name = subscription.ring.name.clone();
        if subscription.cursor.done || self.covering(&name).is_none() {
            return self.remove(key);
        }
        let options = self.covering(&name).map(|p| p.options.clone());
        let subscription = &mut self.subscriptions[key];
        subscription.named = false;
        subscription
            .cursor
            .set_options(&options.unwrap_or_default());
        self.unfinished -= 1;
        let mut state = subscription.ring.state.lock();
        state.unsubscribe();
        state.attach_match();
    }

    /// Takes a channel that the session has by a pattern for one that it names; `None` when there
    /// is none, or it was forgotten.
    pub(super) fn name_matched(
        &mut self,
        name: &ChannelName,
        options: &SubscriptionOptions,
    ) -> Option<usize> {
        // A channel that was forgotten may still be attached beside the one that came after it.
        let is_it =
            |s: &Subscription| !s.named && s.ring.name == *name && !s.ring.state.lock().collected;
        let (key, subscription) = self.subscriptions.iter_mut().find(|(_, s)| is_it(s))?;
        let mut state = subscription.ring.state.lock();
        if state.collected {
            return None;
        }
        state.detach_match();
        state.subscribe();
        drop(state);
        subscription.named = true;
        subscription.cursor.set_options(options);
        self.selective |= subscription.cursor.is_selective();
        self.unfinished += u32::from(!subscription.cursor.done);
        Some(key)
    }

    /// Attaches the channels that were announced; returns how the session ends if they are too
    /// many.
    pub(super) fn take_announced(&mut self) -> Option<End> {
        match *self.signal.take_announced()? {
            Announced::Channels(channels) => {
                let mut known = self.attached();
                for (ring, announcement) in channels {
                    // Several patterns of the session may fit it.
                    if !known.insert(Arc::as_ptr(&ring)) {
                        continue;
                    }
                    let end = self.attach_announced(ring, announcement);
                    if end.is_some() {
                        return end;
                    }
                }
                None
            }
            Announced::TooMany => self.look_again(),
        }
    }

    /// Attaches a channel that the log outside has named.
    pub(super) fn attach_found(
        &mut self,
        index: usize,
        name: &ChannelName,
        after: u64,
    ) -> Result<(), SubscribeError> {
        let options = self.patterns[index].options.clone();
        let mine = |s: &Subscription| s.ring.name == *name;
        let known = self.subscriptions.iter().find(|(_, s)| mine(s));
        if known.is_some_and(|(_, s)| !s.ring.state.lock().collected) {
            return Ok(());
        }
        self.make_room()?;
        loop {
            let ring = self.log.find_or_create(name).map_err(|_| {
                let limit = self.log.config.max_channels;
                SubscribeError::TooManyChannels { limit }
            })?;
            let mut state = ring.state.lock();
            if state.collected {
                continue;
            }
            let cursor = Cursor::new(&state, Origin::Sequence(after), &options);
            state.attach_match();
            drop(state);
            let key = self.insert(ring, cursor, false);
            if after == 0 {
                self.subscriptions[key].cold = Some(Cold::from_trim_mark());
            }
            return Ok(());
        }
    }

    /// As a resume at what was read would do.
    fn look_again(&mut self) -> Option<End> {
        if self.node.is_some() {
            let reached = self.reached;
            for pattern in &mut self.patterns {
                let after = reached.max(pattern.start);
                let unknown = pattern.unknown_after.get_or_insert(after);
                *unknown = after.min(*unknown);
            }
            return None;
        }
        for index in 0..self.patterns.len() {
            let pattern = &self.patterns[index];
            let (slow, name) = (pattern.options.slow, pattern.pattern.clone());
            let origin = Origin::Sequence(self.reached.max(pattern.start));
            match self.attach_matches(index, origin) {
                Err(_) => return Some(End::TooManyChannels),
                Ok(true) if slow == SlowPolicy::Disconnect => return Some(End::Slow),
                Ok(true) => {
                    self.tell_reached();
                    self.announce_lost(name, GapReason::Slow);
                }
                Ok(false) => {}
            }
        }
        None
    }

    /// Attaches the channels that fit and have something after the origin. `true` when something
    /// may be lost with channels that were forgotten.
    fn attach_matches(&mut self, index: usize, origin: Origin) -> Result<bool, SubscribeError> {
        let is_below = |floor: crate::ring::Floor| match origin {
            Origin::Sequence(sequence) => sequence < floor.sequence,
            Origin::Since(time) => floor.sequence > 0 && floor.time >= time,
            _ => false,
        };
        let known = self.attached();
        let floor = self.log.floor();
        let pattern = &self.patterns[index];
        let (prefix, options) = (pattern.pattern.clone(), pattern.options.clone());
        let after = match origin {
            Origin::Sequence(sequence) => sequence,
            _ => 0,
        };
        for ring in self.log.matching(prefix.prefix(), after) {
            if known.contains(&Arc::as_ptr(&ring)) {
                continue;
            }
            let mut state = ring.state.lock();
            if state.collected || state.is_untouched() {
                continue;
            }
            let mut cursor = Cursor::new(&state, origin, &options);
            if is_below(floor) && state.trim_mark() <= floor.sequence {
                // The pattern's own gap covers what the channel has lost.
                cursor = cursor.at_least(&state, state.trim_mark());
            }
            if cursor.lower_bound(&state).is_none() {
                continue;
            }
            state.attach_match();
            drop(state);
            if let Err(error) = self.make_room() {
                ring.state.lock().detach_match();
                return Err(error);
            }
            self.insert(ring, cursor, false);
        }
        // Read once more: a channel that was forgotten meanwhile has raised it first.
        Ok(is_below(self.log.floor()))
    }

    fn attach_announced(&mut self, ring: Arc<Ring>, announcement: Announcement) -> Option<End> {
        let fitting = self.patterns.iter().enumerate();
        let fitting = fitting.filter(|(_, p)| p.pattern.matches(&ring.name));
        let unknown = fitting.filter_map(|(index, p)| Some((p.unknown_after?, index)));
        if let Some((after, index)) = unknown.min() {
            // What it had before the announcement is not known yet.
            let name = ring.name.clone();
            let is_full = self.attach_found(index, &name, after).is_err();
            return is_full.then_some(End::TooManyChannels);
        }
        let pattern = self.covering(&ring.name)?;
        let (start, options) = (pattern.start, pattern.options.clone());
        if self.make_room().is_err() {
            return Some(End::TooManyChannels);
        }
        let mut state = ring.state.lock();
        let cursor = Cursor::announced(&state, announcement, start, &options);
        state.attach_match();
        drop(state);
        self.insert(ring, cursor, false);
        None
    }

    /// Lets go of channels that have nothing: they are announced again when they have.
    fn let_go_of_idle(&mut self) {
        let matched = self.subscriptions.iter().filter(|(_, s)| !s.named);
        let armed: Vec<_> = matched.filter(|(_, s)| s.armed.is_some()).collect();
        let idle: Vec<usize> = armed
            .into_iter()
            .filter(|(_, subscription)| {
                let mut state = subscription.ring.state.lock();
                let is_idle = subscription.cursor.lower_bound(&state).is_none();
                if is_idle {
                    state.waiting.forget_announced(self.shard as usize);
                }
                is_idle
            })
            .map(|(key, _)| key)
            .collect();
        for key in idle {
            self.remove(key);
        }
    }

    fn announce_lost(&mut self, pattern: ChannelPattern, reason: GapReason) {
        let gap = Gap::new(pattern, reason, None, None);
        self.opening.push(Delivery::Gap(gap));
        self.position_last_opening_gap();
    }

    /// The pattern by which the session has a channel.
    fn covering(&self, channel: &ChannelName) -> Option<&PatternSubscription> {
        self.patterns.iter().find(|p| p.pattern.matches(channel))
    }

    fn attached(&self) -> HashSet<*const Ring> {
        let rings = self.subscriptions.iter();
        rings.map(|(_, s)| Arc::as_ptr(&s.ring)).collect()
    }

    /// Makes room for one more channel, at the cost of those that have nothing.
    pub(super) fn make_room(&mut self) -> Result<(), SubscribeError> {
        let limit = self.log.config.max_session_channels;
        if self.size() >= limit {
            self.let_go_of_idle();
        }
        if self.size() >= limit {
            return Err(SubscribeError::SessionFull { limit });
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.subscriptions.len() + self.expired.len() + self.patterns.len()
    }

    pub(super) fn insert(&mut self, ring: Arc<Ring>, cursor: Cursor, named: bool) -> usize {
        let slot = Slot {
            index: self.subscriptions.vacant_key() as u32,
            generation: self.generation,
        };
        self.generation = self.generation.wrapping_add(1);
        self.active.push(slot.index);
        self.selective |= cursor.is_selective();
        self.finished &= cursor.done;
        self.unfinished += u32::from(named && !cursor.done);
        self.subscriptions.insert(Subscription {
            ring,
            slot,
            armed: None,
            cursor,
            named,
            cold: None,
        })
    }
}
