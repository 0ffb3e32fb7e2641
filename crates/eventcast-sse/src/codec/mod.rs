//! Bytes of the event stream, without I/O: deliveries in, bytes out, and back.

mod control;
mod field;
mod json;
mod parser;
mod plain;

use eventcast_core::Format;

pub use json::JsonFormat;
pub use parser::{DecodeError, ParseError, ParsedEvent, Parser, ParserConfig};
pub use plain::PlainFormat;

/// Which of the two formats a connection uses.
///
/// [`Plain`](Self::Plain) suits one channel and `EventSource`; whoever has to know each event's
/// channel, or tell text from JSON, takes [`Json`](Self::Json).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SseFormat {
    /// A JSON envelope with id, channel and name around every payload: [`JsonFormat`].
    Json,
    /// The payload alone: [`PlainFormat`].
    #[default]
    Plain,
}

impl SseFormat {
    /// The encoder.
    #[must_use]
    pub fn encoder(self) -> &'static dyn Format {
        match self {
            Self::Json => &JsonFormat,
            Self::Plain => &PlainFormat,
        }
    }
}
