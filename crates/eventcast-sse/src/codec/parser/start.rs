//! The byte order mark that a stream may begin with.

/// How much of a byte order mark was seen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    Matched(usize),
    Passed,
}

impl Default for Start {
    fn default() -> Self {
        Self::Matched(0)
    }
}

impl Start {
    /// Returns how many bytes of a mark turned out to be none, and what follows them.
    pub(super) fn skip_mark<'a>(&mut self, bytes: &'a [u8]) -> (usize, &'a [u8]) {
        let Self::Matched(before) = *self else {
            return (0, bytes);
        };
        let expected = &BYTE_ORDER_MARK[before..];
        let same = expected.iter().zip(bytes).take_while(|(a, b)| a == b);
        let matched = same.count();
        if matched == expected.len() {
            *self = Self::Passed;
            (0, &bytes[matched..])
        } else if matched == bytes.len() {
            *self = Self::Matched(before + matched);
            (0, &[])
        } else {
            *self = Self::Passed;
            (before, bytes)
        }
    }
}

pub(super) const BYTE_ORDER_MARK: &[u8; 3] = b"\xEF\xBB\xBF";
