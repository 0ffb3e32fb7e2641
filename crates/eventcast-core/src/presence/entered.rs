//! A member's hold on a channel.

use std::fmt;

use super::Presence;
use super::error::PresenceError;

use crate::event::Payload;
use crate::name::{ChannelName, MemberId};

/// One connection of a member that has entered a channel; see
/// [`Presence::enter`]. When it is dropped the member has the
/// [grace](crate::PresenceConfig::with_leave_grace) to enter again before he leaves.
#[must_use = "the member leaves when it is dropped"]
pub struct Entered {
    presence: Presence,
    channel: ChannelName,
    member: MemberId,
    slot: u64,
    at_once: bool,
}

impl Entered {
    pub(super) fn new(
        presence: Presence,
        channel: ChannelName,
        member: MemberId,
        slot: u64,
    ) -> Self {
        Self {
            presence,
            channel,
            member,
            slot,
            at_once: false,
        }
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// The member.
    #[must_use]
    pub fn member(&self) -> &MemberId {
        &self.member
    }

    /// Sets the member's state, over all his connections.
    ///
    /// # Errors
    /// [`PresenceError`]; the state is as before then.
    pub fn update(&self, state: impl Into<Option<Payload>>) -> Result<(), PresenceError> {
        let shared = self.presence.shared();
        let now = shared.clock.now();
        shared.state.lock().update(self.slot, state.into(), now)
    }

    /// Leaves now, without grace: the member said so.
    pub fn leave(mut self) {
        self.at_once = true;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let shared = self.presence.shared();
        shared.state.lock().leave(self.slot, self.at_once);
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered")
            .field("channel", &self.channel)
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}
