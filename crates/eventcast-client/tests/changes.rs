//! Channels that come and go, publishing, and asking.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use eventcast::{
    ClientRequest, ErrorCode, Event, HistoryQuery, Payload, Refusal, RequestHandler, ServiceConfig,
};
use eventcast_client::{Delivery, RequestError, Transport};
use eventcast_core::{ChannelName, EventName, Start};
use http::StatusCode;
use support::{ALL, TestServer, connected, everything, next, text, within};
use tokio::io::{AsyncReadExt, DuplexStream, copy, copy_bidirectional, duplex};
use tokio::net::TcpStream;
use tokio::sync::Notify;

fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

/// A connection that ends when it is told to.
async fn cuttable(address: SocketAddr, cut: Arc<Notify>) -> io::Result<DuplexStream> {
    let (client, mut proxy) = duplex(1 << 16);
    let mut onward = TcpStream::connect(address).await?;
    tokio::spawn(async move {
        tokio::select! {
            _ = copy_bidirectional(&mut proxy, &mut onward) => {}
            () = cut.notified() => {}
        }
    });
    Ok(client)
}

#[tokio::test]
async fn channels_are_added_and_removed_over_every_transport() {
    for transport in ALL {
        let server = TestServer::open().await;
        server.hub.try_publish("b", Event::text("before")).unwrap();
        let cut = Arc::new(Notify::new());
        let (cutting, address) = (Arc::clone(&cut), server.address);
        let client = server.client("channel=a").with_transports([transport]);
        let client = client.with_dialer(move |_, _| cuttable(address, Arc::clone(&cutting)));
        let mut client = client.connect().unwrap();
        let handle = client.handle();
        next(&mut client, connected).await;
        // Between two polls there is no session to take a start.
        let start = (transport != Transport::Poll).then_some(Start::Last(1));
        let added = within(handle.subscribe([channel("b")], start))
            .await
            .unwrap();
        assert_eq!(added.channels.len(), 2, "{transport:?}");
        if transport != Transport::Poll {
            let page = &added.history[0];
            assert_eq!(page.events[0].payload, Payload::text("before"));
        }
        server.hub.try_publish("b", Event::text("after")).unwrap();
        assert_eq!(next(&mut client, text).await, "after", "{transport:?}");

        // The change outlives the connection.
        cut.notify_waiters();
        server.hub.try_publish("b", Event::text("again")).unwrap();
        assert_eq!(next(&mut client, text).await, "again", "{transport:?}");

        let left = within(handle.unsubscribe([channel("a")])).await.unwrap();
        assert_eq!(left.channels, [channel("b").into()]);
        server.hub.try_publish("a", Event::text("unheard")).unwrap();
        server.hub.try_publish("b", Event::text("heard")).unwrap();
        assert_eq!(next(&mut client, text).await, "heard", "{transport:?}");
        drop(client);
        let gone = within(handle.subscribe([channel("c")], None)).await;
        assert!(matches!(gone, Err(RequestError::Ended)), "{gone:?}");
    }
}

#[tokio::test]
async fn a_publish_whose_answer_is_lost_is_stored_once() {
    let server = TestServer::open().await;
    let address = server.address;
    let dials = Arc::new(AtomicUsize::new(0));
    let dialing = Arc::clone(&dials);
    let dial = move |_, _| {
        let first = dialing.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let (client, mut proxy) = duplex(1 << 16);
            let mut onward = TcpStream::connect(address).await?;
            tokio::spawn(async move {
                if first {
                    // It answers, and the answer goes no further.
                    let (mut answer, mut request) = onward.split();
                    tokio::select! {
                        _ = copy(&mut proxy, &mut request) => {}
                        _ = answer.read_u8() => {}
                    }
                } else {
                    let _ = copy_bidirectional(&mut proxy, &mut onward).await;
                }
            });
            Ok(client)
        }
    };
    let client = server
        .client("channel=a")
        .with_dialer(dial)
        .connect()
        .unwrap();
    let handle = client.handle();
    // Its task has not run yet, so the first connection is the publish's.
    drop(client);
    let event = Event::text("once").named("tick").unwrap();
    let id = within(handle.publish(&channel("a"), &event)).await.unwrap();
    let page = server
        .hub
        .history("a", HistoryQuery::oldest_first())
        .unwrap();
    let ids: Vec<_> = page.events.iter().map(|event| event.id()).collect();
    assert_eq!(ids, [id]);
    assert_eq!(dials.load(Ordering::SeqCst), 2);
}

struct Shout;

#[async_trait]
impl RequestHandler for Shout {
    async fn answer(&self, request: ClientRequest<'_>) -> Result<Payload, Refusal> {
        match request.name {
            "shout" => Ok(Payload::text(
                request.payload.as_str().unwrap_or("").to_uppercase(),
            )),
            "echo" => Ok(request.payload),
            _ => Err(Refusal::new(
                ErrorCode::NotFound,
                "there is no such request",
            )),
        }
    }
}

#[tokio::test]
async fn a_server_is_asked_and_what_it_publishes_comes() {
    let config = ServiceConfig::new().with_authenticator(everything);
    let server = TestServer::start(7, config.with_request_handler(Shout)).await;
    let mut client = server.client("channel=a").connect().unwrap();
    let handle = client.handle();
    next(&mut client, connected).await;
    for payload in [
        Payload::text("hello\r\nworld"),
        Payload::json_text("{\"n\": 1.0e3}").unwrap(),
        Payload::json_text("\"string\"").unwrap(),
        Payload::binary(vec![0, 255, 10]),
    ] {
        let echo = EventName::new("echo").unwrap();
        assert_eq!(handle.request(&echo, &payload).await.unwrap(), payload);
        let id = handle
            .publish(&channel("a"), &Event::new(payload.clone()))
            .await;
        let event = |delivery| match delivery {
            Delivery::Event(event) => Some(event),
            _ => None,
        };
        let event = next(&mut client, event).await;
        assert_eq!((event.id, event.payload), (id.unwrap(), payload));
    }
    let shout = EventName::new("shout").unwrap();
    let answer = handle.request(&shout, &Payload::text("hey")).await.unwrap();
    assert_eq!(answer, Payload::text("HEY"));
    let error = handle
        .request(&EventName::new("dance").unwrap(), &answer)
        .await;
    let Err(RequestError::Refused { status, detail, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (status, detail.as_str()),
        (StatusCode::NOT_FOUND, "there is no such request")
    );
}
