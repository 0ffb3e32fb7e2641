//! What is stored of a channel besides its records, and the keys and values of everything.

use bytes::{Buf, BufMut, Bytes};
use eventcast_core::{Body, ChannelName, Epoch, Key, Lineage, Position, Record, Timestamp};

/// What is stored of a channel besides its records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channel {
    /// The last sequence that it was given.
    pub(crate) last: u64,
    /// How many records are stored, and what they are charged.
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// The time of the oldest of them.
    pub(crate) oldest: u64,
    /// How old they may be, as the last append said.
    pub(crate) age: u64,
    /// The last sequence that was trimmed, and its time.
    pub(crate) trim: u64,
    pub(crate) trim_time: u64,
    /// Under which time it is found by maintenance.
    pub(crate) due: Option<u64>,
    pub(crate) end: Option<End>,
}

/// The record that ended a channel; it is kept here.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) sequence: u64,
    pub(crate) time: u64,
    pub(crate) body: Bytes,
}

impl Channel {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(96);
        let due = self.due.map_or(0, |due| due.saturating_add(1));
        put(&mut out, [self.last, self.count, self.bytes, self.oldest]);
        put(&mut out, [self.age, self.trim, self.trim_time, due]);
        if let Some(end) = &self.end {
            put(&mut out, [end.sequence, end.time]);
            out.put_slice(&end.body);
        }
        out.into()
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        let [last, count, charged, oldest, age, trim, trim_time, due] = numbers(&mut bytes)?;
        let end = numbers(&mut bytes).map(|[sequence, time]| End {
            sequence,
            time,
            body: bytes,
        });
        Some(Self {
            last,
            count,
            bytes: charged,
            oldest,
            age,
            trim,
            trim_time,
            due: due.checked_sub(1),
            end,
        })
    }
}

/// Where the log ends, and what is forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    pub(crate) last: u64,
    pub(crate) time: u64,
    /// The last sequence of all channels that were forgotten, and the latest time of theirs.
    pub(crate) floor: u64,
    pub(crate) floor_time: u64,
    /// Which of the two generations of keys is the newer one, and since when.
    pub(crate) generation: u64,
    pub(crate) generation_began: u64,
    /// Of how many completed channels only the end is left.
    pub(crate) ends: u64,
}

impl Head {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(56);
        put(
            &mut out,
            [self.last, self.time, self.floor, self.floor_time],
        );
        put(
            &mut out,
            [self.generation, self.generation_began, self.ends],
        );
        out.into()
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        let [
            last,
            time,
            floor,
            floor_time,
            generation,
            generation_began,
            ends,
        ] = numbers(&mut bytes)?;
        Some(Self {
            last,
            time,
            floor,
            floor_time,
            generation,
            generation_began,
            ends,
        })
    }

    /// What a channel begins with that the log does not have.
    pub(crate) fn new_channel(&self) -> Channel {
        Channel {
            trim: self.floor,
            trim_time: self.floor_time,
            ..Channel::default()
        }
    }
}

/// Where records are, by channel and sequence: names hold no zero byte.
pub(crate) fn record_key(channel: &ChannelName, sequence: u64) -> Bytes {
    let mut out = Vec::with_capacity(channel.as_str().len() + 9);
    out.put_slice(channel.as_str().as_bytes());
    out.put_u8(0);
    out.put_u64(sequence);
    out.into()
}

/// A stored record: its time, what it is charged, its body.
pub(crate) fn record_value(time: u64, charge: u64, body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(16 + body.len());
    put(&mut out, [time, charge]);
    out.put_slice(body);
    out.into()
}

/// The sequence in the key, and the parts of the value.
pub(crate) fn decode_record(key: &[u8], mut value: Bytes) -> Option<(u64, u64, u64, Bytes)> {
    let (_, sequence) = key.split_last_chunk()?;
    let [time, charge] = numbers(&mut value)?;
    Some((u64::from_be_bytes(*sequence), time, charge, value))
}

/// A record as the hub knows it.
pub(crate) fn record(
    lineage: &Lineage,
    channel: &ChannelName,
    sequence: u64,
    time: u64,
    body: Bytes,
) -> Option<Record> {
    Some(Record {
        position: lineage.position(sequence),
        time: Timestamp::from_millis(time),
        channel: channel.clone(),
        body: Body::decode(body).ok()?,
    })
}

pub(crate) fn idempotency_key(channel: &ChannelName, key: &Key) -> Bytes {
    let mut out = Vec::with_capacity(channel.as_str().len() + key.as_str().len() + 1);
    out.put_slice(channel.as_str().as_bytes());
    out.put_u8(0);
    out.put_slice(key.as_str().as_bytes());
    out.into()
}

pub(crate) fn pair(one: u64, other: u64) -> Bytes {
    let mut out = Vec::with_capacity(16);
    put(&mut out, [one, other]);
    out.into()
}

pub(crate) fn decode_pair(mut bytes: Bytes) -> Option<(u64, u64)> {
    let [one, other] = numbers(&mut bytes)?;
    Some((one, other))
}

/// Where a channel is found by a number: the time at which it is due, or the sequence of its end.
pub(crate) fn index_key(kind: u8, number: u64, channel: &ChannelName) -> Bytes {
    let mut out = Vec::with_capacity(9 + channel.as_str().len());
    out.put_u8(kind);
    out.put_u64(number);
    out.put_slice(channel.as_str().as_bytes());
    out.into()
}

pub(crate) fn decode_index_key(key: &[u8]) -> Option<(u64, ChannelName)> {
    let (number, name) = key.get(1..)?.split_first_chunk()?;
    let name = ChannelName::new(std::str::from_utf8(name).ok()?).ok()?;
    Some((u64::from_be_bytes(*number), name))
}

pub(crate) fn encode_lineage(lineage: &Lineage) -> Bytes {
    let mut out = Vec::new();
    for (epoch, first, last) in lineage.epochs() {
        put(&mut out, [epoch.bits(), first, last.unwrap_or(u64::MAX)]);
    }
    out.into()
}

pub(crate) fn decode_lineage(mut bytes: Bytes) -> Option<Lineage> {
    let [epoch, _, mut last] = numbers(&mut bytes)?;
    let mut lineage = Lineage::new(Epoch::from_bits(epoch));
    while let Some([epoch, first, next]) = numbers(&mut bytes) {
        lineage.fork(Epoch::from_bits(epoch), last, first);
        last = next;
    }
    Some(lineage)
}

pub(crate) fn positions(lineage: &Lineage, sequences: &[u64]) -> Vec<Position> {
    sequences.iter().map(|s| lineage.position(*s)).collect()
}

fn put<const N: usize>(out: &mut Vec<u8>, numbers: [u64; N]) {
    numbers.into_iter().for_each(|number| out.put_u64(number));
}

fn numbers<const N: usize>(bytes: &mut Bytes) -> Option<[u64; N]> {
    if bytes.len() < 8 * N {
        return None;
    }
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = bytes.get_u64();
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lineages_read_back() {
        let mut lineage = Lineage::new(Epoch::random());
        for round in 1..5 {
            assert_eq!(
                decode_lineage(encode_lineage(&lineage)),
                Some(lineage.clone())
            );
            lineage.fork(Epoch::random(), round * 100, round * 1000);
        }
    }

    #[test]
    fn channels_read_back() {
        let mut channel = Channel {
            last: 9,
            due: Some(0),
            ..Channel::default()
        };
        for end in [
            None,
            Some(End {
                sequence: 9,
                time: 3,
                body: Bytes::from_static(b"x"),
            }),
        ] {
            channel.end = end;
            let read = Channel::decode(channel.encode());
            assert_eq!(format!("{read:?}"), format!("{:?}", Some(&channel)));
        }
    }
}
