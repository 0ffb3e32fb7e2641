//! Sessions: one reader, any number of channels, one order.

mod builder;
mod merge;
mod reader;
mod signal;
mod subscription;

pub use builder::{SessionBuilder, Start};
pub use reader::{BatchLimits, Session};
pub use signal::SessionHandle;
pub(crate) use signal::{Signal, Slot};
