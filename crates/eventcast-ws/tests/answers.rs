//! Requests that a handler answers: `request` and `reply`.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;

use common::{Answering, Peer, hub, start, start_with};
use eventcast_core::{Event, Hub};
use eventcast_ws::WsConfig;

async fn connect(hub: &Hub, config: WsConfig) -> Peer {
    let session = hub.subscribe("a").unwrap();
    let (mut peer, _) = start_with(session, Arc::new(Answering), config, 1 << 20);
    assert!(peer.text().await.starts_with(r#"{"type":"open""#));
    peer
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_payload_is_answered_in_the_words_of_the_envelope() {
    let mut peer = connect(&hub(), WsConfig::new()).await;
    for (n, fields) in [
        (1, r#""data":"te\nxt""#),
        (2, r#""data":{ "n":  1.0e3}"#),
        (3, r#""encoding":"base64","data":"AP8=""#),
        (4, r#""encoding":"json","data":"string""#),
        (5, r#""data":null"#),
        (6, r#""data":"""#),
    ] {
        peer.request(&format!(
            r#"{{"type":"request","name":"echo","ref":{n},{fields}}}"#
        ))
        .await;
        peer.expect(&[&format!(r#"{{"type":"reply","ref":{n},{fields}}}"#)])
            .await;
    }
    peer.request(r#"{"type":"request","name":"echo","data":1}"#)
        .await;
    peer.expect(&[r#"{"type":"reply","data":1}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_takes_the_place_of_the_answer() {
    let mut peer = connect(&hub(), WsConfig::new()).await;
    peer.request(r#"{"type":"request","name":"other","data":1,"ref":"x"}"#)
        .await;
    peer.request(r#"{"type":"request","name":"echo","ref":"y"}"#)
        .await;
    peer.request(r#"{"type":"ping"}"#).await;
    peer.expect(&[
        r#"{"type":"error","ref":"x","code":"rate_limited","message":"not now"}"#,
        r#"{"type":"error","ref":"y","code":"bad_request","message":"`data` is missing"}"#,
        r#"{"type":"pong"}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn there_is_no_request_unless_a_handler_has_it() {
    let (mut peer, _end) = start(hub().subscribe("a").unwrap(), WsConfig::new());
    peer.text().await;
    peer.request(r#"{"type":"request","name":"n","data":1,"ref":1}"#)
        .await;
    peer.expect(&[
        r#"{"type":"error","ref":1,"code":"not_found","message":"there is no such request"}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn answers_come_in_the_order_of_the_requests_and_events_do_not_wait() {
    let hub = hub();
    let mut peer = connect(&hub, WsConfig::new()).await;
    peer.request(r#"{"type":"request","name":"late","data":1,"ref":1}"#)
        .await;
    peer.request(r#"{"type":"request","name":"echo","data":2,"ref":2}"#)
        .await;
    hub.publish("a", Event::text("x")).await.unwrap();
    peer.expect(&[
        r#"{"id":"00000007-a1","channel":"a","data":"x"}"#,
        r#"{"type":"reply","ref":1,"data":1}"#,
        r#"{"type":"reply","ref":2,"data":2}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_largest_request_is_answered() {
    let config = WsConfig::new().with_max_message(1 << 20);
    let mut peer = connect(&hub(), config).await;
    let head = r#"{"type":"request","name":"echo","data":""#;
    let data = "x".repeat((1 << 20) - head.len() - 2);
    peer.request(&format!(r#"{head}{data}"}}"#)).await;
    assert_eq!(
        peer.text().await,
        format!(r#"{{"type":"reply","data":"{data}"}}"#)
    );
}
