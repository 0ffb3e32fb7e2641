//! Frames of RFC 6455 as a server sends them: whole messages, unmasked.

use bytes::Bytes;

/// What a frame carries (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Opcode {
    Binary = 2,
    Ping = 9,
    Text = 1,
}

/// The header of a whole message's frame, for payloads that are too large to copy behind it.
pub(crate) fn header(opcode: Opcode, length: usize) -> Bytes {
    Bytes::copy_from_slice(Header::new(opcode, length).as_bytes())
}

/// Appends a frame whose payload is at hand.
pub(crate) fn write(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.extend_from_slice(Header::new(opcode, payload.len()).as_bytes());
    out.extend_from_slice(payload);
}

/// Appends a text frame whose payload `fill` appends.
///
/// The header comes before a length that is known only afterwards: room is left for the header of
/// the `expected` length, and the payload moves only when the guess was wrong.
pub(crate) fn write_text(out: &mut Vec<u8>, expected: usize, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    let room = Header::new(Opcode::Text, expected).len;
    out.resize(start + room, 0);
    fill(out);
    let length = out.len() - start - room;
    let header = Header::new(Opcode::Text, length);
    out.splice(start..start + room, header.as_bytes().iter().copied());
}

struct Header {
    bytes: [u8; 10],
    len: usize,
}

impl Header {
    fn new(opcode: Opcode, length: usize) -> Self {
        let mut bytes = [0; 10];
        bytes[0] = FINAL | opcode as u8;
        let len = match length {
            0..=125 => {
                bytes[1] = length as u8;
                2
            }
            126..=0xffff => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..].copy_from_slice(&(length as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, len }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

const FINAL: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 §5.2: the length takes the fewest bytes that hold it.
    #[test]
    fn headers_are_minimal() {
        for (length, header) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (0xffff, &[0x82, 126, 0xff, 0xff]),
            (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            write(&mut out, Opcode::Binary, &vec![7; length]);
            assert_eq!(&out[..header.len()], header);
            assert_eq!(out.len(), header.len() + length);
        }
    }

    #[test]
    fn a_wrong_guess_gives_the_same_bytes() {
        for length in [0, 125, 126, 0xffff, 0x1_0000] {
            let mut right = Vec::new();
            write(&mut right, Opcode::Text, &vec![b'x'; length]);
            for expected in [0, 200, 0x2_0000] {
                let mut out = vec![1, 2];
                write_text(&mut out, expected, |out| {
                    out.resize(out.len() + length, b'x')
                });
                assert_eq!(out[..2], [1, 2]);
                assert_eq!(out[2..], right);
            }
        }
    }
}
