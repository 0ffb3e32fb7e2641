//! An AI's answer that survives its readers: tokens are produced whether or not somebody listens,
//! a reload in the middle goes on where it was, whoever comes late gets all of it, and at the end
//! nobody reconnects for ever.
//!
//! Run with
//! ```text
//! cargo run --example resumable_answer
//! curl -N 'http://127.0.0.1:PORT/events?channel=answers/1&start=earliest'
//! ```
//! or open the address in two tabs and reload one while it writes.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use eventcast::{Event, EventService, Hub, Server, ServiceConfig};
use futures_util::{Stream, StreamExt, stream};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response};

const PAGE: &str = r#"<!doctype html><title>A resumable answer</title>
<pre id="answer" style="white-space: pre-wrap; font: 1.2rem/1.5 system-ui"></pre>
<script>
  const answer = document.getElementById("answer");
  const events = new EventSource("/events?channel=answers/1&start=earliest");
  events.onmessage = (token) => { answer.textContent += token.data };
  events.addEventListener("eventcast.gap", () => { answer.textContent = "… " });
  events.addEventListener("eventcast.completed", (end) => {
    if (JSON.parse(end.data).outcome === "failed") answer.textContent += " (failed)";
    events.close(); // Without this it would ask once more, and be told 204: do not come back.
  });
</script>"#;

const ANSWER: &str = "An event is published once and kept for a while. A reader is a place in the \
    log, not a queue: it can go away, come back over another connection, and read on from there.";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new();
    let answer = hub.channel("answers/1")?;
    let service = EventService::new(hub, ServiceConfig::new().with_fallback(page));
    let server = Server::bind("127.0.0.1:0", service).await?;
    println!("http://{}/", server.local_addr());

    // Nobody has to be connected: this goes on by itself.
    tokio::spawn(async move { answer.publish_all(tokens()).await });

    server
        .run(async { tokio::signal::ctrl_c().await.unwrap_or(()) })
        .await;
    Ok(())
}

/// What a model's stream of tokens would be. An `Err` would end the answer as failed.
fn tokens() -> impl Stream<Item = Result<Event, Infallible>> {
    stream::iter(ANSWER.split_inclusive(' ')).then(|token| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(Event::text(token))
    })
}

fn page(request: &Parts) -> Option<Response<Bytes>> {
    (request.method == Method::GET && request.uri.path() == "/").then(|| {
        let mut response = Response::new(Bytes::from_static(PAGE.as_bytes()));
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, html);
        response
    })
}
