//! From client to server beside every transport, in either version of HTTP: an event stream, a
//! stream of lines and a waiting poll have a publish and a request beside them; a WebSocket carries
//! both itself.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use async_trait::async_trait;
use eventcast::{ClientRequest, Payload, Refusal, RequestHandler, ServerConfig};
use futures_util::{SinkExt, StreamExt};
use http::Method;
use serde_json::{Value, json};
use support::http2::Http2;
use support::{TestServer, everything, get, id, known_ids, post, quiet, within};

struct Echo;

#[async_trait]
impl RequestHandler for Echo {
    async fn answer(&self, request: ClientRequest<'_>) -> Result<Payload, Refusal> {
        Ok(request.payload)
    }
}

async fn server() -> TestServer {
    let service = quiet()
        .with_authenticator(everything)
        .with_request_handler(Echo);
    TestServer::start(known_ids(), service, ServerConfig::new()).await
}

/// What the transport sends before the client does, and then the event.
const TRANSPORTS: [(&str, &str); 3] = [("sse", "\n\n"), ("stream", "\n"), ("poll", "")];
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// What a publish and a request are answered with.
fn assert_answers(published: &Value, reply: &str, sequence: u64) {
    assert_eq!(published["id"], id(sequence));
    assert_eq!(reply, "[1,2]");
}

#[tokio::test]
async fn beside_every_transport_of_http1() {
    let server = server().await;
    for (sequence, (transport, opening)) in (1..).zip(TRANSPORTS) {
        let target = format!("/events?channel=news&transport={transport}");
        let last = id(sequence - 1);
        let mut reader = server.connect().await;
        reader.send(get(&target, &[("Last-Event-ID", &last)])).await;
        if opening.is_empty() {
            within(async {
                while server.service.subscribers().poll == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        } else {
            reader.head().await;
            reader.take_until(opening).await;
        }
        let published = server.ask(post("/channels/news", &JSON, "\"mine\"")).await;
        let reply = server.ask(post("/requests/echo", &JSON, "[1,2]")).await;
        let reply = String::from_utf8(reply.body).unwrap();
        assert_answers(&published.json(), &reply, sequence);
        reader.take_until("mine").await;
    }
}

#[tokio::test]
async fn beside_every_transport_on_one_connection_of_http2() {
    let server = server().await;
    let client = Http2::connect(&server).await;
    for (sequence, (transport, opening)) in (1..).zip(TRANSPORTS) {
        let target = format!("/events?channel=news&transport={transport}");
        let last = id(sequence - 1);
        let headers = [("last-event-id", &*last)];
        let reading = async {
            let request = client.request(Method::GET, &target, &headers);
            let (_, mut answer) = client.try_send(request, "").await.unwrap();
            let mut text = String::new();
            while !text.contains("mine") {
                let data = answer.data().await.expect("the event comes").unwrap();
                text += std::str::from_utf8(&data).unwrap();
            }
            assert!(opening.is_empty() || text.contains("open"), "{text}");
        };
        let writing = async {
            within(async {
                let sessions = || server.service.subscribers();
                while sessions().poll + sessions().sse + sessions().stream == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            let published = client.ask(Method::POST, "/channels/news", &JSON, "\"mine\"");
            let published = serde_json::from_str(published.await.body()).unwrap();
            let reply = client.ask(Method::POST, "/requests/echo", &JSON, "[1,2]");
            assert_answers(&published, reply.await.body(), sequence);
        };
        tokio::join!(reading, writing);
        server.assert_sessions_end().await;
    }
}

#[tokio::test]
async fn over_a_websocket_on_http2() {
    let server = server().await;
    let client = Http2::connect(&server).await;
    let (_, mut socket) = client.websocket("/events?channel=news", &[]).await;
    let ask = json!({"type": "request", "name": "echo", "data": [1, 2], "ref": 1});
    let publish = json!({"type": "publish", "channel": "news", "data": "mine", "ref": 2});
    for message in [ask, publish] {
        socket.send(message.to_string().into()).await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let message = within(socket.next()).await.unwrap().unwrap();
        let message: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        seen.push(message);
    }
    let of = |kind: &str| seen.iter().find(|message| message["type"] == kind).unwrap();
    assert_eq!(of("reply")["data"], json!([1, 2]));
    assert_eq!(of("published")["id"], id(1));
    assert!(seen.iter().any(|message| message["data"] == "mine"));
}
