//! A subscription over any transport, as a row of messages.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::ext::Protocol as Extended;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::lines::{Lines, Step, parse};
use crate::link::{Link, Protocol, Trouble};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Sse,
    Stream,
    WebSocket,
    Poll,
}

impl Transport {
    pub(crate) const ALL: [Self; 4] = [Self::Sse, Self::Stream, Self::WebSocket, Self::Poll];

    fn parameter(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::Stream => "stream",
            Self::WebSocket => "websocket",
            Self::Poll => "poll",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sse => "Server-Sent Events",
            Self::Stream => "stream of JSON lines",
            Self::WebSocket => "WebSocket",
            Self::Poll => "long-polling",
        })
    }
}

/// An open subscription, or for long-polling the connection over which it asks.
pub(crate) struct Subscription {
    link: Link,
    source: Source,
    steps: VecDeque<Step>,
}

enum Source {
    Lines(Lines, Incoming),
    Socket(Box<WebSocketStream<TokioIo<Upgraded>>>),
    Poll { query: String, is_over: bool },
}

impl Subscription {
    /// Subscribes from the earliest event on, or after `id`. A poll waits so many seconds.
    pub(crate) async fn open(
        mut link: Link,
        transport: Transport,
        channel: &str,
        id: Option<&str>,
        wait: u32,
    ) -> Result<Self, Trouble> {
        let parameter = transport.parameter();
        let mut query = format!("/events?channel={channel}&start=earliest&transport={parameter}");
        let source = match transport {
            Transport::Poll => Source::Poll {
                query: format!("{query}&wait={wait}"),
                is_over: false,
            },
            Transport::WebSocket => {
                query = format!("{query}&last_event_id={}", id.unwrap_or_default());
                Source::Socket(Box::new(websocket(&mut link, &query).await?))
            }
            Transport::Sse | Transport::Stream => {
                let lines = match transport {
                    Transport::Sse => Lines::sse(),
                    _ => Lines::ndjson(),
                };
                let query = format!("{query}&format=json");
                Source::Lines(lines, get(&mut link, &query, id).await?)
            }
        };
        Ok(Self {
            link,
            source,
            steps: VecDeque::new(),
        })
    }

    /// What comes next; `None` at the proper end. `id` is the last one the client has.
    pub(crate) async fn next(&mut self, id: Option<&str>) -> Result<Option<Step>, Trouble> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Ok(Some(step));
            }
            match &mut self.source {
                Source::Lines(lines, body) => {
                    let Some(frame) = body.frame().await else {
                        return Ok(None);
                    };
                    if let Ok(data) = frame.map_err(Trouble::cut)?.into_data() {
                        let steps = &mut self.steps;
                        lines.push(&data, steps).map_err(Trouble::Wrong)?;
                    }
                }
                Source::Socket(socket) => match socket.next().await {
                    None | Some(Ok(Message::Close(_))) => return Ok(None),
                    Some(Ok(Message::Text(text))) => {
                        let message = parse(&text).map_err(Trouble::Wrong)?;
                        return Ok(Some(Step::Message(message)));
                    }
                    Some(Ok(Message::Ping(_))) => return Ok(Some(Step::Heartbeat)),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(Trouble::cut(error)),
                },
                Source::Poll { is_over: true, .. } => return Ok(None),
                Source::Poll { query, is_over } => {
                    let body = get(&mut self.link, query, id).await?;
                    let body = body.collect().await.map_err(Trouble::cut)?.to_bytes();
                    let text = String::from_utf8_lossy(&body);
                    let document = parse(&text).map_err(Trouble::Wrong)?;
                    *is_over = document["end"].is_string();
                    self.steps.extend(document_steps(document));
                }
            }
        }
    }
}

/// A poll's answer in the words of the other transports.
fn document_steps(mut document: Value) -> Vec<Step> {
    let events = document["events"].take();
    let mut steps: Vec<Step> = match events {
        Value::Array(events) if !events.is_empty() => {
            events.into_iter().map(Step::Message).collect()
        }
        _ => vec![Step::Heartbeat],
    };
    if let Some(position) = document["position"].as_str() {
        let position = json!({"type": "position", "id": position});
        steps.push(Step::Message(position));
    }
    if let Some(end) = document["end"].as_str() {
        let retry = &document["retry"];
        steps.push(Step::Message(json!({"type": end, "retry": retry})));
    }
    steps
}

async fn get(link: &mut Link, target: &str, id: Option<&str>) -> Result<Incoming, Trouble> {
    let mut request = Request::get("/").header("accept-encoding", "gzip");
    if let Some(id) = id {
        request = request.header("last-event-id", id);
    }
    let response = link.send(target, request, Bytes::new()).await?;
    if response.status() != StatusCode::OK {
        return Err(Trouble::Wrong(format!("status {}", response.status())));
    }
    if let Some(encoding) = response.headers().get("content-encoding") {
        return Err(Trouble::Wrong(format!("it comes encoded: {encoding:?}")));
    }
    Ok(response.into_body())
}

async fn websocket(
    link: &mut Link,
    target: &str,
) -> Result<WebSocketStream<TokioIo<Upgraded>>, Trouble> {
    let request = Request::builder().header("sec-websocket-version", "13");
    let (request, wanted) = if link.protocol == Protocol::Http2 {
        // The proxy's settings, which allow it, have come before its first answer.
        link.ask(Method::GET, "/healthz", &[], "").await?;
        let protocol = Extended::from_static("websocket");
        let request = request.method(Method::CONNECT).extension(protocol);
        (request, StatusCode::OK)
    } else {
        let request = request
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        (request, StatusCode::SWITCHING_PROTOCOLS)
    };
    let response = link.send(target, request, Bytes::new()).await?;
    if response.status() != wanted {
        let status = response.status();
        return Err(Trouble::Wrong(format!(
            "the handshake's status is {status}"
        )));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(Trouble::cut)?;
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None);
    Ok(socket.await)
}
