//! Who may do what.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use eventcast_core::{ChannelName, ChannelPattern, ChannelSelector};
use http::request::Parts;

/// Decides what a connection may do, once, from its request: headers, cookies, query, and whatever
/// the server has put into its extensions.
///
/// A function from the request's parts to a result is an authorizer too:
/// ```
/// use eventcast::{Denied, EventService, Hub, Permissions, ServiceConfig};
/// use http::request::Parts;
///
/// fn authorize(request: &Parts) -> Result<Permissions, Denied> {
///     match request.headers.get("authorization") {
///         Some(token) if token == "Bearer secret" => Ok(Permissions::all()),
///         Some(_) => Err(Denied::Unauthorized),
///         None => Ok(Permissions::subscribe().only_channels(|name| name.as_str().starts_with("public/"))),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = EventService::new(Hub::new(), ServiceConfig::new().with_authorizer(authorize));
/// # }
/// ```
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// What the sender of this request may do.
    async fn authorize(&self, request: &Parts) -> Result<Permissions, Denied>;
}

#[async_trait]
impl<F> Authorizer for F
where
    F: Fn(&Parts) -> Result<Permissions, Denied> + Send + Sync + 'static,
{
    async fn authorize(&self, request: &Parts) -> Result<Permissions, Denied> {
        self(request)
    }
}

/// Everybody may subscribe to every channel, and nobody may publish over the network: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubscribeOnly;

#[async_trait]
impl Authorizer for SubscribeOnly {
    async fn authorize(&self, _request: &Parts) -> Result<Permissions, Denied> {
        Ok(Permissions::subscribe())
    }
}

/// What a connection may do.
#[derive(Clone)]
#[must_use]
pub struct Permissions {
    subscribe: bool,
    publish: bool,
    channels: Option<Arc<ChannelFilter>>,
    patterns: Option<Arc<PatternFilter>>,
    principal: Option<Arc<str>>,
}

type PatternFilter = dyn Fn(&ChannelPattern) -> bool + Send + Sync;
type ChannelFilter = dyn Fn(&ChannelName) -> bool + Send + Sync;

impl Permissions {
    /// Subscribe and publish, on every channel and pattern.
    pub fn all() -> Self {
        Self {
            subscribe: true,
            publish: true,
            channels: None,
            patterns: Some(Arc::new(|_| true)),
            principal: None,
        }
    }

    /// Subscribe, on every channel whose name is known, and so on no pattern.
    pub fn subscribe() -> Self {
        Self {
            publish: false,
            patterns: None,
            ..Self::all()
        }
    }

    /// Publish, on every channel.
    pub fn publish() -> Self {
        Self {
            subscribe: false,
            patterns: None,
            ..Self::all()
        }
    }

    /// The same on channels that `allowed` says yes to, and no others, nor on any pattern.
    pub fn only_channels(
        mut self,
        allowed: impl Fn(&ChannelName) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.channels = Some(Arc::new(allowed));
        self.patterns = None;
        self
    }

    /// The same, and subscribing to the patterns that `allowed` says yes to: to all their channels,
    /// now and later.
    pub fn with_patterns(
        mut self,
        allowed: impl Fn(&ChannelPattern) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.patterns = Some(Arc::new(allowed));
        self
    }

    /// The same, of somebody: a user's id, a token's subject. A session that somebody opened is
    /// changed and continued by the same one only; see `/sessions/{key}` in
    /// [`EventService`](crate::EventService). Without this its key is all it takes.
    pub fn with_principal(mut self, principal: impl Into<Arc<str>>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// Whose permissions these are, if that was said.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Whether subscribing to the channel is allowed.
    #[must_use]
    pub fn may_subscribe(&self, channel: &ChannelName) -> bool {
        self.subscribe && self.covers(channel)
    }

    /// Whether subscribing to all channels of the pattern is allowed.
    #[must_use]
    pub fn may_subscribe_pattern(&self, pattern: &ChannelPattern) -> bool {
        let allowed = self.patterns.as_ref();
        self.subscribe && allowed.is_some_and(|allowed| allowed(pattern))
    }

    pub(crate) fn may_select(&self, selector: &ChannelSelector) -> bool {
        match selector {
            ChannelSelector::Channel(channel) => self.may_subscribe(channel),
            ChannelSelector::Pattern(pattern) => self.may_subscribe_pattern(pattern),
        }
    }

    /// Whether publishing to the channel is allowed.
    #[must_use]
    pub fn may_publish(&self, channel: &ChannelName) -> bool {
        self.publish && self.covers(channel)
    }

    fn covers(&self, channel: &ChannelName) -> bool {
        self.channels
            .as_ref()
            .is_none_or(|allowed| allowed(channel))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permissions")
            .field("subscribe", &self.subscribe)
            .field("publish", &self.publish)
            .field("all_channels", &self.channels.is_none())
            .field("patterns", &self.patterns.is_some())
            .finish()
    }
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Known, and not allowed: 403.
    #[error("not allowed")]
    Forbidden,
    /// Not known: 401. Coming back with other credentials may help.
    #[error("credentials are missing or not valid")]
    Unauthorized,
}
