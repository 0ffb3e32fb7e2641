//! What the scripts write, read back: announcements of records, and lineages.

use bytes::Bytes;
use eventcast_core::{Body, ChannelName, Epoch, Lineage, Timestamp};

/// What came on the topic of records.
#[derive(Debug, PartialEq)]
pub(crate) enum Notice {
    /// Records of one channel with sequences from `first` on, next to each other.
    Records {
        epoch: Epoch,
        first: u64,
        time: Timestamp,
        channel: ChannelName,
        bodies: Vec<Body>,
    },
    /// A node started this epoch.
    Forked(Epoch),
}

/// Reads an announcement; `None` when it is none. The bodies share the bytes.
pub(crate) fn notice(bytes: &Bytes) -> Option<Notice> {
    let (head, rest) = line(bytes)?;
    let mut words = head.split(' ');
    match words.next()? {
        "F" => Some(Notice::Forked(epoch(words.next()?)?)),
        "R" => {
            let epoch = epoch(words.next()?)?;
            let first: u64 = words.next()?.parse().ok()?;
            let time = Timestamp::from_millis(words.next()?.parse().ok()?);
            let lengths = words.next()?;
            if words.next().is_some() {
                return None;
            }
            let (channel, mut rest) = line(&rest)?;
            let channel = ChannelName::new(&channel).ok()?;
            let mut bodies = Vec::new();
            for length in lengths.split(',') {
                let length: usize = length.parse().ok()?;
                if length > rest.len() {
                    return None;
                }
                bodies.push(Body::decode(rest.split_to(length)).ok()?);
            }
            first.checked_add(bodies.len() as u64)?;
            rest.is_empty().then_some(Notice::Records {
                epoch,
                first,
                time,
                channel,
                bodies,
            })
        }
        _ => None,
    }
}

/// The text before a line's end, and what follows.
fn line(bytes: &Bytes) -> Option<(String, Bytes)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((text.to_owned(), bytes.slice(end + 1..)))
}

/// An epoch as its bits in decimal, which is how the scripts know it.
pub(crate) fn epoch(text: &str) -> Option<Epoch> {
    let bits: u64 = text.parse().ok()?;
    let epoch = Epoch::from_bits(bits);
    (epoch.bits() == bits).then_some(epoch)
}

/// What stands for an epoch before there is one.
pub(crate) fn no_epoch() -> Epoch {
    Epoch::from_bits(0)
}

/// An epoch of a lineage, with the first sequence that it may give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) epoch: Epoch,
    pub(crate) first: u64,
    /// The last sequence of it that is not lost; nothing for the newest.
    pub(crate) last: Option<u64>,
}

/// Reads `epoch:first:last,epoch:first:`; `None` when it is no lineage.
pub(crate) fn segments(text: &str) -> Option<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::new();
    for part in text.split(',') {
        if segments
            .last()
            .is_some_and(|segment| segment.last.is_none())
            || segments.len() == Lineage::MAX_EPOCHS
        {
            return None;
        }
        let mut numbers = part.split(':');
        let epoch = epoch(numbers.next()?)?;
        let first = numbers.next()?.parse().ok()?;
        let last = match numbers.next()? {
            "" => None,
            number => Some(number.parse().ok()?),
        };
        if numbers.next().is_some() {
            return None;
        }
        segments.push(Segment { epoch, first, last });
    }
    segments
        .last()
        .is_some_and(|s| s.last.is_none())
        .then_some(segments)
}

/// The lineage of one or more segments.
pub(crate) fn lineage(segments: &[Segment]) -> Lineage {
    let first = segments.first().map_or_else(no_epoch, |s| s.epoch);
    let mut lineage = Lineage::new(first);
    for pair in segments.windows(2) {
        let last = pair[0].last.unwrap_or_default();
        lineage.fork(pair[1].epoch, last, pair[1].first);
    }
    lineage
}

/// The text that [`segments`] reads.
pub(crate) fn text(segments: &[Segment]) -> String {
    let parts = segments.iter().map(|segment| {
        let last = segment
            .last
            .map(|last| last.to_string())
            .unwrap_or_default();
        format!("{}:{}:{last}", segment.epoch.bits(), segment.first)
    });
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use eventcast_core::{Event, Position};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_notice_or_none(bytes: Vec<u8>, text in "[RF] [0-9]{1,3} [0-9]{1,20} [0-9]{1,3} [0-9,]{0,9}\n[a-z]{0,2}\n.{0,9}") {
            let _ = notice(&bytes.into());
            let _ = notice(&text.into_bytes().into());
        }

        #[test]
        fn any_text_is_a_lineage_or_none(any: String, close in "([0-9]{1,3}:[0-9]{1,20}:[0-9]{0,2},?){0,4}") {
            for given in [any, close] {
                if let Some(read) = segments(&given) {
                    let _ = lineage(&read);
                    prop_assert_eq!(segments(&text(&read)), Some(read));
                }
            }
        }
    }

    #[test]
    fn notices() {
        let (a, b) = (
            Body::Event(Event::text("a")),
            Body::Event(Event::text("bb")),
        );
        let (x, y) = (a.encode(), b.encode());
        let mut bytes = format!("R 7 40 1000 {},{}\nnews\n", x.len(), y.len()).into_bytes();
        bytes.extend_from_slice(&x);
        bytes.extend_from_slice(&y);
        let whole = Bytes::from(bytes);
        let expected = Notice::Records {
            epoch: Epoch::from_bits(7),
            first: 40,
            time: Timestamp::from_millis(1000),
            channel: ChannelName::new("news").unwrap(),
            bodies: vec![a, b],
        };
        assert_eq!(notice(&whole), Some(expected));
        for cut in 0..whole.len() {
            assert_eq!(notice(&whole.slice(..cut)), None, "cut at {cut}");
        }
        let forked = Notice::Forked(Epoch::from_bits(9));
        assert_eq!(notice(&Bytes::from_static(b"F 9\n")), Some(forked));
    }

    #[test]
    fn lineages() {
        let read = segments("1:1:90,2:1000:").unwrap();
        let lineage = lineage(&read);
        assert!(lineage.holds(Position::new(Epoch::from_bits(1), 90)));
        assert!(!lineage.holds(Position::new(Epoch::from_bits(1), 91)));
        assert_eq!(lineage.first(), 1000);
        assert_eq!(segments("1:1:90,"), None);
        assert_eq!(segments("1:1:90"), None);
        assert_eq!(segments("1:1:,2:5:"), None);
    }
}
