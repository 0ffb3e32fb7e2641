//! A WebSocket's frames.

use eventcast_testkit::transport::Seen;

use super::object::Object;

/// What a client knows of its WebSocket.
#[derive(Default)]
pub(crate) struct Frames {
    unread: Vec<u8>,
    pub(super) reply: Vec<u8>,
    draining: bool,
    pub(super) closed: bool,
}

impl Frames {
    pub(super) fn decode(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), String> {
        self.unread.extend_from_slice(bytes);
        let unread = std::mem::take(&mut self.unread);
        let mut rest = &unread[..];
        while let Some((first, payload, after)) = frame(rest) {
            if self.closed {
                return Err("a frame after the close frame".to_owned());
            }
            seen.extend(self.understand(first, payload)?);
            rest = after;
        }
        self.unread = rest.to_vec();
        Ok(())
    }

    fn understand(&mut self, first: u8, payload: &[u8]) -> Result<Option<Seen>, String> {
        match first {
            TEXT => {
                let object = Object::parse(payload)?;
                self.draining |= object.kind.as_deref() == Some("draining");
                object.understand().map(Some)
            }
            PING => {
                self.answer(PONG, payload);
                Ok(Some(Seen::Heartbeat))
            }
            CLOSE => {
                self.closed = true;
                self.answer(CLOSE, payload);
                let close = payload.split_first_chunk();
                let (code, said) = close.ok_or("a close without a code")?;
                Ok(self.close(u16::from_be_bytes(*code), said))
            }
            _ => Err(format!("a frame that begins with {first:#x}")),
        }
    }

    /// An end that a message told already is not told again by the close frame.
    fn close(&self, code: u16, said: &[u8]) -> Option<Seen> {
        let reason = match code {
            1008 => std::str::from_utf8(said).ok()?,
            1000 => "completed",
            1001 => "closed",
            1012 if !self.draining => "draining",
            1013 => "slow",
            _ => return None,
        };
        let reason = reason.to_owned();
        Some(Seen::End { reason })
    }

    fn answer(&mut self, first: u8, payload: &[u8]) {
        self.reply.extend_from_slice(&masked(first, payload));
    }
}

/// A short frame, masked with zeros, which change nothing.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    assert!(length < 126, "a short frame");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// A whole unmasked frame: its first byte, its payload, and what follows.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (size, start): (usize, usize) = match *bytes.get(1)? {
        126 => {
            let size = bytes.get(2..4)?.try_into().ok()?;
            (usize::from(u16::from_be_bytes(size)), 4)
        }
        127 => {
            let size = bytes.get(2..10)?.try_into().ok()?;
            (usize::try_from(u64::from_be_bytes(size)).ok()?, 10)
        }
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(start..start.checked_add(size)?)?;
    Some((bytes[0], payload, &bytes[start + size..]))
}

pub(crate) const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
