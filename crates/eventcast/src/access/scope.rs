//! Which channels an action is allowed on.

use std::fmt;
use std::sync::Arc;

use eventcast_core::{ChannelName, ChannelPattern, ChannelSelector};

/// Channels, and patterns of channels, on which something is allowed.
///
/// A pattern is more than the channels it fits today: it brings those that are created later, and
/// tells their names. So a scope allows one only if it says so.
///
/// ```
/// use eventcast::{ChannelName, ChannelPattern, Scope};
///
/// let scope = Scope::of(["news".parse()?, "orders/ann/*".parse()?]);
/// assert!(scope.covers(&ChannelName::new("news")?));
/// assert!(scope.covers(&ChannelName::new("orders/ann/1")?));
/// assert!(!scope.covers(&ChannelName::new("orders/bob/1")?));
/// assert!(scope.covers_pattern(&ChannelPattern::new("orders/ann/*")?));
/// assert!(!scope.covers_pattern(&ChannelPattern::new("orders/*")?));
/// # Ok::<_, eventcast::NameError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Scope {
    channels: Option<Arc<ChannelFilter>>,
    patterns: Option<Arc<PatternFilter>>,
}

type PatternFilter = dyn Fn(&ChannelPattern) -> bool + Send + Sync;
type ChannelFilter = dyn Fn(&ChannelName) -> bool + Send + Sync;

impl Scope {
    /// Every channel whose name is known, and no pattern.
    pub fn every_channel() -> Self {
        Self {
            channels: None,
            patterns: None,
        }
    }

    /// Every channel and every pattern.
    pub fn everything() -> Self {
        Self::every_channel().with_patterns(|_| true)
    }

    /// These channels, and all that fit these patterns; and patterns that fit nothing else.
    pub fn of(selectors: impl IntoIterator<Item = ChannelSelector>) -> Self {
        let selectors: Arc<[ChannelSelector]> = selectors.into_iter().collect();
        let patterns = Arc::clone(&selectors);
        Self::channels(move |name| {
            selectors.iter().any(|selector| match selector {
                ChannelSelector::Channel(channel) => channel == name,
                ChannelSelector::Pattern(pattern) => pattern.matches(name),
            })
        })
        .with_patterns(move |asked| {
            patterns.iter().any(|selector| match selector {
                ChannelSelector::Channel(_) => false,
                ChannelSelector::Pattern(own) => asked.prefix().starts_with(own.prefix()),
            })
        })
    }

    /// The channels that `allowed` says yes to, and no pattern.
    pub fn channels(allowed: impl Fn(&ChannelName) -> bool + Send + Sync + 'static) -> Self {
        Self {
            channels: Some(Arc::new(allowed)),
            patterns: None,
        }
    }

    /// The same channels, and the patterns that `allowed` says yes to: all their channels, now and
    /// later.
    pub fn with_patterns(
        mut self,
        allowed: impl Fn(&ChannelPattern) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.patterns = Some(Arc::new(allowed));
        self
    }

    /// What is in both.
    pub fn and(self, other: Self) -> Self {
        let (channels, patterns) = (self.clone(), self);
        let others = other.clone();
        Self::channels(move |name| channels.covers(name) && other.covers(name)).with_patterns(
            move |pattern| patterns.covers_pattern(pattern) && others.covers_pattern(pattern),
        )
    }

    /// Whether it was made for every channel, and not narrowed since.
    pub(super) fn is_unbounded(&self) -> bool {
        self.channels.is_none()
    }

    /// Whether the channel is in it.
    #[must_use]
    pub fn covers(&self, channel: &ChannelName) -> bool {
        let allowed = self.channels.as_ref();
        allowed.is_none_or(|allowed| allowed(channel))
    }

    /// Whether the pattern is in it.
    #[must_use]
    pub fn covers_pattern(&self, pattern: &ChannelPattern) -> bool {
        let allowed = self.patterns.as_ref();
        allowed.is_some_and(|allowed| allowed(pattern))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("every_channel", &self.channels.is_none())
            .field("patterns", &self.patterns.is_some())
            .finish()
    }
}
