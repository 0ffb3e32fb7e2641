//! Sessions: one reader, any number of channels, one order.

mod builder;
mod cold;
mod cursor;
mod handle;
mod join;
mod joining;
mod merge;
mod node;
mod open;
mod options;
mod patterns;
mod position;
mod progress;
mod reader;
mod signal;
mod subscription;

pub use builder::SessionBuilder;
pub(crate) use cursor::Origin;
pub use handle::{ChangeError, SessionHandle};
pub use join::Joined;
pub use joining::Joining;
pub use options::{ParseOptionError, SlowPolicy, Start, SubscriptionOptions};
pub use progress::SessionProgress;
pub use reader::{BatchLimits, Session};
pub(crate) use signal::{Signal, Slot};
