//! What a parser puts up with.

/// A parser's settings.
///
/// ```
/// use eventcast_sse::{Parser, ParserConfig};
///
/// let parser = Parser::with_config(ParserConfig::new().with_max_event_bytes(64 << 10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ParserConfig {
    max_event_bytes: usize,
}

impl ParserConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            max_event_bytes: 8 << 20,
        }
    }

    /// How many bytes one event may take, 8 MiB by default: its data, name, encoding and id
    /// together, with the line that is being read, and with three for each piece that is not UTF-8
    /// and becomes U+FFFD. Comments and unknown fields are not kept and do not count, nor does the
    /// id of an earlier event.
    ///
    /// The parser keeps at most about twice as much, the event that it reads and the last id, and
    /// for a moment, while it decodes, once more. Below the largest payload that is published
    /// (base64 makes bytes larger by a third), such an event ends the stream.
    pub fn with_max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes;
        self
    }

    /// How many bytes one event may take.
    #[must_use]
    pub fn max_event_bytes(self) -> usize {
        self.max_event_bytes
    }
}

impl Default for ParserConfig {
    fn default() -> Self {
        Self::new()
    }
}
