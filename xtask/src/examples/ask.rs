//! Questions to examples.

use std::time::Duration;

use super::{START, listening};
use crate::failure::{Failure, Result, While as _};
use crate::process::Running;
use crate::wire::{Response, Url, WebSocket, get, post};

/// How long one exchange may take.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a server may take to go after SIGTERM.
const STOP: Duration = Duration::from_secs(5);

/// It says something and ends without an error.
pub(super) fn ends_by_itself(running: &mut Running) -> Result {
    running.line("line", START, |line| (!line.is_empty()).then_some(()))?;
    running.exits_cleanly(START)
}

/// Its stream carries events with ids, without anybody else publishing.
pub(super) fn counts_over_sse(running: &mut Running) -> Result {
    let url = events(&listening(running, &["http"])?);
    let mut stream = event_stream(&url)?;
    // The first block is the server's own; a second id is an event's.
    stream.wait_for("\n\n")?;
    let first = stream.take();
    if !first.contains("event: eventcast.open") {
        return Err(Failure::new(format!("the stream starts with {first:?}")));
    }
    stream.wait_for("\ndata: ")?;
    stream.wait_for("\nid: ")?;
    Ok(())
}

/// Its WebSocket carries events with ids, without anybody else publishing.
pub(super) fn counts_over_websocket(running: &mut Running) -> Result {
    let url = events(&listening(running, &["ws", "http"])?);
    let mut socket = WebSocket::open(&url, "eventcast.v1+json", ANSWER)?;
    loop {
        let message = socket.text()?;
        // Only an event has an id and no type.
        if message.contains("\"id\"") && !message.contains("\"type\"") {
            return Ok(());
        }
    }
}

/// It is healthy, serves its page, delivers what is published, and stops when told.
pub(super) fn hub(running: &mut Running) -> Result {
    let hub = listening(running, &["http"])?;
    get(&hub.with_target("/healthz"), "*/*", ANSWER)?
        .success()
        .during("GET /healthz")?;

    let mut page = get(&hub.with_target("/"), "text/html", ANSWER)?
        .success()
        .during("GET /")?;
    if !page.text()?.contains("<html") {
        return Err(Failure::new("GET / is not an HTML page"));
    }

    let mut stream = event_stream(&hub.with_target("/events?channel=news"))?;
    stream.wait_for("event: eventcast.open")?;
    let mut answer = post(
        &hub.with_target("/channels/news"),
        "text/plain; charset=utf-8",
        "hello",
        ANSWER,
    )?
    .success()
    .during("POST /channels/news")?;
    let answer = answer.text()?;
    let id = answer
        .split_once("\"id\":\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(id, _)| id)
        .ok_or_else(|| Failure::new(format!("POST answered without an id: {answer}")))?;
    stream.wait_for("data: hello")?;
    stream.wait_for(&format!("id: {id}\n"))?;

    running.terminate()?;
    running.exits_cleanly(STOP)
}

fn event_stream(url: &Url) -> Result<Response> {
    let asking = format!("GET {}", url.target);
    let stream = get(url, "text/event-stream", ANSWER)?
        .success()
        .during(&asking)?;
    match stream.header("content-type") {
        Some(value) if value.starts_with("text/event-stream") => Ok(stream),
        other => Err(Failure::new(format!("{asking}: content-type is {other:?}"))),
    }
}

/// An example may print its server's address only.
fn events(url: &Url) -> Url {
    if url.target == "/" {
        return url.with_target("/events?channel=counter");
    }
    url.clone()
}
