//! Event ids, which are positions in the hub's log.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;

/// What an event id has to offer: an epoch, a sequence in it, and a short text.
///
/// [`Position`] is the id of every hub. The trait is the seam for logs that carry ids of their own:
/// whatever they use inside, a session resumes at an epoch and a sequence.
///
/// # Contract
/// - Within one epoch ids order as their sequences do.
/// - The text is URL-safe, holds no NUL, CR, LF or space, parses back to an equal id, and within
///   one epoch sorts byte-wise as the ids do.
pub trait EventId:
    Clone + Eq + fmt::Debug + fmt::Display + FromStr + Send + Sync + 'static
{
    /// The log's lineage mark: sequences of different epochs cannot be compared.
    fn epoch(&self) -> Epoch;

    /// The place in the log, counted over all channels of the hub.
    fn sequence(&self) -> u64;
}

/// Names one unbroken run of a log: 40 bits, fixed at the log's creation.
///
/// A log that cannot prove that it lost nothing (a restarted memory log) starts another epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch made of the low 40 bits of `bits`.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits & EPOCH_MASK)
    }

    /// A random epoch, from the operating system's entropy by way of the standard hasher's keys.
    #[must_use]
    pub fn random() -> Self {
        Self::from_bits(RandomState::new().build_hasher().finish())
    }

    /// The 40 bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; EPOCH_LEN];
        write_epoch(self.0, &mut text);
        f.write_str(ascii(&text))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

/// An event's id, and at the same time a place to resume from: *(epoch, sequence)*.
///
/// The sequence is assigned by the hub's log over all its channels, so one position is enough to
/// resume any set of channels, on any transport. A session at position *n* has been given, or told
/// the loss of, every event up to *n* of every channel in its set.
///
/// The text is `epoch-sequence`: eight characters for the epoch, then the sequence in decimal
/// behind a letter that tells how many digits follow (`a` is one, `t` is twenty), so that it sorts
/// byte-wise. At most [`Position::MAX_TEXT`] bytes.
///
/// ```
/// use eventcast_core::{Epoch, Position};
///
/// let position = Position::new(Epoch::from_bits(7), 42);
/// assert_eq!(position.to_string(), "00000007-b42");
/// assert_eq!("00000007-b42".parse(), Ok(position));
/// assert!("00000007-a042".parse::<Position>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    epoch: Epoch,
    sequence: u64,
}

impl Position {
    /// The longest text of a position, in bytes.
    pub const MAX_TEXT: usize = EPOCH_LEN + 1 + 1 + 20;

    /// The position after `sequence` in `epoch`. Sequence 0 is before the first event.
    #[must_use]
    pub fn new(epoch: Epoch, sequence: u64) -> Self {
        Self { epoch, sequence }
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        self.epoch
    }

    /// The sequence.
    #[must_use]
    pub fn sequence(self) -> u64 {
        self.sequence
    }

    /// The text without an allocation, for encoders.
    #[must_use]
    pub fn text(self) -> PositionText {
        let mut bytes = [0; Self::MAX_TEXT];
        write_epoch(self.epoch.0, &mut bytes[..EPOCH_LEN]);
        bytes[EPOCH_LEN] = b'-';
        let digits = self.sequence.checked_ilog10().unwrap_or(0) as usize + 1;
        bytes[EPOCH_LEN + 1] = b'a' + (digits - 1) as u8;
        let mut rest = self.sequence;
        for slot in bytes[EPOCH_LEN + 2..][..digits].iter_mut().rev() {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        PositionText {
            bytes,
            len: EPOCH_LEN + 2 + digits,
        }
    }
}

impl EventId for Position {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// Positions compare within an epoch only.
impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self.epoch == other.epoch).then(|| self.sequence.cmp(&other.sequence))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({self})")
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    /// Accepts exactly the text that `Display` writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text.as_bytes()).ok_or(ParsePositionError)
    }
}

/// A text that is no position of any hub: cut short, altered, or of another system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an event id of the form epoch-sequence")]
pub struct ParsePositionError;

/// A position's text on the stack; see [`Position::text`].
#[derive(Clone, Copy)]
pub struct PositionText {
    bytes: [u8; Position::MAX_TEXT],
    len: usize,
}

impl PositionText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        ascii(&self.bytes[..self.len])
    }

    /// The text's bytes, all of them ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Debug for PositionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn parse(text: &[u8]) -> Option<Position> {
    let (epoch, rest) = text.split_at_checked(EPOCH_LEN)?;
    let [b'-', length @ b'a'..=b't', digits @ ..] = rest else {
        return None;
    };
    let canonical = digits.len() == usize::from(length - b'a') + 1
        && digits.iter().all(u8::is_ascii_digit)
        && (digits[0] != b'0' || digits.len() == 1);
    if !canonical {
        return None;
    }
    let sequence = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let mut bits = 0;
    for byte in epoch {
        bits = bits << 5 | ALPHABET.iter().position(|letter| letter == byte)? as u64;
    }
    Some(Position::new(Epoch(bits), sequence))
}

fn write_epoch(mut bits: u64, text: &mut [u8]) {
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
}

fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("position texts are ASCII")
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const EPOCH_LEN: usize = 8;
const EPOCH_MASK: u64 = (1 << 40) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_parses_back(bits: u64, sequence: u64) {
            let position = Position::new(Epoch::from_bits(bits), sequence);
            prop_assert_eq!(position.to_string().parse::<Position>(), Ok(position));
        }

        #[test]
        fn text_sorts_as_the_sequence_does(a: u64, b: u64, shift in 0u32..64) {
            let epoch = Epoch::from_bits(9);
            let (x, y) = (Position::new(epoch, a >> shift), Position::new(epoch, b));
            prop_assert_eq!(x.to_string().cmp(&y.to_string()), x.sequence().cmp(&y.sequence()));
        }

        #[test]
        fn only_the_canonical_text_parses(text in "[0-9a-z]{7,9}-[a-v][0-9]{0,21}|.{0,40}") {
            if let Ok(position) = text.parse::<Position>() {
                prop_assert_eq!(position.to_string(), text);
            }
        }
    }

    #[test]
    fn extremes() {
        let top = Position::new(Epoch::from_bits(u64::MAX), u64::MAX);
        assert_eq!(top.to_string(), "zzzzzzzz-t18446744073709551615");
        assert_eq!(top.to_string().len(), Position::MAX_TEXT);
        assert!(
            "zzzzzzzz-t18446744073709551616"
                .parse::<Position>()
                .is_err()
        );
        let first = Position::new(Epoch::from_bits(0), 0);
        assert_eq!(first.to_string(), "00000000-a0");
        assert!(
            Position::new(Epoch::from_bits(1), 0)
                .partial_cmp(&first)
                .is_none()
        );
    }
}
