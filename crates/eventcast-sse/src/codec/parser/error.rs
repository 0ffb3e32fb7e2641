//! What can be wrong with a stream, and with one event's data.

use std::error::Error;

/// Why a stream cannot be read on. The rules of the event stream refuse nothing; only bounds can
/// be exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// An event is larger than the parser takes. Resuming brings it again: raise the limit, or
    /// give up.
    #[error("an event takes more than {limit} bytes")]
    TooLarge {
        /// The limit; see [`ParserConfig::with_max_event_bytes`](crate::ParserConfig::with_max_event_bytes).
        limit: usize,
    },
}

/// Why an event's data is not what its `encoding` says. The server is at fault; a retry is of no
/// use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is marked as base64 but is not.
    #[error("the data is not base64")]
    Base64(#[source] Box<dyn Error + Send + Sync>),
    /// It is marked with an encoding that this version does not know.
    #[error("the data has an unknown encoding")]
    UnknownEncoding,
}
