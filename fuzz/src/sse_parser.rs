//! The event stream's parser, against the standard and against itself.

use std::time::Duration;

use eventcast_sse::{ParseError, Parser, ParserConfig};

use crate::sse_reference::{Reference, Seen, seen};

/// Three bytes are the limit of an event, how the stream is split, and where it is cut and begun
/// anew; the rest is the stream.
///
/// # Panics
/// When the events are not those of the standard, depend on the splits, or exceed the limit.
pub fn sse_parser(bytes: &[u8]) {
    let Some((&[limit, split, cut], stream)) = bytes.split_first_chunk() else {
        return;
    };
    let cut = stream.len() * usize::from(cut) / 255;
    let streams = [&stream[..cut], &stream[cut..]];
    let mut reference = Reference::default();
    for stream in streams {
        reference.read(stream);
    }

    let whole = read(ParserConfig::new(), &streams, usize::MAX);
    assert_eq!(whole.events, reference.events);
    assert_eq!(whole.last_event_id, reference.last_event_id);
    assert_eq!(whole.retry, reference.retry.map(Duration::from_millis));
    assert_eq!(whole.result, Ok(()));

    let limit = usize::from(limit);
    let config = ParserConfig::new().with_max_event_bytes(limit);
    let limited = read(config, &streams, usize::MAX);
    assert!(reference.events.starts_with(&limited.events));
    match limited.result {
        Ok(()) => assert_eq!(limited.events, reference.events),
        Err(error) => {
            assert_eq!(error, ParseError::TooLarge { limit });
            assert!(reference.largest > limit, "it fits: {reference:?}");
        }
    }
    for (event, size) in limited.events.iter().zip(&reference.sizes) {
        assert!(*size <= limit && event.2.len() <= limit, "{event:?}");
    }

    for size in [1, 2 + usize::from(split)] {
        assert_eq!(read(ParserConfig::new(), &streams, size), whole);
        assert_eq!(read(config, &streams, size), limited);
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    events: Vec<Seen>,
    last_event_id: String,
    retry: Option<Duration>,
    result: Result<(), ParseError>,
}

/// Reads streams one after the other, in pieces of up to `size` bytes, until one fails.
fn read(config: ParserConfig, streams: &[&[u8]], size: usize) -> Outcome {
    let mut parser = Parser::with_config(config);
    let mut events = Vec::new();
    let mut result = Ok(());
    for stream in streams {
        parser.restart();
        // Pieces of different sizes, one of them empty.
        let mut next = size;
        let mut rest = *stream;
        while !rest.is_empty() && result.is_ok() {
            let (piece, after) = rest.split_at(next.min(rest.len()));
            result = parser.push(piece, |event| events.push(seen(event)));
            rest = after;
            next = if next == 0 { size } else { next / 2 };
        }
        if result.is_err() {
            break;
        }
    }
    Outcome {
        events,
        last_event_id: parser.last_event_id().to_owned(),
        retry: parser.retry(),
        result,
    }
}
