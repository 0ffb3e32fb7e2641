//! What somebody may do.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use eventcast_core::{ChannelName, ChannelPattern, ChannelSelector};
use tokio::time::Instant;

use super::revocation::{Revocation, takes};
use super::scope::Scope;

/// What a client may be allowed, each on channels of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Looking at the service itself: its figures, its sessions.
    Administer,
    /// Reading pages of what a channel retains.
    History,
    /// Seeing who is on a channel, and being seen.
    Presence,
    /// Publishing.
    Publish,
    /// Subscribing, which includes replay.
    Subscribe,
}

/// What a client may do, who it is, and until when.
///
/// ```
/// use std::time::Duration;
/// use eventcast::{Action, Permissions, Scope};
///
/// let permissions = Permissions::none()
///     .allow(Action::Subscribe, Scope::of(["news".parse()?, "orders/ann/*".parse()?]))
///     .allow(Action::Publish, Scope::channels(|name| name.as_str() == "chat"))
///     .with_principal("ann")
///     .with_lifetime(Duration::from_secs(900));
/// # Ok::<_, eventcast::NameError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Permissions(Arc<Granted>);

#[derive(Clone, Default)]
struct Granted {
    /// By the action's number.
    allowed: [Option<Scope>; ACTIONS],
    principal: Option<Arc<str>>,
    token: Option<Arc<str>>,
    expires: Option<Instant>,
    /// What was taken back of channels.
    taken: Vec<ChannelSelector>,
}

const ACTIONS: usize = 5;

impl Permissions {
    /// Nothing.
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// Everything but to administer, on every channel and pattern.
    pub fn all() -> Self {
        let clients = [
            Action::History,
            Action::Presence,
            Action::Publish,
            Action::Subscribe,
        ];
        let allow = |all: Self, action| all.allow(action, Scope::everything());
        clients.into_iter().fold(Self::none(), allow)
    }

    /// Subscribe, and read what is retained, on every channel whose name is known, and so on no
    /// pattern.
    pub fn subscribe() -> Self {
        // Most clients have these, and all of them share one copy.
        static SHARED: LazyLock<Permissions> = LazyLock::new(|| {
            Permissions::none()
                .allow(Action::Subscribe, Scope::every_channel())
                .allow(Action::History, Scope::every_channel())
        });
        SHARED.clone()
    }

    /// Publish, on every channel.
    pub fn publish() -> Self {
        Self::none().allow(Action::Publish, Scope::every_channel())
    }

    /// The same, and this on these channels; what the action was allowed on before is replaced.
    pub fn allow(self, action: Action, scope: Scope) -> Self {
        self.change(|granted| granted.allowed[action as usize] = Some(scope))
    }

    /// The same on channels that `allowed` says yes to, and no others, nor on any pattern.
    pub fn only_channels(
        self,
        allowed: impl Fn(&ChannelName) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.only(&Scope::channels(allowed))
    }

    /// The same where `scope` covers the channel or pattern, too.
    pub fn only(self, scope: &Scope) -> Self {
        self.change(|granted| {
            for allowed in granted.allowed.iter_mut().flatten() {
                *allowed = allowed.clone().and(scope.clone());
            }
        })
    }

    /// The same, and subscribing to the patterns that `allowed` says yes to: to all their channels,
    /// now and later.
    pub fn with_patterns(
        self,
        allowed: impl Fn(&ChannelPattern) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.change(|granted| {
            let scope = &mut granted.allowed[Action::Subscribe as usize];
            *scope = scope.take().map(|scope| scope.with_patterns(allowed));
        })
    }

    /// The same, of somebody: a user's id, a token's subject. A session that somebody opened is
    /// changed and continued by the same one only; see `/sessions/{key}` in
    /// [`EventService`](crate::EventService). Without this its key is all it takes.
    pub fn with_principal(self, principal: impl Into<Arc<str>>) -> Self {
        self.change(|granted| granted.principal = Some(principal.into()))
    }

    /// The same, by a token of this id, by which it can be [revoked](crate::Revocation): not the
    /// token itself.
    pub fn with_token_id(self, id: impl Into<Arc<str>>) -> Self {
        self.change(|granted| granted.token = Some(id.into()))
    }

    /// The same, for so long from now. Sessions end then, as
    /// [`End::Expired`](crate::End::Expired), unless their client has refreshed its credentials.
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        let expires = Instant::now() + lifetime.min(LONGEST);
        self.change(|granted| granted.expires = Some(expires))
    }

    /// Whose permissions these are, if that was said.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        self.0.principal.as_deref()
    }

    /// The id of the token that gave them, if that was said.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.0.token.as_deref()
    }

    /// Whether the action is allowed on the channel.
    #[must_use]
    pub fn may(&self, action: Action, channel: &ChannelName) -> bool {
        let scope = self.scope(action);
        scope.is_some_and(|scope| scope.covers(channel))
            && !self.has_lost(|| ChannelSelector::Channel(channel.clone()))
    }

    /// Whether the action is allowed on some channel.
    #[must_use]
    pub fn may_somewhere(&self, action: Action) -> bool {
        self.scope(action).is_some()
    }

    /// Whether the action is allowed without a bound: on every channel.
    pub(crate) fn may_everywhere(&self, action: Action) -> bool {
        let scope = self.scope(action);
        self.0.taken.is_empty() && scope.is_some_and(Scope::is_unbounded)
    }

    /// Whether subscribing to the channel is allowed.
    #[must_use]
    pub fn may_subscribe(&self, channel: &ChannelName) -> bool {
        self.may(Action::Subscribe, channel)
    }

    /// Whether subscribing to all channels of the pattern is allowed.
    #[must_use]
    pub fn may_subscribe_pattern(&self, pattern: &ChannelPattern) -> bool {
        self.may_pattern(Action::Subscribe, pattern)
    }

    fn may_pattern(&self, action: Action, pattern: &ChannelPattern) -> bool {
        let scope = self.scope(action);
        scope.is_some_and(|scope| scope.covers_pattern(pattern))
            && !self.has_lost(|| ChannelSelector::Pattern(pattern.clone()))
    }

    /// Whether publishing to the channel is allowed.
    #[must_use]
    pub fn may_publish(&self, channel: &ChannelName) -> bool {
        self.may(Action::Publish, channel)
    }

    pub(crate) fn may_select(&self, selector: &ChannelSelector) -> bool {
        self.may_do(Action::Subscribe, selector)
    }

    pub(crate) fn may_do(&self, action: Action, selector: &ChannelSelector) -> bool {
        match selector {
            ChannelSelector::Channel(channel) => self.may(action, channel),
            ChannelSelector::Pattern(pattern) => self.may_pattern(action, pattern),
        }
    }

    pub(crate) fn expires(&self) -> Option<Instant> {
        self.0.expires
    }

    pub(crate) fn shared_principal(&self) -> Option<&Arc<str>> {
        self.0.principal.as_ref()
    }

    /// Takes channels back; `false` when more were than are remembered.
    pub(super) fn take(&mut self, revocation: &Revocation) -> bool {
        let granted = Arc::make_mut(&mut self.0);
        for channel in revocation.channels() {
            if !granted.taken.contains(channel) {
                granted.taken.push(channel.clone());
            }
        }
        granted.taken.len() <= MAX_TAKEN
    }

    fn has_lost(&self, selector: impl FnOnce() -> ChannelSelector) -> bool {
        let taken = &self.0.taken;
        if taken.is_empty() {
            return false;
        }
        let selector = selector();
        taken.iter().any(|taken| takes(taken, &selector))
    }

    fn scope(&self, action: Action) -> Option<&Scope> {
        self.0.allowed[action as usize].as_ref()
    }

    fn change(mut self, change: impl FnOnce(&mut Granted)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// Without a principal or a token's id: those are nobody's who reads logs.
impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permissions")
            .field("subscribe", &self.scope(Action::Subscribe))
            .field("publish", &self.scope(Action::Publish))
            .field("history", &self.scope(Action::History))
            .field("presence", &self.scope(Action::Presence))
            .field("administer", &self.scope(Action::Administer))
            .field("expires", &self.0.expires.is_some())
            .finish_non_exhaustive()
    }
}

/// More than this, and it is simpler to begin anew.
const MAX_TAKEN: usize = 1_000;
/// What an instant can be moved on by without overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
