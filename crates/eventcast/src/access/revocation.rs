//! Taking back what was allowed.

use std::sync::Arc;

use eventcast_core::ChannelSelector;

use super::permissions::Permissions;

/// What [`EventService::revoke`](crate::EventService::revoke) takes back, and from whom: the
/// sessions to which all that was said applies.
///
/// ```
/// use eventcast::Revocation;
///
/// // Everything that Ann has open.
/// let ann = Revocation::of_principal("ann");
/// // What one of her tokens opened.
/// let stolen = Revocation::of_token("a1b2");
/// // Her place in one channel; from everybody, without `of_principal`.
/// let narrowed = Revocation::of_principal("ann").on("orders/*".parse()?);
/// # Ok::<_, eventcast::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Revocation {
    principal: Option<Arc<str>>,
    token: Option<Arc<str>>,
    channels: Vec<ChannelSelector>,
}

impl Revocation {
    /// From everybody, of this channel, or of all that fit a pattern. Who has them by a pattern of
    /// his own loses the pattern.
    pub fn of_channel(channel: ChannelSelector) -> Self {
        Self {
            principal: None,
            token: None,
            channels: vec![channel],
        }
    }

    /// From this principal.
    pub fn of_principal(principal: impl Into<Arc<str>>) -> Self {
        Self {
            principal: Some(principal.into()),
            token: None,
            channels: Vec::new(),
        }
    }

    /// From whoever came by the token of this id.
    pub fn of_token(id: impl Into<Arc<str>>) -> Self {
        Self {
            principal: None,
            token: Some(id.into()),
            channels: Vec::new(),
        }
    }

    /// Only of this channel, or these: sessions go on without them, where they would end.
    pub fn on(mut self, channel: ChannelSelector) -> Self {
        self.channels.push(channel);
        self
    }

    /// Whether it is meant.
    pub(crate) fn is_of(&self, permissions: &Permissions) -> bool {
        let is_named = |named: &Option<Arc<str>>, own: Option<&str>| {
            named.as_deref().is_none_or(|named| own == Some(named))
        };
        is_named(&self.principal, permissions.principal())
            && is_named(&self.token, permissions.token_id())
    }

    /// Whether sessions lose everything.
    pub(crate) fn is_whole(&self) -> bool {
        self.channels.is_empty()
    }

    pub(crate) fn takes(&self, selector: &ChannelSelector) -> bool {
        self.channels.iter().any(|taken| takes(taken, selector))
    }

    pub(super) fn channels(&self) -> &[ChannelSelector] {
        &self.channels
    }
}

/// Whether who loses the one cannot keep the other.
pub(super) fn takes(taken: &ChannelSelector, own: &ChannelSelector) -> bool {
    use ChannelSelector::{Channel, Pattern};
    match (taken, own) {
        (Channel(taken), Channel(own)) => taken == own,
        (Channel(channel), Pattern(pattern)) | (Pattern(pattern), Channel(channel)) => {
            pattern.matches(channel)
        }
        (Pattern(taken), Pattern(own)) => {
            taken.prefix().starts_with(own.prefix()) || own.prefix().starts_with(taken.prefix())
        }
    }
}
