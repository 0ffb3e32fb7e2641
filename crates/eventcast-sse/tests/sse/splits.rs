//! Where the pieces of a stream are cut makes no difference.

use eventcast_sse::{ParsedEvent, Parser};

use crate::support::{parse, seen};

const NASTY: &[&[u8]] = &[
    b"\xEF\xBB\xBFdata: a\r\n\r\ndata: b\r\rid: 1\ndata\n\n",
    b"\xEF\xBBid: 0\r\nretry: 25\r\n: c\r\nid:2\r\ndata:  \xF0\x9F\x98\x80\r\ndata:\r\n\r\n",
    b"\r\n\n\rdata:\r\rdata: \n\ndata:  \n\nevent: x\r\ndata: y\r\n\r\n\r\n",
    b"encoding: base64\ndata: AP8=\n\nencodingx: no\ndatadata: z\ndata: :\n\nid: 3\x00\r\rid: 4",
    b"data: \xFF\xE2\x82\n\ndata: \xE2\x82\xAC\nevent: eventcast.open\nid: zzzzzzzz-a1\n\n:\n:\n",
];

fn outcome(pieces: &[&[u8]]) -> (Vec<ParsedEvent>, String, Option<std::time::Duration>) {
    let (events, parser) = parse(pieces.iter().copied());
    let id = parser.last_event_id().to_owned();
    (events, id, parser.retry())
}

#[test]
fn every_split_in_two_and_in_three() {
    for stream in NASTY {
        let whole = outcome(&[stream]);
        assert!(!whole.0.is_empty());
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(outcome(&pieces), whole, "{pieces:?}");
            }
        }
    }
}

#[test]
fn an_event_comes_with_the_byte_that_ends_its_blank_line() {
    // After a CR it does not wait for the LF that may belong to it.
    for (stream, end) in [
        ("data: x\n\n", 9),
        ("data: x\r\r", 9),
        ("data: x\r\n\r\n", 10),
    ] {
        let mut parser = Parser::new();
        let mut came = None;
        for (index, byte) in stream.bytes().enumerate() {
            parser
                .push(&[byte], |_| {
                    assert_eq!(came.replace(index + 1), None);
                })
                .unwrap();
        }
        assert_eq!(came, Some(end), "{stream:?}");
    }
}

#[test]
fn a_restarted_parser_begins_a_stream_and_keeps_the_id() {
    let mut parser = Parser::new();
    let mut events = Vec::new();
    let mut push = |parser: &mut Parser, bytes: &[u8]| {
        parser
            .push(bytes, |event| events.push(seen(event)))
            .unwrap();
    };
    push(
        &mut parser,
        b"retry: 9\nid: 1\ndata: a\n\nid: 2\nevent: cut\nencoding: no\ndata: b\r",
    );
    parser.restart();
    assert_eq!(parser.last_event_id(), "1");
    push(&mut parser, b"\xEF\xBB\xBF");
    push(&mut parser, b"data: c\n\n");
    assert_eq!(parser.retry().map(|retry| retry.as_millis()), Some(9));
    let event = |data: &str| (None, data.to_owned(), "1".to_owned());
    assert_eq!(events, [event("a"), event("c")]);
}
