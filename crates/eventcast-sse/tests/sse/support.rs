//! What several tests need.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use eventcast_core::{Sleep, Timer};
use eventcast_sse::{ParsedEvent, Parser};
use futures_util::{FutureExt, StreamExt, stream};
use sse_stream::SseByteStream;

pub(crate) struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// What an event looks like to a browser: its name, data and id.
pub(crate) type Seen = (Option<String>, String, String);

pub(crate) fn seen(event: ParsedEvent) -> Seen {
    (event.name, event.data, event.last_event_id)
}

/// Reads pieces of one stream.
pub(crate) fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<ParsedEvent>, Parser) {
    let mut parser = Parser::new();
    let mut events = Vec::new();
    for piece in pieces {
        parser
            .push(piece, |event| events.push(event))
            .expect("the stream is within the limits");
    }
    (events, parser)
}

/// Reads a stream with a parser of other authors. That one gives raw blocks; dispatching and
/// keeping the id, the rest of what a browser does, is done here.
pub(crate) fn parse_independently(stream: &[u8]) -> Vec<Seen> {
    let bytes = Bytes::copy_from_slice(stream);
    let blocks: Vec<_> = SseByteStream::new(stream::iter([Ok::<_, Infallible>(bytes)]))
        .map(|block| block.expect("the stream is UTF-8"))
        .collect()
        .now_or_never()
        .expect("all bytes are there");
    let mut last_event_id = String::new();
    let mut events = Vec::new();
    for block in blocks {
        if let Some(id) = block.id {
            last_event_id = id;
        }
        if let Some(data) = block.data {
            let name = block.event.filter(|name| !name.is_empty());
            events.push((name, data, last_event_id.clone()));
        }
    }
    events
}
