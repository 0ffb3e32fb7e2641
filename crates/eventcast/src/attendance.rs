//! Who a connection is on its channels: what it has entered, until it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventcast_core::{
    ChannelName, ChannelSelector, Entered, Member, MemberId, Payload, Presence, PresenceError,
};

use crate::access::{Action, Current, Permissions};
use crate::config::ServiceConfig;
use crate::problem::Problem;
use crate::query::{PresenceMode, Query};

/// The channels that a connection has entered. It leaves them when this is dropped, after the hub's
/// grace: a client that comes back in time never left.
pub(crate) struct Attendance {
    presence: Presence,
    member: MemberId,
    permissions: Current,
    /// Whether channels that the session takes up later are entered.
    follows: bool,
    entered: Mutex<HashMap<ChannelName, Entered>>,
}

/// As whom somebody enters: as who he is, or, where the service allows that, as he says.
pub(crate) fn member_of(
    config: &ServiceConfig,
    permissions: &Permissions,
    named: Option<&str>,
) -> Result<MemberId, Problem> {
    let id = match (permissions.principal(), named) {
        (Some(principal), _) => principal,
        (None, Some(name)) if config.named_members => name,
        (None, _) => {
            return Err(Problem::new(
                http::StatusCode::FORBIDDEN,
                "presence is of those whose credentials say who they are",
            ));
        }
    };
    Ok(MemberId::new(id)?)
}

/// Whether a subscription may be told who joins and leaves, of every channel it names.
pub(crate) fn may_watch(permissions: &Permissions, channels: &[ChannelSelector]) -> bool {
    channels
        .iter()
        .all(|c| permissions.may_do(Action::Presence, c))
}

impl Attendance {
    pub(crate) fn new(
        presence: Presence,
        member: MemberId,
        permissions: Current,
        follows: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            presence,
            member,
            permissions,
            follows,
            entered: Mutex::default(),
        })
    }

    /// That of a connection whose request asks to enter the session's channels.
    pub(crate) fn of_query(
        presence: Presence,
        config: &ServiceConfig,
        permissions: &Current,
        query: &Query,
        follows: bool,
    ) -> Result<Option<Arc<Self>>, Problem> {
        if query.presence != Some(PresenceMode::Enter) {
            return Ok(None);
        }
        let member = member_of(config, &permissions.get(), query.member.as_deref())?;
        let own = Self::new(presence, member, permissions.clone(), follows);
        own.enter(&query.channels, query.state.as_ref())?;
        Ok(Some(own))
    }

    /// Enters the channels that are no patterns, as far as that is allowed: all or none. Where it
    /// is already it sets the state, if there is one.
    pub(crate) fn enter(
        &self,
        channels: &[ChannelSelector],
        state: Option<&Payload>,
    ) -> Result<(), PresenceError> {
        let permissions = self.permissions.get();
        let mut entered = self.entered();
        let mut new = Vec::new();
        for selector in channels {
            let ChannelSelector::Channel(channel) = selector else {
                continue;
            };
            if !permissions.may(Action::Presence, channel) {
                continue;
            }
            if let Some(guard) = entered.get(channel) {
                if let Some(state) = state {
                    guard.update(state.clone())?;
                }
                continue;
            }
            let mut member = Member::from(self.member.clone());
            if let Some(state) = state {
                member = member.with_state(state.clone());
            }
            new.push(self.presence.enter(channel, member)?);
        }
        entered.extend(
            new.into_iter()
                .map(|guard| (guard.channel().clone(), guard)),
        );
        Ok(())
    }

    /// Leaves channels, which the client has said.
    pub(crate) fn leave(&self, channels: &[ChannelSelector]) {
        let mut entered = self.entered();
        for selector in channels {
            if let ChannelSelector::Channel(channel) = selector
                && let Some(guard) = entered.remove(channel)
            {
                guard.leave();
            }
        }
    }

    /// The session carries these channels now.
    pub(crate) fn follow(&self, channels: &[ChannelSelector]) {
        let mut entered = self.entered();
        let carries = |channel: &ChannelName| {
            let mut carried = channels.iter();
            carried.any(|c| matches!(c, ChannelSelector::Channel(name) if name == channel))
        };
        let gone = entered.extract_if(|channel, _| !carries(channel));
        gone.for_each(|(_, guard)| guard.leave());
        drop(entered);
        if self.follows {
            // One that is full goes without: who is on it, its client can ask.
            for channel in channels {
                let _ = self.enter(std::slice::from_ref(channel), None);
            }
        }
    }

    /// Sets the member's state on a channel; `None` when it has not entered that.
    pub(crate) fn update(
        &self,
        channel: &ChannelName,
        state: Option<Payload>,
    ) -> Option<Result<(), PresenceError>> {
        let entered = self.entered();
        entered.get(channel).map(|guard| guard.update(state))
    }

    fn entered(&self) -> MutexGuard<'_, HashMap<ChannelName, Entered>> {
        self.entered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
