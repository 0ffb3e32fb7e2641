//! Servers that are none, and what stands in the way of one.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::Event;
use eventcast_client::{Client, ClientError, Delivery, Transport};
use futures_util::StreamExt;
use support::scripted::{Answer, SSE, Script, event, open, read_head};
use support::{ALL, TestServer, connected, next, text, within};
use tokio::io::{AsyncWriteExt, copy_bidirectional, duplex};
use tokio::net::TcpStream;

fn client(script: &Script, transport: Transport) -> Client {
    let script = script.clone();
    support::builder("http://test/events?channel=a")
        .with_transports([transport])
        .with_max_message(64 << 10)
        .with_dialer(move |_, _| script.dial())
        .connect()
        .unwrap()
}

/// Comes back after it, and does so no more often than it may.
async fn shrugs_off(garbage: Answer, transport: Transport) {
    let script = Script::new([garbage]);
    let mut client = client(&script, transport);
    for _ in 0..3 {
        let reconnecting =
            |delivery| matches!(delivery, Delivery::Reconnecting { .. }).then_some(());
        next(&mut client, reconnecting).await;
    }
    assert!(client.last_id().is_none());
}

#[tokio::test(start_paused = true)]
async fn garbage_is_no_server_and_the_client_comes_back() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<ha>";
    for transport in ALL {
        shrugs_off(
            Answer::Closed("\0\u{1}garbage\r\n\r\n".to_owned()),
            transport,
        )
        .await;
        shrugs_off(Answer::Closed(page.to_owned()), transport).await;
        shrugs_off(Answer::Closed(String::new()), transport).await;
    }
    let begins = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n";
    for line in [
        "{}",
        "[",
        "null",
        "{\"type\":\"gap\"}",
        "{\"id\":7}",
        "\u{fffd}",
    ] {
        let answer = Answer::Closed(format!("{begins}{line}\n"));
        shrugs_off(answer, Transport::Stream).await;
    }
    let begins = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for body in ["{}", "[]", "{\"events\":7}", "{\"events\":[{}]}"] {
        let length = body.len();
        let answer = Answer::Closed(format!("{begins}content-length: {length}\r\n\r\n{body}"));
        shrugs_off(answer, Transport::Poll).await;
    }
    for block in [
        "data: x\n\n",
        "event: eventcast.gap\ndata: {}\n\n",
        "data: 1\nid: no id\n\n",
    ] {
        shrugs_off(Answer::Closed(format!("{SSE}{block}")), Transport::Sse).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_cut_at_a_bound() {
    for transport in ALL {
        shrugs_off(
            Answer::Endless("HTTP/1.1 200 OK\r\nx: y\r\n".to_owned()),
            transport,
        )
        .await;
        shrugs_off(Answer::Endless("x".repeat(100)), transport).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_never_ends_is_a_final_error_at_the_limit() {
    let types = [
        (Transport::Sse, "text/event-stream"),
        (Transport::Stream, "application/x-ndjson"),
        (Transport::Poll, "application/json"),
    ];
    for (transport, kind) in types {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\ndata: ");
        // Each piece has the head in it, which is as good a text as any.
        let piece = head.replace("\r\n", "\t") + &"x".repeat(1000);
        let script = Script::new([Answer::Closed(head + &piece.repeat(100))]);
        let mut client = client(&script, transport);
        let error = within(async {
            loop {
                if let Err(error) = client.next().await.expect("an error first") {
                    return error;
                }
            }
        })
        .await;
        let bound = 64 << 10;
        assert!(
            matches!(error, ClientError::TooLarge { limit } if limit == bound),
            "{error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_again_is_told_once() {
    let again = open(15_000, 1) + &event(1) + &event(2) + &event(1) + &event(2) + &event(3);
    let script = Script::new([
        Answer::Closed(again),
        Answer::Open(open(15_000, 1) + &event(2) + &event(3) + &event(4)),
    ]);
    let mut client = client(&script, Transport::Sse);
    for expected in ["1", "2", "3", "4"] {
        assert_eq!(next(&mut client, text).await, expected);
    }
}

#[tokio::test]
async fn where_upgrades_are_blocked_the_next_transport_is_taken_and_kept() {
    let server = TestServer::open().await;
    let address = server.address;
    let dial = move |_, _| async move {
        let (client, mut proxy) = duplex(1 << 16);
        tokio::spawn(async move {
            let head = read_head(&mut proxy).await;
            if head.to_lowercase().contains("upgrade: websocket") {
                let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
                return drop(proxy.write_all(refusal).await);
            }
            let mut onward = TcpStream::connect(address).await.unwrap();
            onward.write_all(head.as_bytes()).await.unwrap();
            let _ = copy_bidirectional(&mut proxy, &mut onward).await;
        });
        Ok(client)
    };
    let builder = server.client("channel=a&start=earliest").with_dialer(dial);
    let mut client = builder.connect().unwrap();
    assert_eq!(next(&mut client, connected).await, Transport::Sse);
    server.hub.try_publish("a", Event::text("through")).unwrap();
    assert_eq!(next(&mut client, text).await, "through");
    let retry = Some(Duration::from_millis(1));
    server
        .service
        .end_sessions(eventcast::End::Draining { retry });
    assert_eq!(next(&mut client, connected).await, Transport::Sse);
}
