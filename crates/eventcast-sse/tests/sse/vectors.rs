//! What WHATWG HTML says about event streams, sentence by sentence: sections 9.2.5 "Parsing an
//! event stream" and 9.2.6 "Interpreting an event stream".

use std::time::Duration;

use crate::support::{Seen, parse, parse_independently, seen};

struct Vector {
    proves: &'static str,
    stream: &'static [u8],
    /// Name, data, last event id.
    events: &'static [(&'static str, &'static str, &'static str)],
    last_event_id: &'static str,
    retry: Option<u64>,
}

const fn vector(
    proves: &'static str,
    stream: &'static [u8],
    events: &'static [(&'static str, &'static str, &'static str)],
) -> Vector {
    Vector {
        proves,
        stream,
        events,
        last_event_id: "",
        retry: None,
    }
}

impl Vector {
    const fn last_id(mut self, id: &'static str) -> Self {
        self.last_event_id = id;
        self
    }

    const fn retry(mut self, millis: u64) -> Self {
        self.retry = Some(millis);
        self
    }

    fn expected(&self) -> Vec<Seen> {
        self.events
            .iter()
            .map(|(name, data, id)| {
                let name = Some((*name).to_owned()).filter(|name| !name.is_empty());
                (name, (*data).to_owned(), (*id).to_owned())
            })
            .collect()
    }
}

const VECTORS: &[Vector] = &[
    vector(
        "9.2.5: one leading U+FEFF BYTE ORDER MARK character must be ignored",
        b"\xEF\xBB\xBFdata: x\n\n",
        &[("", "x", "")],
    ),
    vector(
        "9.2.5: only one, and only at the start",
        b"\xEF\xBB\xBF\xEF\xBB\xBFdata: x\n\n\xEF\xBB\xBFdata: y\n\ndata: \xEF\xBB\xBFz\n\n",
        &[("", "\u{FEFF}z", "")],
    ),
    vector(
        "9.2.5: what begins like a mark is none",
        b"\xEF\xBBdata: x\ndata: y\n\n",
        &[("", "y", "")],
    ),
    vector(
        "9.2.5: the UTF-8 decode algorithm replaces what is not UTF-8",
        b"data: a\xFFb\xF0\x9F\x98\ndata: \xE2\x82\xAC\nevent: \xC0\n\n",
        &[("\u{FFFD}", "a\u{FFFD}b\u{FFFD}\n\u{20AC}", "")],
    ),
    vector(
        "9.2.5: end-of-line is CRLF, LF or CR",
        b"data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\rdata: e\n\n",
        &[("", "a\nb\nc", ""), ("", "d", ""), ("", "e", "")],
    ),
    vector(
        "9.2.5: other line separators of Unicode end no line",
        "data: a\u{85}b\u{2028}c\u{2029}d\u{b}e\u{c}f\n\n".as_bytes(),
        &[("", "a\u{85}b\u{2028}c\u{2029}d\u{b}e\u{c}f", "")],
    ),
    vector(
        "9.2.6: example, the stock quotes",
        b"data: YHOO\ndata: +2\ndata: 10\n\n",
        &[("", "YHOO\n+2\n10", "")],
    ),
    vector(
        "9.2.6: example, four blocks: a comment; an id; an id reset; a leading space; the last one \
         is discarded",
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        &[("", "first event", "1"), ("", "second event", "")],
    ),
    vector(
        "9.2.6: example, two empty lines of data and a block without end",
        b"data\n\ndata\ndata\n\ndata:",
        &[("", "", ""), ("", "\n", "")],
    ),
    vector(
        "9.2.6: example, the space after the colon is ignored if present",
        b"data:test\n\ndata: test\n\n",
        &[("", "test", ""), ("", "test", "")],
    ),
    vector(
        "9.2.6: only one space is removed, and no tab",
        b"data:  x\ndata:\ty\n\n",
        &[("", " x\n\ty", "")],
    ),
    vector(
        "9.2.6: a line that starts with a colon is ignored",
        b":data: x\n:\n: \ndata: y\n:\n\n",
        &[("", "y", "")],
    ),
    vector(
        "9.2.6: the field name is what stands before the first colon",
        b"data:a:b: c\n\n",
        &[("", "a:b: c", "")],
    ),
    vector(
        "9.2.6: a line without a colon is a field with an empty value",
        b"data: x\ndata\nevent: gone\nevent\n\n",
        &[("", "x\n", "")],
    ),
    vector(
        "9.2.6: field names must be compared literally, with no case folding",
        b"Data: x\nDATA: y\n data: z\ndata : w\ndata: v\n\n",
        &[("", "v", "")],
    ),
    vector(
        "9.2.6: otherwise the field is ignored",
        b"dat: a\ndataa: b\nfoo\nencodings: c\nlong-unknown-field: d\ndata: x\n\n",
        &[("", "x", "")],
    ),
    vector(
        "9.2.6: event sets the event type buffer, the last one counts",
        b"event: a\nevent: b\ndata: x\n\ndata: y\n\n",
        &[("b", "x", ""), ("", "y", "")],
    ),
    vector(
        "9.2.6: an empty event type leaves the type at message",
        b"event:\ndata: x\n\n",
        &[("", "x", "")],
    ),
    vector(
        "9.2.6: if the data buffer is an empty string, data and event type are reset",
        b"event: gone\n\ndata: x\n\n",
        &[("", "x", "")],
    ),
    vector(
        "9.2.6: an empty data line is no empty data buffer",
        b"data:\n\n",
        &[("", "", "")],
    ),
    vector(
        "9.2.6: the last event id is set even when there is no data",
        b"id: 5\n\ndata: x\n\n",
        &[("", "x", "5")],
    )
    .last_id("5"),
    vector(
        "9.2.6: the last event id buffer does not get reset",
        b"id: 1\ndata: a\n\ndata: b\n\n",
        &[("", "a", "1"), ("", "b", "1")],
    )
    .last_id("1"),
    vector(
        "9.2.6: an id counts wherever it stands in its block",
        b"data: a\nid: 1\n\nid: 2\ndata: b\nid: 3\n\n",
        &[("", "a", "1"), ("", "b", "3")],
    )
    .last_id("3"),
    vector(
        "9.2.6: an id that contains U+0000 NULL is ignored",
        b"id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n",
        &[("", "a", "1"), ("", "b", "1")],
    )
    .last_id("1"),
    vector(
        "9.2.6: U+0000 NULL in other fields is kept",
        b"event: \x00\ndata: a\x00\n\n",
        &[("\0", "a\0", "")],
    ),
    vector(
        "9.2.6: an empty id resets it",
        b"id: 1\ndata: a\n\nid\ndata: b\n\n",
        &[("", "a", "1"), ("", "b", "")],
    ),
    vector(
        "9.2.6: an id takes effect with its block, not before",
        b"id: 1\ndata: a\n\nid: 2\ndata: b\n",
        &[("", "a", "1")],
    )
    .last_id("1"),
    vector(
        "9.2.6: retry of ASCII digits only is the reconnection time, at once",
        b"retry: 010\n",
        &[],
    )
    .retry(10),
    vector(
        "9.2.6: otherwise retry is ignored",
        b"retry: 7\nretry: +8\nretry: 9 \nretry: 1.5\nretry: -1\nretry\nretry:  3\nretry: \xD9\xA1\n",
        &[],
    )
    .retry(7),
    vector(
        "9.2.6: a retry beyond all numbers is the largest",
        b"retry: 99999999999999999999999\n",
        &[],
    )
    .retry(u64::MAX),
    vector(
        "9.2.6: any pending data must be discarded at the end of the file",
        b"data: a\n\ndata: b\n",
        &[("", "a", "")],
    ),
    vector(
        "9.2.6: blank lines alone dispatch nothing",
        b"\n\r\r\n\n\ndata: a\n\n\n\n",
        &[("", "a", "")],
    ),
];

#[test]
fn every_sentence() {
    for vector in VECTORS {
        let whole = parse([vector.stream]);
        let bytewise = parse(vector.stream.chunks(1));
        for (events, parser) in [whole, bytewise] {
            let events: Vec<_> = events.into_iter().map(seen).collect();
            assert_eq!(events, vector.expected(), "{}", vector.proves);
            assert_eq!(
                parser.last_event_id(),
                vector.last_event_id,
                "{}",
                vector.proves
            );
            assert_eq!(
                parser.retry(),
                vector.retry.map(Duration::from_millis),
                "{}",
                vector.proves
            );
        }
    }
}

#[test]
fn an_independent_parser_agrees() {
    // It refuses what is not UTF-8, by design.
    for vector in VECTORS
        .iter()
        .filter(|v| std::str::from_utf8(v.stream).is_ok())
    {
        assert_eq!(
            parse_independently(vector.stream),
            vector.expected(),
            "{}",
            vector.proves
        );
    }
}
