//! A message of the stream: the records of one append.

use async_nats::HeaderMap;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use eventcast_core::{BackplaneError, Body, ChannelName, Record, Timestamp};

use crate::chain::{Chain, FACTOR};
use crate::subject::Subjects;

/// Our header: the stream sequence of the channel's message before, that one's time, and the time
/// before which this message is not.
pub(crate) const HEADER: &str = "Eventcast";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) message: u64,
    pub(crate) time: u64,
    pub(crate) floor: u64,
}

impl Before {
    pub(crate) fn header(self) -> String {
        format!("{} {} {}", self.message, self.time, self.floor)
    }

    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut numbers = headers.get(HEADER)?.as_str().split(' ').map(str::parse);
        let before = Self {
            message: numbers.next()?.ok()?,
            time: numbers.next()?.ok()?,
            floor: numbers.next()?.ok()?,
        };
        numbers.next().is_none().then_some(before)
    }
}

pub(crate) fn encode(bodies: &[Body]) -> Bytes {
    let mut out = BytesMut::new();
    for body in bodies {
        let bytes = body.encode();
        out.put_u32(bytes.len() as u32);
        out.put_slice(&bytes);
    }
    out.freeze()
}

/// A message as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) channel: ChannelName,
    pub(crate) before: Before,
    /// In milliseconds: the server's time, unless that went back.
    pub(crate) time: u64,
    pub(crate) id: Option<String>,
    pub(crate) bodies: Vec<Body>,
}

impl Stored {
    pub(crate) fn read(
        subjects: &Subjects,
        subject: &str,
        sequence: u64,
        headers: Option<&HeaderMap>,
        nanos: i128,
        payload: Bytes,
    ) -> Result<Self, BackplaneError> {
        let garbled = || BackplaneError::new("a message of the stream is no record");
        let headers = headers.ok_or_else(garbled)?;
        let before = Before::read(headers).ok_or_else(garbled)?;
        let millis = u64::try_from(nanos / 1_000_000).map_err(|_| garbled())?;
        Ok(Self {
            sequence,
            channel: subjects.name(subject).ok_or_else(garbled)?,
            before,
            time: millis.max(before.floor),
            id: headers.get("Nats-Msg-Id").map(|id| id.as_str().to_owned()),
            bodies: decode(payload).ok_or_else(garbled)?,
        })
    }

    /// Its records in the order of their sequences.
    pub(crate) fn records<'a>(&'a self, chain: &'a Chain) -> impl Iterator<Item = Record> + 'a {
        let count = self.bodies.len();
        self.bodies
            .iter()
            .enumerate()
            .filter_map(move |(index, body)| {
                Some(Record {
                    position: chain.position(self.sequence, index, count)?,
                    time: Timestamp::from_millis(self.time),
                    channel: self.channel.clone(),
                    body: body.clone(),
                })
            })
    }
}

fn decode(mut payload: Bytes) -> Option<Vec<Body>> {
    let mut bodies = Vec::new();
    while !payload.is_empty() {
        if payload.len() < 4 || bodies.len() as u64 == FACTOR {
            return None;
        }
        let len = payload.get_u32() as usize;
        if payload.len() < len {
            return None;
        }
        bodies.push(Body::decode(payload.split_to(len)).ok()?);
    }
    (!bodies.is_empty()).then_some(bodies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use eventcast_core::Event;

    #[test]
    fn bodies_read_back_and_cuts_do_not() {
        let bodies = vec![Body::Event(Event::text("a")), Body::Event(Event::text("b"))];
        let bytes = encode(&bodies);
        assert_eq!(decode(bytes.clone()), Some(bodies));
        for cut in [0, 1, 5, bytes.len() - 1] {
            assert_eq!(decode(bytes.slice(..cut)), None, "{cut}");
        }
    }

    #[test]
    fn headers_read_back() {
        let before = Before {
            message: 3,
            time: 4,
            floor: 5,
        };
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, before.header());
        assert_eq!(Before::read(&headers), Some(before));
        for bad in ["", "1 2", "1 2 3 4", "a b c", "1 2 -3"] {
            headers.insert(HEADER, bad);
            assert_eq!(Before::read(&headers), None, "{bad}");
        }
    }
}
