//! From the bytes of an event stream back to events.

mod config;
mod error;
mod event;
mod line;
mod start;
mod stream;
mod value;

pub use config::ParserConfig;
pub use error::{DecodeError, ParseError};
pub use event::ParsedEvent;
pub use stream::Parser;
