//! Questions to examples.

use std::time::Duration;

use super::{START, listening};
use crate::failure::{Failure, Result, While as _};
use crate::process::Running;
use crate::wire::{Message, Response, Url, WebSocket, get, post};

/// How long one exchange may take.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// How long a server may take to go after SIGTERM.
pub(super) const STOP: Duration = Duration::from_secs(5);

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
    let mut socket = WebSocket::open(&url, Some("eventcast.v1+json"), ANSWER)?;
    loop {
        let message = socket.text()?;
        // Only an event has an id and no type.
        if message.contains("\"id\"") && !message.contains("\"type\"") {
            return Ok(());
        }
    }
}

/// What it is sent comes back, in order and with its opcode.
pub(super) fn sends_back(running: &mut Running) -> Result {
    let url = listening(running, &["ws"])?;
    echoes(&url)
}

fn echoes(url: &Url) -> Result {
    let mut socket = WebSocket::open(url, None, ANSWER)?;
    let messages = [Message::Text("hello".into()), Message::Binary(vec![0, 255])];
    for message in &messages {
        socket.send(message)?;
    }
    for sent in messages {
        let came = socket.message()?;
        if came != sent {
            return Err(Failure::new(format!("{sent:?} came back as {came:?}")));
        }
    }
    Ok(())
}

/// What it publishes after a snapshot comes after the snapshot's position.
pub(super) fn joins_its_stream(running: &mut Running) -> Result {
    let url = listening(running, &["http"])?;
    let mut response = get(&url.with_target("/snapshot"), "*/*", ANSWER)?;
    let snapshot = response.text()?;
    let position = snapshot.split('"').nth(3).unwrap_or_default();
    let target = format!("/events?channel=stock&last_event_id={position}");
    let mut stream = event_stream(&url.with_target(&target))?;
    stream.wait_for(&format!("\nid: {position}\n\n"))?;
    stream.wait_for("\ndata: [\"")?;
    Ok(())
}

/// It is healthy, serves its page and its echo, delivers what is published, and stops when told.
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

    echoes(&hub.with_target("/echo")).during("/echo")?;

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

pub(super) fn event_stream(url: &Url) -> Result<Response> {
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
