//! Who is there: members as they enter, as they are listed, and how many.

use std::fmt;

use crate::event::{Payload, PayloadKind};
use crate::name::{MemberId, NameError};
use crate::stored::Timestamp;

use super::error::PresenceError;

/// Somebody who enters a channel: an id that the application gives, such as a user's, and a state
/// that the others see.
///
/// ```
/// use eventcast_core::{Member, Payload};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ann = Member::new("ann")?.with_state(Payload::text("away"));
/// assert_eq!(ann.id().as_str(), "ann");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Member {
    pub(super) id: MemberId,
    pub(super) state: Option<Payload>,
}

impl Member {
    /// A member without a state of its own: it has the state that its other connections have.
    ///
    /// # Errors
    /// [`NameError`] when the id breaks the rules of [`MemberId`].
    pub fn new(id: impl TryInto<MemberId, Error: Into<NameError>>) -> Result<Self, NameError> {
        Ok(Self {
            id: id.try_into().map_err(Into::into)?,
            state: None,
        })
    }

    /// The same member with a state, text or JSON.
    pub fn with_state(mut self, state: Payload) -> Self {
        self.state = Some(state);
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &MemberId {
        &self.id
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> Option<&Payload> {
        self.state.as_ref()
    }
}

impl From<MemberId> for Member {
    fn from(id: MemberId) -> Self {
        Self { id, state: None }
    }
}

/// A member that is on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Present {
    /// Its id.
    pub id: MemberId,
    /// The state that was set last, over whichever of its connections.
    pub state: Option<Payload>,
    /// How many connections it has; none while it may yet come back.
    pub connections: usize,
    /// Since when it is there.
    pub since: Timestamp,
}

/// How many are on a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Occupancy {
    /// Members, each once however many connections it has.
    pub members: usize,
    /// Connections of members.
    pub connections: usize,
}

/// Which members to list; see [`Presence::members`](crate::Presence::members).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct PresenceQuery {
    pub(super) after: Option<MemberId>,
    pub(super) limit: usize,
}

impl PresenceQuery {
    /// The most members of a page.
    pub const MAX_LIMIT: usize = 1_000;

    /// The first 100, in the order of their ids.
    pub fn new() -> Self {
        Self {
            after: None,
            limit: 100,
        }
    }

    /// Those after this id: the `next` of the page before.
    pub fn after(mut self, id: MemberId) -> Self {
        self.after = Some(id);
        self
    }

    /// At most so many, from 1 to [`MAX_LIMIT`](Self::MAX_LIMIT). A page is also at most about a
    /// mebibyte of states.
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit.clamp(1, Self::MAX_LIMIT);
        self
    }

    /// After which id.
    #[must_use]
    pub fn position(&self) -> Option<&MemberId> {
        self.after.as_ref()
    }

    /// At most how many.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl Default for PresenceQuery {
    fn default() -> Self {
        Self::new()
    }
}

/// Some members of a channel; see [`Presence::members`](crate::Presence::members).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresencePage {
    /// In the order of their ids.
    pub members: Vec<Present>,
    /// Where the next page begins, if there is one: for [`PresenceQuery::after`].
    pub next: Option<MemberId>,
    /// How many there are in all.
    pub occupancy: Occupancy,
    /// The revision of the last event that told changes of this channel; 0 for none.
    pub revision: u64,
    /// The node that counts these revisions.
    pub node: NodeId,
}

/// A node, for as long as its hub lives: another each time it starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a state may be one.
pub(super) fn check_state(state: &Payload, limit: usize) -> Result<(), PresenceError> {
    if state.kind() == PayloadKind::Binary {
        return Err(PresenceError::Binary);
    }
    let size = state.len();
    if size > limit {
        return Err(PresenceError::StateTooLarge { size, limit });
    }
    Ok(())
}
