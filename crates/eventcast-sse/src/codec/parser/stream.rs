//! The parser.

use std::mem;
use std::time::Duration;

use super::super::field::is_line_end;
use super::config::ParserConfig;
use super::error::ParseError;
use super::event::ParsedEvent;
use super::line::{Field, Line, NameStart};
use super::start::{BYTE_ORDER_MARK, Start};
use super::value::{decode_utf8, parse_retry};

/// Reads an event stream that comes in pieces of any size, by the rules of
/// [WHATWG HTML, section 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).
///
/// It does no I/O, looks at every byte once, and holds one event at most, bounded by
/// [`ParserConfig::with_max_event_bytes`]. An event comes out with the byte that ends its blank
/// line: after a CR it does not wait for the LF that may follow. What is incomplete when the
/// stream ends never comes out, and is forgotten by [`restart`](Self::restart).
///
/// Two things go beyond those rules: the field `encoding`, which [`PlainFormat`](crate::PlainFormat)
/// writes, is read, and a `retry` that overflows 64 bits counts as the largest value.
///
/// # Examples
/// ```
/// use eventcast_sse::Parser;
///
/// # fn main() -> Result<(), eventcast_sse::ParseError> {
/// let mut parser = Parser::new();
/// let mut events = Vec::new();
/// for piece in ["id: 7\nda", "ta: hello\n", "\ndata: cut o"] {
///     parser.push(piece.as_bytes(), |event| events.push(event))?;
/// }
/// assert_eq!(events.len(), 1);
/// assert_eq!(events[0].data, "hello");
/// assert_eq!(parser.last_event_id(), "7");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Parser {
    config: ParserConfig,
    start: Start,
    line: Line,
    /// The last byte was a CR: a LF now belongs to it.
    after_cr: bool,
    /// The value of the line being read, unless that is data.
    value: Vec<u8>,
    data: Option<Vec<u8>>,
    name: String,
    encoding: String,
    /// The id of the block being read; only its end makes it the stream's.
    id: Option<String>,
    /// Kept from block to block, so it does not count towards the size of the event being read.
    last_event_id: String,
    retry: Option<Duration>,
    failed: Option<ParseError>,
}

impl Parser {
    /// A parser at the start of a stream, with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A parser at the start of a stream.
    #[must_use]
    pub fn with_config(config: ParserConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// Reads the next bytes of the stream and hands out each event that they complete, in order.
    ///
    /// # Errors
    /// [`ParseError::TooLarge`] once an event exceeds the limit; the events before it were handed
    /// out. Every later call fails in the same way, until [`restart`](Self::restart).
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut on_event: impl FnMut(ParsedEvent),
    ) -> Result<(), ParseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = match self.start.skip_mark(bytes) {
            (0, rest) => self.read(rest, &mut on_event),
            // What looked like a mark begins the first line.
            (matched, rest) => self
                .read(&BYTE_ORDER_MARK[..matched], &mut on_event)
                .and_then(|()| self.read(rest, &mut on_event)),
        };
        if let Err(error) = result {
            self.forget_event();
            self.failed = Some(error);
        }
        result
    }

    /// Begins another stream, such as after a reconnect: forgets an incomplete event and an
    /// error, keeps the last event id and the reconnection time.
    ///
    /// Events of the new stream that come before an id have the old one, as in browsers.
    pub fn restart(&mut self) {
        self.forget_event();
        self.start = Start::default();
        self.after_cr = false;
        self.failed = None;
    }

    /// The id to resume with: that of the last complete block that had one. Empty when there was
    /// none, or when the stream reset it.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// How long the stream said to wait before reconnecting, if it did.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn read(
        &mut self,
        mut bytes: &[u8],
        on_event: &mut impl FnMut(ParsedEvent),
    ) -> Result<(), ParseError> {
        while !bytes.is_empty() {
            if mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| is_line_end(*byte)) else {
                return self.extend_line(bytes);
            };
            self.extend_line(&bytes[..end])?;
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            match mem::take(&mut self.line) {
                Line::Ignored => {}
                Line::Name(name) if name.is_empty() => self.dispatch(on_event)?,
                Line::Name(name) => {
                    if let Some(field) = name.field() {
                        self.begin_value(field)?;
                        self.end_value(field)?;
                    }
                }
                Line::Colon(field) | Line::Value(field) => self.end_value(field)?,
            }
        }
        Ok(())
    }

    /// Takes in more of a line, without its end.
    fn extend_line(&mut self, mut part: &[u8]) -> Result<(), ParseError> {
        while !part.is_empty() {
            match self.line {
                Line::Ignored => return Ok(()),
                Line::Name(name) => part = self.extend_name(name, part)?,
                Line::Colon(field) => {
                    self.line = Line::Value(field);
                    part = part.strip_prefix(b" ").unwrap_or(part);
                }
                Line::Value(field) => return self.extend_value(field, part),
            }
        }
        Ok(())
    }

    fn extend_name<'a>(&mut self, name: NameStart, part: &'a [u8]) -> Result<&'a [u8], ParseError> {
        let colon = part.iter().position(|byte| *byte == b':');
        let name = name.with(&part[..colon.unwrap_or(part.len())]);
        self.line = match (name, colon) {
            (None, _) => Line::Ignored,
            (Some(name), None) => Line::Name(name),
            (Some(name), Some(_)) => match name.field() {
                None => Line::Ignored,
                Some(field) => {
                    self.begin_value(field)?;
                    Line::Colon(field)
                }
            },
        };
        Ok(colon.map_or(&[], |colon| &part[colon + 1..]))
    }

    fn begin_value(&mut self, field: Field) -> Result<(), ParseError> {
        match &self.data {
            // The standard ends every line with a LF and cuts the last one at the end.
            Some(_) if field == Field::Data => self.extend_value(field, b"\n"),
            None if field == Field::Data => {
                self.data = Some(Vec::new());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn extend_value(&mut self, field: Field, part: &[u8]) -> Result<(), ParseError> {
        if part.len() > self.room() {
            return Err(self.too_large());
        }
        match field {
            Field::Data => self.data.get_or_insert_default().extend_from_slice(part),
            _ => self.value.extend_from_slice(part),
        }
        Ok(())
    }

    /// What the event may still take.
    fn room(&self) -> usize {
        let data = self.data.as_ref().map_or(0, Vec::len);
        let id = self.id.as_ref().map_or(0, String::len);
        let held = data + self.value.len() + self.name.len() + self.encoding.len() + id;
        self.config.max_event_bytes().saturating_sub(held)
    }

    fn too_large(&self) -> ParseError {
        ParseError::TooLarge {
            limit: self.config.max_event_bytes(),
        }
    }

    /// Gives a whole field its effect.
    fn end_value(&mut self, field: Field) -> Result<(), ParseError> {
        let value = mem::take(&mut self.value);
        match field {
            Field::Data => {}
            Field::Encoding => self.encoding = self.decode(value)?,
            Field::Event => self.name = self.decode(value)?,
            Field::Id if value.contains(&0) => {}
            Field::Id => self.id = Some(self.decode(value)?),
            Field::Retry => self.retry = parse_retry(&value).or(self.retry),
        }
        Ok(())
    }

    /// Decodes what was taken out of the event. It may grow by that, and has to fit all the same.
    fn decode(&self, bytes: Vec<u8>) -> Result<String, ParseError> {
        decode_utf8(bytes, self.room()).ok_or_else(|| self.too_large())
    }

    fn dispatch(&mut self, on_event: &mut impl FnMut(ParsedEvent)) -> Result<(), ParseError> {
        let data = match self.data.take() {
            Some(data) => Some(self.decode(data)?),
            None => None,
        };
        if let Some(id) = self.id.take() {
            self.last_event_id = id;
        }
        let name = mem::take(&mut self.name);
        let encoding = mem::take(&mut self.encoding);
        if let Some(data) = data {
            on_event(ParsedEvent {
                name: Some(name).filter(|name| !name.is_empty()),
                data,
                last_event_id: self.last_event_id.clone(),
                encoding: Some(encoding).filter(|encoding| !encoding.is_empty()),
            });
        }
        Ok(())
    }

    fn forget_event(&mut self) {
        self.line = Line::default();
        self.value = Vec::new();
        self.data = None;
        self.name = String::new();
        self.encoding = String::new();
        self.id = None;
    }
}
