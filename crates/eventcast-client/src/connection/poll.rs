//! One request after another.

use std::convert::Infallible;
use std::time::Duration;

use http::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Context, new_key};
use crate::ended::Ended;
use crate::error::{ClientError, Interruption};
use crate::exchange::read;
use crate::feed::Feed;
use crate::message::{Message, garbled, position};
use crate::state::Link;

#[derive(Deserialize)]
struct Document<'a> {
    position: Option<String>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    end: Option<String>,
    retry: Option<u64>,
}

pub(super) async fn run(
    context: &Context,
    mut headers: HeaderMap,
    feed: &mut Feed,
) -> Result<Infallible, Ended> {
    let key = new_key()?;
    let wait = context.poll_wait.as_secs().to_string();
    let own = [("transport", "poll"), ("wait", &wait), ("session", &key)];
    feed.set_link(Link::Key(key.clone()));
    let limit = context.max_message;
    loop {
        let before = feed.position();
        let told = feed.told;
        let uri = context.uri("http", feed, &own)?;
        // Only an answer to an id waits.
        let waits = before.map_or(Duration::ZERO, |_| context.poll_wait);
        let patience = context.connect_timeout + waits;
        let response = context
            .get(headers, uri, "application/json", patience)
            .await?;
        // A token that was refreshed meanwhile is the next poll's.
        headers = context.credentials.known();
        let body = read(response.into_body(), limit, patience).await;
        let body = body.map_err(|unread| Ended::unread(unread, limit))?;
        let document: Document<'_> = serde_json::from_slice(&body).map_err(garbled)?;
        if feed.opened {
            feed.heard();
        } else {
            feed.open(None, None).await?;
        }
        let messages = document.events.into_iter();
        let messages: Vec<_> = messages.map(|event| Message::read(event.get())).collect();
        let is_stalled = messages.iter().flatten().any(Message::is_stall);
        if !is_stalled {
            // Each poll says so as long as it lasts, and none that it is over.
            feed.take(Message::recovery()).await?;
        }
        for message in messages {
            feed.take(message?).await?;
        }
        let after = document.position.as_deref().map(position).transpose()?;
        feed.advance(after).await?;
        match document.end.as_deref() {
            None => {}
            Some("completed") => return Err(Ended::Completed),
            Some("closed") => return Err(Ended::Final(ClientError::Closed)),
            Some("draining") => {
                let retry = document.retry.map(Duration::from_millis);
                return Err(Ended::Draining { retry });
            }
            Some(other) => return Err(Interruption::Ended(other.to_owned()).into()),
        }
        if told == feed.told && before.is_some() {
            // A server that brings nothing and does not wait is not asked without a pause.
            tokio::time::sleep(PAUSE).await;
        }
    }
}

const PAUSE: Duration = Duration::from_millis(100);
