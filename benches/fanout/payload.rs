//! An event's payload: its number and its time, in a form that is found in any framing.

use memchr::memchr;

/// The payload of event `number`, [`PAYLOAD`] bytes of text.
pub(crate) fn payload(number: u64, time: u64) -> String {
    // Filled from a text: padding by the formatter takes longer than publishing.
    format!("{MARK}{number:016x}{time:016x}{FILL}")
}

/// What of a payload was cut off at the end of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    bytes: [u8; FIELDS],
    length: u8,
}

impl Default for Cut {
    fn default() -> Self {
        Self {
            bytes: [0; FIELDS],
            length: 0,
        }
    }
}

/// Finds the payloads in bytes as they come, and calls back with each one's number and time.
pub(crate) fn scan(cut: &mut Cut, mut bytes: &[u8], mut each: impl FnMut(u64, u64)) {
    if cut.length > 0 {
        let had = usize::from(cut.length);
        let taken = bytes.len().min(FIELDS - had);
        cut.bytes[had..had + taken].copy_from_slice(&bytes[..taken]);
        let is_mark = had + taken < 2 || cut.bytes[1] == MARK.as_bytes()[1];
        if is_mark && had + taken < FIELDS {
            cut.length = (had + taken) as u8;
            return;
        }
        cut.length = 0;
        if is_mark {
            let fields = cut.bytes;
            if let Some((number, time)) = fields_of(&fields) {
                each(number, time);
            }
            bytes = &bytes[taken..];
        }
    }
    while let Some(start) = memchr(MARK.as_bytes()[0], bytes) {
        bytes = &bytes[start..];
        if bytes.len() < FIELDS {
            if bytes.len() < 2 || bytes[1] == MARK.as_bytes()[1] {
                cut.bytes[..bytes.len()].copy_from_slice(bytes);
                cut.length = bytes.len() as u8;
            }
            return;
        }
        match fields_of(&bytes[..FIELDS]) {
            Some((number, time)) => {
                each(number, time);
                bytes = &bytes[FIELDS..];
            }
            None => bytes = &bytes[1..],
        }
    }
}

fn fields_of(bytes: &[u8]) -> Option<(u64, u64)> {
    let hex = bytes.strip_prefix(MARK.as_bytes())?;
    Some((hex_of(&hex[..16])?, hex_of(&hex[16..])?))
}

fn hex_of(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

/// The bytes of a payload.
pub(crate) const PAYLOAD: usize = 128;
/// In no id, name or header, and not the length of a frame.
const MARK: &str = "^=";
const FIELDS: usize = 34;
const FILL: &str = match std::str::from_utf8(&[b'.'; PAYLOAD - FIELDS]) {
    Ok(fill) => fill,
    Err(_) => "",
};
