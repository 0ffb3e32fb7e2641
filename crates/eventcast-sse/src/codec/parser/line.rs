//! How far into a line the parser is.

/// The fields that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Data,
    Encoding,
    Event,
    Id,
    Retry,
}

impl Field {
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"data" => Some(Self::Data),
            b"encoding" => Some(Self::Encoding),
            b"event" => Some(Self::Event),
            b"id" => Some(Self::Id),
            b"retry" => Some(Self::Retry),
            _ => None,
        }
    }
}

/// The line being read. Only the start of its name is kept: a value goes where it belongs as it
/// comes, and what belongs nowhere is dropped as it comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    /// A comment or an unknown field.
    Ignored,
    /// Before the colon.
    Name(NameStart),
    /// After the colon of a field; the value has not begun.
    Colon(Field),
    /// In the value of a field.
    Value(Field),
}

/// What was read of a field's name, as long as it may be a known one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameStart {
    bytes: [u8; LONGEST_NAME],
    len: u8,
}

impl NameStart {
    /// The same with more bytes; `None` when it is too long for a known name.
    pub(super) fn with(mut self, more: &[u8]) -> Option<Self> {
        let len = usize::from(self.len);
        self.bytes
            .get_mut(len..len + more.len())?
            .copy_from_slice(more);
        self.len += more.len() as u8;
        Some(self)
    }

    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The field of this name.
    pub(super) fn field(self) -> Option<Field> {
        Field::named(&self.bytes[..usize::from(self.len)])
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::Name(NameStart::default())
    }
}

const LONGEST_NAME: usize = "encoding".len();
