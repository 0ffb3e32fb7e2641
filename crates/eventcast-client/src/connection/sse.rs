//! Server-Sent Events.

use std::convert::Infallible;

use eventcast_sse::{ParsedEvent, Parser, ParserConfig};
use http::header::HeaderMap;

use super::{Context, new_key};
use crate::ended::Ended;
use crate::error::{ClientError, Interruption};
use crate::feed::Feed;
use crate::message::{Message, position};
use crate::state::Link;

pub(super) async fn run(
    context: &Context,
    headers: HeaderMap,
    feed: &mut Feed,
) -> Result<Infallible, Ended> {
    let key = new_key()?;
    let own = [("format", "json"), ("transport", "sse"), ("session", &key)];
    let uri = context.uri("http", feed, &own)?;
    feed.set_link(Link::Key(key.clone()));
    let patience = context.connect_timeout;
    let response = context
        .get(headers, uri, "text/event-stream", patience)
        .await?;
    feed.answered(patience);
    let mut body = response.into_body();
    let limit = context.max_message;
    let mut parser = Parser::with_config(ParserConfig::new().with_max_event_bytes(limit));
    let mut last_id = String::new();
    loop {
        let bytes = context.more(&mut body, feed).await?;
        feed.heard();
        let mut events = Vec::new();
        let pushed = parser.push(&bytes, |event| events.push(event));
        for event in events {
            let message = read(&event, &mut last_id, &parser)?;
            feed.take(message).await?;
        }
        pushed.map_err(|_| Ended::Final(ClientError::TooLarge { limit }))?;
        // A block without data is no event, but its id counts.
        if parser.last_event_id() != last_id {
            parser.last_event_id().clone_into(&mut last_id);
            let id = Some(last_id.as_str()).filter(|id| !id.is_empty());
            feed.advance(id.map(position).transpose()?).await?;
        }
    }
}

fn read(
    event: &ParsedEvent,
    last_id: &mut String,
    parser: &Parser,
) -> Result<Message, Interruption> {
    // The parser gives the last id with every event; only a new one is this block's.
    let moved = event.last_event_id != *last_id && !event.last_event_id.is_empty();
    let id = moved.then(|| position(&event.last_event_id)).transpose()?;
    event.last_event_id.clone_into(last_id);
    match event.event_type().strip_prefix("eventcast.") {
        Some(kind) => Message::control(kind, &event.data, id, parser.retry()),
        None => Message::read(&event.data),
    }
}
