//! A response of JSON lines.

use std::convert::Infallible;

use http::header::HeaderMap;

use super::{Context, new_key};
use crate::ended::Ended;
use crate::error::ClientError;
use crate::feed::Feed;
use crate::message::{Message, garbled};
use crate::state::Link;

pub(super) async fn run(
    context: &Context,
    headers: HeaderMap,
    feed: &mut Feed,
) -> Result<Infallible, Ended> {
    let key = new_key()?;
    let own = [("transport", "stream"), ("session", &key)];
    let uri = context.uri("http", feed, &own)?;
    feed.set_link(Link::Key(key.clone()));
    let patience = context.connect_timeout;
    let response = context
        .get(headers, uri, "application/x-ndjson", patience)
        .await?;
    feed.answered(patience);
    let mut body = response.into_body();
    let mut line = Vec::new();
    loop {
        let bytes = context.more(&mut body, feed).await?;
        feed.heard();
        let mut rest = &bytes[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            extend(&mut line, &rest[..end], context.max_message)?;
            rest = &rest[end + 1..];
            let whole = std::mem::take(&mut line);
            if whole.is_empty() {
                continue;
            }
            let text = std::str::from_utf8(&whole).map_err(garbled)?;
            feed.take(Message::read(text)?).await?;
        }
        extend(&mut line, rest, context.max_message)?;
    }
}

fn extend(line: &mut Vec<u8>, part: &[u8], limit: usize) -> Result<(), Ended> {
    if line.len() + part.len() > limit {
        return Err(Ended::Final(ClientError::TooLarge { limit }));
    }
    line.extend_from_slice(part);
    Ok(())
}
