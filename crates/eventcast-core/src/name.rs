//! Names of channels and events.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A channel's name: 1 to [`ChannelName::MAX_LEN`] bytes of UTF-8, no control characters, no `*`
/// (kept for patterns). Cheap to clone.
///
/// ```
/// use eventcast_core::ChannelName;
///
/// assert!(ChannelName::new("orders/eu").is_ok());
/// assert!(ChannelName::new("").is_err());
/// assert!(ChannelName::new("two\nlines").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 200;

    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`NameError`] tells which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check(name, Self::MAX_LEN)?;
        if name.contains('*') {
            return Err(NameError::Wildcard);
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event's name (its type): 1 to [`EventName::MAX_LEN`] bytes of UTF-8, no control characters,
/// not in the reserved namespace `eventcast.`.
///
/// A browser's `EventSource` dispatches an event to the listener of this name; `open` and `error`
/// are names that `EventSource` fires itself, so clients cannot tell those apart by name alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventName(Arc<str>);

impl EventName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 100;
    /// Names that start so are the protocol's own.
    pub const RESERVED_PREFIX: &'static str = "eventcast.";
    /// The name of the ephemeral events that tell who joins and leaves a channel; see
    /// [`Presence`](crate::Presence).
    pub const PRESENCE: &'static str = "eventcast.presence";

    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`NameError`] tells which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check(name, Self::MAX_LEN)?;
        if name.starts_with(Self::RESERVED_PREFIX) {
            return Err(NameError::Reserved);
        }
        Ok(Self(name.into()))
    }

    /// [`PRESENCE`](Self::PRESENCE), which nobody can give an event from outside.
    #[must_use]
    pub fn presence() -> Self {
        Self(Self::PRESENCE.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key that a publisher gives an event: 1 to [`Key::MAX_LEN`] bytes of UTF-8, no control
/// characters. It is never sent to subscribers.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Checks and takes a key.
    ///
    /// # Errors
    /// [`NameError`] tells which rule the key breaks.
    pub fn new(key: &str) -> Result<Self, NameError> {
        check(key, Self::MAX_LEN)?;
        Ok(Self(key.into()))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who is on a channel, as the application knows him: 1 to [`MemberId::MAX_LEN`] bytes of UTF-8, no
/// control characters. Whoever may read a channel's presence sees it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(Arc<str>);

impl MemberId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Checks and takes an id.
    ///
    /// # Errors
    /// [`NameError`] tells which rule the id breaks.
    pub fn new(id: &str) -> Result<Self, NameError> {
        check(id, Self::MAX_LEN)?;
        Ok(Self(id.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a channel's, an event's or a member's name, or a key, is refused. The caller is at fault; a retry is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It holds a control character (U+0000 to U+001F, U+007F to U+009F).
    #[error("the name holds a control character")]
    Control,
    /// It has no characters.
    #[error("the name is empty")]
    Empty,
    /// It starts with [`EventName::RESERVED_PREFIX`].
    #[error("event names that start with `eventcast.` are reserved")]
    Reserved,
    /// It is longer than allowed.
    #[error("the name is longer than {limit} bytes")]
    TooLong {
        /// The longest allowed, in bytes.
        limit: usize,
    },
    /// It is no pattern: a prefix and one `*` at the end.
    #[error("a pattern has one `*`, at its end")]
    Pattern,
    /// It holds a `*`.
    #[error("the name holds `*`, which is kept for patterns")]
    Wildcard,
}

pub(crate) fn check(name: &str, limit: usize) -> Result<(), NameError> {
    if name.is_empty() {
        Err(NameError::Empty)
    } else if name.len() > limit {
        Err(NameError::TooLong { limit })
    } else if name.chars().any(char::is_control) {
        Err(NameError::Control)
    } else {
        Ok(())
    }
}

macro_rules! name_traits {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(&name)
            }
        }

        impl From<&$name> for $name {
            fn from(name: &$name) -> Self {
                name.clone()
            }
        }
    };
}

name_traits!(ChannelName);
name_traits!(EventName);
name_traits!(Key);
name_traits!(MemberId);

impl From<std::convert::Infallible> for NameError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let long = "x".repeat(ChannelName::MAX_LEN + 1);
        assert_eq!(
            ChannelName::new(&long),
            Err(NameError::TooLong { limit: 200 })
        );
        assert!(ChannelName::new(&long[1..]).is_ok());
        assert_eq!(ChannelName::new("a\u{7f}"), Err(NameError::Control));
        assert_eq!(ChannelName::new("a\u{85}"), Err(NameError::Control));
        assert_eq!(ChannelName::new("a.*"), Err(NameError::Wildcard));
        assert_eq!(EventName::new("eventcast.gap"), Err(NameError::Reserved));
        assert_eq!(EventName::new("a\r\nid: 9"), Err(NameError::Control));
        assert!(EventName::new("eventcasting").is_ok());
    }
}
