//! Wire formats.

use std::hash::{Hash, Hasher};

use crate::delivery::Delivery;

/// Turns deliveries into the bytes of one wire format.
///
/// An event's bytes are made once and shared by all connections of the format, so nothing in them
/// may depend on the connection: a variant that depends on an option is a format of its own, with
/// an [id](Format::id) of its own.
///
/// # Contract
/// - The same event always gives the same bytes.
/// - A [`Delivery::Gap`] must reach the client in some form: leaving it out is silent loss. A
///   format that cannot carry gaps belongs to a transport that ends instead.
/// - Writing nothing is right for what the format has no form for, such as a heartbeat.
///
/// # Examples
/// ```
/// use eventcast_core::{Delivery, Format, FormatId};
///
/// #[derive(Debug)]
/// struct Lines;
///
/// impl Format for Lines {
///     fn id(&self) -> FormatId {
///         FormatId::new("example.lines")
///     }
///
///     fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
///         match delivery {
///             Delivery::Event(event) => {
///                 out.extend_from_slice(event.payload().as_bytes());
///                 out.push(b'\n');
///             }
///             Delivery::Gap(gap) => out.extend_from_slice(format!("! {gap}\n").as_bytes()),
///             _ => {}
///         }
///     }
/// }
/// ```
pub trait Format: Send + Sync {
    /// Names the format among all formats that a hub's connections use.
    fn id(&self) -> FormatId;

    /// Appends the delivery's bytes to `out`.
    fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>);
}

/// A format's identity: a name, unique by convention (`crate.variant`).
#[derive(Clone, Copy, Debug, Eq)]
pub struct FormatId(&'static str);

impl FormatId {
    /// The identity with this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }
}

/// Compared at each delivery of an event, mostly with itself: the same text in the same place needs
/// no further look.
impl PartialEq for FormatId {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.0 == other.0
    }
}

impl Hash for FormatId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
