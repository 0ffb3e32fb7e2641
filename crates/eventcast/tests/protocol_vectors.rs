//! `docs/protocol-vectors.json`, which clients in other languages are tested with, against what is
//! built here.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes};
use eventcast::sse::{ParsedEvent, Parser};
use eventcast::{
    ClientRequest, End, ErrorCode, Event, EventService, Hub, Payload, Position, Refusal,
    RequestHandler, ResponseBody, Retention, ServerConfig,
};
use eventcast_testkit::{MemoryLog, MemoryNode, poll_once};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use serde_json::{Value, json};
use support::websocket::WebSocket;
use support::{TestServer, everything, known_epoch, known_ids, quiet};

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol-vectors.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a text, not {value}"))
}

#[test]
fn ids() {
    let vectors = vectors();
    for id in list(&vectors["ids"]["valid"]) {
        let position: Position = text(id).parse().unwrap_or_else(|_| panic!("{id}"));
        assert_eq!(position.to_string(), text(id));
    }
    for id in list(&vectors["ids"]["invalid"]) {
        assert!(text(id).parse::<Position>().is_err(), "{id}");
    }
    for ordered in list(&vectors["ids"]["ordered"]) {
        let ids: Vec<&str> = list(ordered).iter().map(text).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        let number = |id: &&str| id.parse::<Position>().unwrap().sequence();
        assert!(ids.iter().is_sorted_by_key(number), "{ids:?}");
    }
}

#[test]
fn event_streams() {
    for vector in list(&vectors()["event_streams"]) {
        let bytes = match vector["bytes"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => STANDARD.decode(text(&vector["base64"])).unwrap(),
        };
        for (events, last_id) in in_pieces(&bytes) {
            let events: Vec<Value> = events.iter().map(as_vector).collect();
            assert_eq!(events, list(&vector["events"]), "{}", vector["name"]);
            assert_eq!(last_id, text(&vector["last_id"]), "{}", vector["name"]);
        }
    }
}

fn as_vector(event: &ParsedEvent) -> Value {
    let mut vector = json!({
        "event": event.event_type(), "data": event.data, "last_id": event.last_event_id,
    });
    if let Some(encoding) = &event.encoding {
        vector["encoding"] = json!(encoding);
    }
    vector
}

/// What comes of the bytes at once, one by one, and in two pieces wherever they are cut.
fn in_pieces(bytes: &[u8]) -> Vec<(Vec<ParsedEvent>, String)> {
    let read = |pieces: &[&[u8]]| {
        let (mut parser, mut events) = (Parser::new(), Vec::new());
        for piece in pieces {
            parser.push(piece, |event| events.push(event)).unwrap();
        }
        (events, parser.last_event_id().to_owned())
    };
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let cut = (0..=bytes.len()).map(|at| read(&[&bytes[..at], &bytes[at..]]));
    cut.chain([read(&single)]).collect()
}

/// All that an exchange is answered with, for each transport: the bytes of the body, or the status
/// where it is not 200.
#[test]
fn exchanges() {
    let vectors = vectors();
    let mut wrong = Vec::new();
    let found: Vec<Value> = list(&vectors["exchanges"]).iter().map(answers).collect();
    for (vector, answers) in list(&vectors["exchanges"]).iter().zip(&found) {
        if vector["answers"] != *answers {
            wrong.push(format!("{}: {answers:#}", vector["name"]));
        }
    }
    if !wrong.is_empty() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exchanges.json");
        std::fs::write(&path, json!(found).to_string()).unwrap();
        panic!(
            "{}\nall answers are in {}",
            wrong.join("\n"),
            path.display()
        );
    }
    for (vector, answers) in list(&vectors["exchanges"]).iter().zip(&found) {
        let stream = answers["sse_json"].as_str().unwrap_or_default();
        for (events, last_id) in in_pieces(stream.as_bytes()) {
            assert_eq!(last_id, text(&vector["last_id"]), "{}", vector["name"]);
            let told = events.iter().filter(|event| !is_control(event));
            let told: Vec<&str> = told.map(|event| event.data.as_str()).collect();
            let lines = answers["stream"].as_str().unwrap_or_default().lines();
            let lines: Vec<&str> = lines.filter(|line| is_event(line)).collect();
            assert_eq!(told, lines, "{}", vector["name"]);
        }
    }
}

fn is_control(event: &ParsedEvent) -> bool {
    event.event_type().starts_with("eventcast.")
}

fn is_event(line: &str) -> bool {
    line.starts_with("{\"id\":") || line.starts_with("{\"type\":\"ephemeral\"")
}

fn answers(vector: &Value) -> Value {
    let mut answers = json!({});
    for (name, more) in [
        ("sse", ""),
        ("sse_json", "&format=json"),
        ("stream", "&transport=stream"),
        ("poll", "&transport=poll&wait=0"),
    ] {
        // Between two polls there is no session to which something could happen.
        if name != "poll" || vector["after"].is_null() {
            answers[name] = answer(vector, more);
        }
    }
    answers
}

fn answer(vector: &Value, more: &str) -> Value {
    // Outside of a runtime nobody spawns the drivers, and a publish wakes its readers itself.
    let (service, log) = service(vector);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        act(&service, &log, &vector["before"]).await;
        let query = text(&vector["query"]);
        let uri = format!("/events?{query}&session=0123456789abcdef012345{more}");
        let mut request = Request::get(uri);
        if let Some(id) = vector["last_event_id"].as_str() {
            request = request.header("last-event-id", id);
        }
        let response = service.handle(request.body(Empty::<Bytes>::new()).unwrap());
        let response: Response<ResponseBody> = response.await;
        if response.status() != 200 {
            return json!(response.status().as_u16());
        }
        let mut body = response.into_body();
        let mut read = String::new();
        more_of(&mut body, &mut read).await;
        for step in vector["after"].as_array().into_iter().flatten() {
            act(&service, &log, &json!([step])).await;
            if !step["log"].is_null() {
                // A log that is back before anybody looked was never away.
                more_of(&mut body, &mut read).await;
            }
        }
        more_of(&mut body, &mut read).await;
        json!(read)
    })
}

/// The service, and its hub's log if that is outside.
fn service(vector: &Value) -> (EventService, Option<Arc<MemoryNode>>) {
    let mut config = known_ids();
    if let Some(count) = vector["retain"].as_u64() {
        config = config.with_retention(Retention::new().with_count(count as usize));
    }
    let allowed = quiet()
        .with_authenticator(everything)
        .with_request_handler(Sum);
    if vector["log"].is_null() {
        return (EventService::new(Hub::with_config(config), allowed), None);
    }
    let log = MemoryLog::new().with_epoch(known_epoch()).node();
    let hub = poll_once(Hub::open(config, Arc::clone(&log)));
    let hub = hub.unwrap().unwrap();
    (EventService::new(hub, allowed), Some(log))
}

/// Reads what is there now.
async fn more_of(body: &mut ResponseBody, read: &mut String) {
    // Others of this thread, such as a change of the session, have their turn in between.
    for _ in 0..20 {
        tokio::task::yield_now().await;
        while let Some(Some(Ok(frame))) = body.frame().now_or_never() {
            let mut bytes = frame.into_data().unwrap();
            let bytes = bytes.copy_to_bytes(bytes.remaining());
            read.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

async fn act(service: &EventService, log: &Option<Arc<MemoryNode>>, steps: &Value) {
    for step in steps.as_array().into_iter().flatten() {
        let hub = service.hub();
        if let Some(channel) = step["publish"].as_str() {
            hub.publish(channel, event(step)).await.unwrap();
        } else if let Some(channel) = step["ephemeral"].as_str() {
            hub.publish_ephemeral(channel, event(step)).unwrap();
        } else if let Some(channel) = step["complete"].as_str() {
            hub.complete(channel).unwrap();
        } else if let Some(channel) = step["fail"].as_str() {
            hub.fail(channel, text(&step["reason"])).unwrap();
        } else if let Some(channel) = step["subscribe"].as_str() {
            let uri = format!("/sessions/0123456789abcdef012345?channel={channel}");
            let request = Request::post(uri).body(Empty::<Bytes>::new()).unwrap();
            let service = service.clone();
            tokio::spawn(async move { service.handle(request).await });
        } else if let Some(retry) = step["drain"].as_u64() {
            let retry = Some(Duration::from_millis(retry));
            service.end_sessions(End::Draining { retry });
        } else if let Some(what) = step["log"].as_str() {
            let log = log.as_ref().unwrap();
            match what {
                "stall" => log.stall(),
                _ => log.recover(),
            }
        } else if step["expire"] == true {
            service.end_sessions(End::Expired);
        } else {
            assert_eq!(*step, json!({"close": true}));
            service.end_sessions(End::Closed);
        }
    }
}

fn event(step: &Value) -> Event {
    let payload = if let Some(json) = step["json"].as_str() {
        Payload::json_text(json).unwrap()
    } else if let Some(base64) = step["base64"].as_str() {
        Payload::binary(STANDARD.decode(base64).unwrap())
    } else {
        Payload::text(text(&step["text"]))
    };
    let mut event = Event::new(payload);
    if let Some(name) = step["event"].as_str() {
        event = event.named(name).unwrap();
    }
    match step["key"].as_str() {
        Some(key) => event.keyed(key).unwrap(),
        None => event,
    }
}

/// A WebSocket brings the same objects as a stream, each a message.
#[tokio::test]
async fn exchanges_over_websocket() {
    for vector in list(&vectors()["exchanges"]) {
        let Some(lines) = vector["answers"]["stream"].as_str() else {
            continue;
        };
        if !vector["after"].is_null() {
            continue;
        }
        let (service, log) = service(vector);
        act(&service, &log, &vector["before"]).await;
        let server = eventcast::Server::bind("127.0.0.1:0", service.clone()).await;
        let server = TestServer::run(server.unwrap(), service);
        let id = vector["last_event_id"].as_str().unwrap_or_default();
        let target = format!("/events?{}&last_event_id={id}", text(&vector["query"]));
        let mut socket = WebSocket::open(&server, &target).await;
        for line in lines.lines() {
            let mut object: Value = serde_json::from_str(line).unwrap();
            if object["type"] == "end" {
                continue;
            }
            object.as_object_mut().unwrap().remove("session");
            assert_eq!(socket.json().await, object, "{}", vector["name"]);
        }
    }
}

/// Adds numbers up.
struct Sum;

#[async_trait::async_trait]
impl RequestHandler for Sum {
    async fn answer(&self, request: ClientRequest<'_>) -> Result<Payload, Refusal> {
        let numbers = request
            .payload
            .as_str()
            .map(serde_json::from_str::<Vec<i64>>);
        match (request.name, numbers) {
            ("sum", Some(Ok(numbers))) => {
                let sum: i64 = numbers.iter().sum();
                Ok(Payload::json_text(sum.to_string()).unwrap())
            }
            ("sum", _) => Err(Refusal::new(ErrorCode::BadRequest, "integers are needed")),
            _ => Err(Refusal::new(
                ErrorCode::NotFound,
                "there is no such request",
            )),
        }
    }
}

/// Each conversation on a connection of its own; the text of a refusal is for people.
#[tokio::test]
async fn conversations() {
    for vector in list(&vectors()["conversations"]) {
        let config = quiet()
            .with_authenticator(everything)
            .with_request_handler(Sum);
        let server = TestServer::start(known_ids(), config, ServerConfig::new()).await;
        let query = text(&vector["query"]);
        let mut socket = WebSocket::open(&server, &format!("/events?{query}")).await;
        socket.message("open").await;
        for turn in list(&vector["turns"]) {
            socket.send(text(&turn["send"])).await;
            for expected in list(&turn["receive"]) {
                let mut message = socket.json().await;
                if message["type"] == "error" {
                    message.as_object_mut().unwrap().remove("message");
                }
                assert_eq!(message, *expected, "{}", turn["send"]);
            }
        }
    }
}
