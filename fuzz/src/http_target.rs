//! What an HTTP request asks for: its path, query and headers.

use std::cell::RefCell;

use bytes::{Buf, Bytes};
use eventcast::{AllowedOrigins, EventService, Permissions, ResponseBody, ServiceConfig};
use eventcast_core::{ChannelName, Epoch, Event, Hub, HubConfig, Position};
use eventcast_sse::Parser;
use eventcast_testkit::poll_once;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// A request as it stands on the wire: a line with method and target, header lines, an empty line,
/// the body. Its body is a channel's name as well, which has to come back from path and query.
///
/// # Panics
/// When an answer is neither a success nor a problem document that blames the client.
pub fn http_target(bytes: &[u8]) {
    thread_local! {
        static RUNTIME: RefCell<Runtime> = RefCell::new(
            Builder::new_current_thread().enable_time().build().expect("threads need no leave"),
        );
    }
    let (head, body) = split(bytes, b"\n\n");
    RUNTIME.with_borrow(|runtime| {
        if let Some(request) = request(head, body) {
            runtime.block_on(check_answer(request));
        }
        if let Ok(name) = std::str::from_utf8(body) {
            runtime.block_on(check_channel(name));
        }
    });
}

async fn check_answer(request: Request<Full<Bytes>>) {
    let service = service();
    let method = request.method().clone();
    let response = service.handle(request).await;
    let status = response.status();
    let kind = content_type(&response).to_owned();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // The connection is nobody's, and ends by itself.
        drop(response);
        service.sessions_ended().await;
        return;
    }
    let bytes = read(response);
    assert_eq!(service.subscribers(), Default::default());
    if status.is_client_error() {
        let document: Value = serde_json::from_slice(&bytes).expect("a problem is JSON");
        assert_eq!(kind, "application/problem+json");
        assert_eq!(document["status"], status.as_u16());
        assert!(document["title"].is_string() && document["detail"].is_string());
        return;
    }
    assert!(status.is_success(), "{status}");
    match &*kind {
        _ if method == Method::HEAD => {}
        "application/json" => drop(serde_json::from_slice::<Value>(&bytes).expect("it is JSON")),
        "text/event-stream" => check_stream(&bytes),
        _ => assert_eq!((status, bytes.len()), (StatusCode::NO_CONTENT, 0)),
    }
}

/// A stream begins with its opening, and every id in it can be resumed with.
fn check_stream(bytes: &[u8]) {
    let mut parser = Parser::new();
    let mut events = Vec::new();
    let read = parser.push(bytes, |event| events.push(event));
    assert_eq!(read, Ok(()));
    assert_eq!(events[0].event_type(), "eventcast.open");
    for event in &events {
        let id = &event.last_event_id;
        assert!(id.is_empty() || id.parse::<Position>().is_ok(), "{id}");
    }
}

/// A name that is valid is understood in a path and in a query, and one that is not is refused.
async fn check_channel(name: &str) {
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    let service = service();
    let publish = Request::post(format!("/channels/{encoded}")).body(Full::<Bytes>::from("x"));
    let Ok(publish) = publish else {
        return; // Too long for a target.
    };
    let response = service.handle(publish).await;
    let is_valid = ChannelName::new(name).is_ok();
    if name != "done" {
        assert_eq!(response.status().is_success(), is_valid, "{name:?}");
    }
    if !is_valid {
        return;
    }
    let subscribe = format!("/events?start=earliest&format=json&channel={encoded}");
    let subscribe = Request::get(subscribe).body(Full::<Bytes>::default());
    let response = service.handle(subscribe.expect("as above")).await;
    // The encoding stands for what is not UTF-8 as well, and such a name is refused.
    if name.contains(char::REPLACEMENT_CHARACTER) {
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        return;
    }
    let mut channels = Vec::new();
    let stream = read(response);
    let read = Parser::new().push(&stream, |event| {
        let message: Value = serde_json::from_str(&event.data).expect("JSON was asked for");
        channels.extend(message["channels"].get(0).cloned());
        channels.extend(message.get("channel").cloned());
    });
    assert_eq!(read, Ok(()));
    assert!(channels.len() >= 2 && channels.iter().all(|channel| channel == name));
}

/// A service that allows everything, over a hub with an open channel and a completed one.
fn service() -> EventService {
    let hub = Hub::with_config(HubConfig::new().with_epoch(Epoch::from_bits(7)));
    let json = Event::json(&[1]).expect("an array is JSON");
    for event in [Event::text("x\ny"), json, Event::binary(vec![0, 255])] {
        hub.try_publish("a", event).expect("a valid name");
    }
    hub.complete("done").expect("a valid name");
    let everything = |_: &http::request::Parts| Ok(Permissions::all());
    let config = ServiceConfig::new()
        .with_authenticator(everything)
        .with_allowed_origins(AllowedOrigins::same_origin().and("http://o"));
    EventService::new(hub, config)
}

fn request(head: &[u8], body: &[u8]) -> Option<Request<Full<Bytes>>> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, target) = split(lines.next()?, b" ");
    let mut request = Request::new(Full::from(Bytes::copy_from_slice(body)));
    *request.method_mut() = Method::from_bytes(method).ok()?;
    *request.uri_mut() = Uri::try_from(target).ok()?;
    for line in lines {
        let (name, value) = split(line, b": ");
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

fn content_type(response: &Response<ResponseBody>) -> &str {
    let value = response.headers().get(CONTENT_TYPE);
    value.map_or("", |value| value.to_str().expect("it is ASCII"))
}

/// What is there of a body that may have no end.
fn read(response: Response<ResponseBody>) -> Vec<u8> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    // An event stream that has nothing more for now is pending.
    while let Some(Some(Ok(frame))) = poll_once(body.frame()) {
        let mut data = frame.into_data().expect("there are no trailers");
        bytes.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    bytes
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> (&'a [u8], &'a [u8]) {
    let found = bytes.windows(at.len()).position(|part| part == at);
    found.map_or((bytes, &[]), |found| {
        (&bytes[..found], &bytes[found + at.len()..])
    })
}
