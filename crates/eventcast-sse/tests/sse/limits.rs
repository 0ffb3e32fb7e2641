//! Bounds: of memory, and of work.

use eventcast_sse::{DecodeError, ParseError, Parser, ParserConfig};

use crate::support::parse;

fn push(parser: &mut Parser, bytes: &[u8]) -> (usize, Result<(), ParseError>) {
    let mut events = 0;
    let result = parser.push(bytes, |_| events += 1);
    (events, result)
}

fn small() -> Parser {
    Parser::with_config(ParserConfig::new().with_max_event_bytes(10))
}

#[test]
fn an_event_of_the_limit_passes_and_one_byte_more_fails() {
    assert_eq!(push(&mut small(), b"data: 0123456789\n\n"), (1, Ok(())));
    for stream in [
        "data: 0123456789a",
        "data: 01234\ndata: 56789",
        "event: 01234\ndata: 567890",
        "id: 01234\ndata: 567890",
        "encoding: 01234\ndata: 567890",
        "retry: 00000000001",
        "event: 01234567890",
    ] {
        let error = Err(ParseError::TooLarge { limit: 10 });
        assert_eq!(push(&mut small(), stream.as_bytes()).1, error, "{stream}");
        let mut parser = small();
        let bytewise = stream.bytes().map(|byte| push(&mut parser, &[byte]).1);
        assert_eq!(bytewise.last(), Some(error), "{stream}");
    }
}

#[test]
fn many_events_within_the_limit_pass() {
    let mut parser = small();
    for _ in 0..100 {
        let stream = b"event: ab\nid: 12\ndata: 0123\n\n";
        assert_eq!(push(&mut parser, stream), (1, Ok(())));
    }
}

#[test]
fn what_is_not_kept_does_not_count() {
    let mut parser = small();
    let long = "x".repeat(1000);
    let stream = format!(":{long}\n{long}: y\ncolour: {long}\n{long}\ndata: 0123456789\n\n");
    assert_eq!(push(&mut parser, stream.as_bytes()), (1, Ok(())));
    for _ in 0..1000 {
        assert_eq!(push(&mut parser, b":\n"), (0, Ok(())));
    }
}

#[test]
fn a_failed_parser_stays_failed_until_it_is_restarted() {
    let mut parser = small();
    let error = Err(ParseError::TooLarge { limit: 10 });
    let stream = b"id: 1\ndata: a\n\nid: 2\ndata: 0123456789\n\ndata: b\n\n";
    assert_eq!(push(&mut parser, stream), (1, error));
    assert_eq!(push(&mut parser, b"\n\ndata: b\n\n"), (0, error));
    assert_eq!(parser.last_event_id(), "1");
    parser.restart();
    assert_eq!(push(&mut parser, b"data: b\n\n"), (1, Ok(())));
}

/// A parser that looked at a line again with each piece would have 3 * 10^13 bytes to look at.
#[test]
fn a_long_line_in_single_bytes_is_read_in_linear_time() {
    let length = ParserConfig::new().max_event_bytes();
    let mut stream = b"data: ".to_vec();
    stream.resize(6 + length, b'x');
    stream.extend_from_slice(b"\n\n");
    let (events, _) = parse(stream.chunks(1));
    assert_eq!(events[0].data.len(), length);
}

#[test]
fn encoded_data_is_decoded() {
    let event = |stream: &str| parse([stream.as_bytes()]).0.remove(0);
    let decoded = event("encoding: base64\ndata: AP8=\n\n").decode().unwrap();
    assert_eq!(decoded[..], [0, 255]);
    let bad = event("encoding: base64\ndata: A\n\n").decode();
    assert!(matches!(bad, Err(DecodeError::Base64(_))), "{bad:?}");
    let unknown = event("encoding: rot13\ndata: A\n\n").into_payload();
    assert!(
        matches!(unknown, Err(DecodeError::UnknownEncoding)),
        "{unknown:?}"
    );
    let next = event("encoding: rot13\n\nencoding:\ndata: A\n\n");
    assert_eq!(next.encoding, None);
    assert_eq!(next.decode().unwrap(), "A");
}

#[test]
fn a_kept_id_does_not_count_towards_the_events_that_follow() {
    let mut parser = small();
    let mut events = Vec::new();
    for bytes in [&b"id: 0123456789\n\n"[..], b"data: 0123456789\n\n"] {
        parser.push(bytes, |event| events.push(event)).unwrap();
    }
    assert_eq!(parser.last_event_id(), "0123456789");
    assert_eq!(events[0].data, "0123456789");
}

/// Bytes that are not UTF-8 grow as they are read: each of these four becomes three.
#[test]
fn what_counts_is_what_an_event_holds() {
    let error = Err(ParseError::TooLarge { limit: 10 });
    for field in ["data", "event", "id", "encoding"] {
        let stream = |bytes: &[u8]| [field.as_bytes(), b": ", bytes, b"\ndata\n\n"].concat();
        let fits = stream(b"\xff\xff\xff");
        assert_eq!(push(&mut small(), &fits), (1, Ok(())), "{field}");
        let mut parser = small();
        let large = stream(b"\xff\xff\xff\xff");
        assert_eq!(push(&mut parser, &large), (0, error), "{field}");
        assert_eq!(parser.last_event_id(), "", "{field}");
    }
}
