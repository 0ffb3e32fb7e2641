//! What a subscriber names: one channel, or all whose names fit a pattern.

use std::fmt;
use std::sync::Arc;

use crate::name::{ChannelName, NameError, check};

/// All channels whose names begin alike, those included that do not exist yet: a prefix and `*`.
/// The prefix may be empty, and is taken as it is: `orders/*` fits `orders/1` and `orders/eu/2`,
/// not `orders`.
///
/// ```
/// use eventcast_core::{ChannelName, ChannelPattern};
///
/// # fn main() -> Result<(), eventcast_core::NameError> {
/// let orders = ChannelPattern::new("orders/*")?;
/// assert!(orders.matches(&ChannelName::new("orders/eu/2")?));
/// assert!(!orders.matches(&ChannelName::new("orders")?));
/// assert!(ChannelPattern::new("*/eu").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelPattern(Arc<str>);

impl ChannelPattern {
    /// Checks and takes a pattern: at most [`ChannelName::MAX_LEN`] bytes, no control characters,
    /// one `*`, at its end.
    ///
    /// # Errors
    /// [`NameError`] tells which rule the pattern breaks.
    pub fn new(pattern: &str) -> Result<Self, NameError> {
        check(pattern, ChannelName::MAX_LEN)?;
        match pattern.strip_suffix('*') {
            Some(prefix) if !prefix.contains('*') => Ok(Self(pattern.into())),
            _ => Err(NameError::Pattern),
        }
    }

    /// The pattern, with its `*`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the names of its channels begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0[..self.0.len() - 1]
    }

    /// Whether a channel is one of its.
    #[must_use]
    pub fn matches(&self, channel: &ChannelName) -> bool {
        channel.as_str().starts_with(self.prefix())
    }
}

/// What a subscription is for: a channel, or, where the text ends in `*`, a pattern.
///
/// ```
/// use eventcast_core::ChannelSelector;
///
/// # fn main() -> Result<(), eventcast_core::NameError> {
/// assert!(matches!("news".parse()?, ChannelSelector::Channel(_)));
/// assert!(matches!("news/*".parse()?, ChannelSelector::Pattern(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ChannelSelector {
    /// The channel of this name.
    Channel(ChannelName),
    /// All channels that fit.
    Pattern(ChannelPattern),
}

impl ChannelSelector {
    /// The channel's name, or the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Channel(name) => name.as_str(),
            Self::Pattern(pattern) => pattern.as_str(),
        }
    }
}

impl std::str::FromStr for ChannelSelector {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains('*') {
            ChannelPattern::new(text).map(Self::Pattern)
        } else {
            ChannelName::new(text).map(Self::Channel)
        }
    }
}

impl TryFrom<&str> for ChannelSelector {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        text.parse()
    }
}

impl TryFrom<String> for ChannelSelector {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ChannelName> for ChannelSelector {
    fn from(name: ChannelName) -> Self {
        Self::Channel(name)
    }
}

impl From<&ChannelName> for ChannelSelector {
    fn from(name: &ChannelName) -> Self {
        Self::Channel(name.clone())
    }
}

impl From<ChannelPattern> for ChannelSelector {
    fn from(pattern: ChannelPattern) -> Self {
        Self::Pattern(pattern)
    }
}

impl From<&Self> for ChannelSelector {
    fn from(selector: &Self) -> Self {
        selector.clone()
    }
}

impl fmt::Display for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for ChannelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ChannelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        assert_eq!(ChannelPattern::new("a"), Err(NameError::Pattern));
        assert_eq!(ChannelPattern::new("a*b"), Err(NameError::Pattern));
        assert_eq!(ChannelPattern::new("a**"), Err(NameError::Pattern));
        assert_eq!(ChannelPattern::new(""), Err(NameError::Empty));
        assert_eq!(ChannelPattern::new("\n*"), Err(NameError::Control));
        assert_eq!(ChannelPattern::new("*").unwrap().prefix(), "");
        assert!("a*b".parse::<ChannelSelector>().is_err());
    }
}
