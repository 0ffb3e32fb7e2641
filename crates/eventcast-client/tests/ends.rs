//! What the client comes back from, what not, and when.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eventcast::{Denied, Event, Permissions, ServiceConfig};
use eventcast_client::{Client, ClientError, Delivery, Transport};
use futures_util::StreamExt;
use http::StatusCode;
use http::request::Parts;
use support::scripted::{Answer, Script, event, open};
use support::{ALL, TestServer, connected, next, text, within};
use tokio::time::Instant;

/// The error that a client ends with, after which there is nothing.
async fn end(client: &mut Client) -> ClientError {
    within(async {
        loop {
            if let Err(error) = client.next().await.expect("an error first") {
                assert!(client.next().await.is_none());
                return error;
            }
        }
    })
    .await
}

fn scripted(script: &Script) -> Client {
    let script = script.clone();
    Client::builder("http://test/events?channel=a")
        .unwrap()
        .with_transports([Transport::Sse])
        .with_dialer(move |_, _| script.dial())
        .connect()
        .unwrap()
}

#[tokio::test]
async fn what_no_retry_mends_is_a_final_error_on_every_transport() {
    let forbid = |_: &Parts| Err::<Permissions, _>(Denied::Forbidden);
    let server = TestServer::start(7, ServiceConfig::new().with_authenticator(forbid)).await;
    for transport in ALL {
        let client = server.client("channel=a").with_transports([transport]);
        let error = end(&mut client.connect().unwrap()).await;
        let forbidden = |error: &ClientError| {
            matches!(
                error,
                ClientError::Refused {
                    status: StatusCode::FORBIDDEN,
                    ..
                }
            )
        };
        assert!(forbidden(&error), "{transport:?}: {error:?}");
    }
    let server = TestServer::open().await;
    for transport in ALL {
        let client = server
            .client("channel=a&start=never")
            .with_transports([transport]);
        let error = end(&mut client.connect().unwrap()).await;
        let bad = |error: &ClientError| {
            matches!(
                error,
                ClientError::Refused {
                    status: StatusCode::BAD_REQUEST,
                    ..
                }
            )
        };
        assert!(bad(&error), "{transport:?}: {error:?}");
    }
    let url = format!("http://{}/elsewhere/events?channel=a", server.address);
    let error = end(&mut support::builder(&url).connect().unwrap()).await;
    let ClientError::Refused { status, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_token_is_asked_for_and_once_more_after_a_401() {
    let only_good = |request: &Parts| match request.headers.get("authorization") {
        Some(token) if token == "Bearer good" => Ok(Permissions::all()),
        _ => Err(Denied::Unauthorized),
    };
    let server = TestServer::start(7, ServiceConfig::new().with_authenticator(only_good)).await;
    for transport in ALL {
        let asked = Arc::new(AtomicUsize::new(0));
        let asking = Arc::clone(&asked);
        let token = move || {
            let count = asking.fetch_add(1, Ordering::SeqCst);
            async move { Ok(if count == 0 { "old" } else { "good" }.to_owned()) }
        };
        let client = server.client("channel=a").with_transports([transport]);
        let mut client = client.with_token(token).connect().unwrap();
        assert_eq!(next(&mut client, connected).await, transport);
        assert_eq!(asked.load(Ordering::SeqCst), 2);

        let client = server.client("channel=a").with_transports([transport]);
        let never = || async { Ok("old".to_owned()) };
        let error = end(&mut client.with_token(never).connect().unwrap()).await;
        assert!(
            matches!(error, ClientError::Unauthorized { .. }),
            "{error:?}"
        );

        let client = server.client("channel=a").with_transports([transport]);
        let mut client = client.with_bearer("good").unwrap().connect().unwrap();
        assert_eq!(next(&mut client, connected).await, transport);
    }
}

#[tokio::test]
async fn the_completion_of_every_channel_is_a_normal_end() {
    for transport in ALL {
        let server = TestServer::open().await;
        server.hub.try_publish("a", Event::text("last")).unwrap();
        server.hub.fail("a", "disk").unwrap();
        server.hub.complete("b").unwrap();
        let client = server.client("channel=a&channel=b&start=earliest");
        let mut client = client.with_transports([transport]).connect().unwrap();
        assert_eq!(next(&mut client, text).await, "last");
        let completed = |delivery| match delivery {
            Delivery::Completed(end) => Some((end.channel.to_string(), end.failure)),
            _ => None,
        };
        let failed = Some("disk".to_owned());
        assert_eq!(next(&mut client, completed).await, ("a".to_owned(), failed));
        assert_eq!(next(&mut client, completed).await, ("b".to_owned(), None));
        assert!(within(client.next()).await.is_none(), "{transport:?}");
    }
}

#[tokio::test]
async fn closed_sessions_stay_closed() {
    for transport in [Transport::WebSocket, Transport::Sse, Transport::Stream] {
        let server = TestServer::open().await;
        let client = server.client("channel=a").with_transports([transport]);
        let mut client = client.connect().unwrap();
        next(&mut client, connected).await;
        server.service.end_sessions(eventcast::End::Closed);
        let error = end(&mut client).await;
        assert!(
            matches!(error, ClientError::Closed),
            "{transport:?}: {error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_draining_server_says_when_to_come_back() {
    let draining = "event: eventcast.draining\nretry: 20000\ndata: {\"reason\":\"draining\"}\n\n";
    let script = Script::new([
        Answer::Closed(open(15_000, 1_000) + &event(1) + draining),
        Answer::Open(open(15_000, 1_000) + &event(2)),
    ]);
    let mut client = scripted(&script);
    let begun = Instant::now();
    assert_eq!(next(&mut client, text).await, "1");
    assert_eq!(next(&mut client, text).await, "2");
    let waited = begun.elapsed().as_secs();
    assert!((10..=30).contains(&waited), "{waited}");
    assert!(script.requests()[1].contains("last_event_id=00000007-a1"));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_room_says_how_long() {
    let full = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
                retry-after: 7\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    let script = Script::new([
        Answer::Open(full.to_owned()),
        Answer::Open(open(15_000, 1_000) + &event(1)),
    ]);
    let mut client = scripted(&script);
    let begun = Instant::now();
    assert_eq!(next(&mut client, text).await, "1");
    let waited = begun.elapsed().as_secs();
    assert!((7..=11).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn two_heartbeats_that_are_missed_are_a_cut() {
    let script = Script::new([
        Answer::Open(open(15_000, 1_000) + &event(1)),
        Answer::Open(open(15_000, 1_000) + &event(2)),
    ]);
    let mut client = scripted(&script);
    let begun = Instant::now();
    assert_eq!(next(&mut client, text).await, "1");
    assert_eq!(next(&mut client, text).await, "2");
    let waited = begun.elapsed();
    let expected = Duration::from_millis(30_500)..=Duration::from_millis(31_600);
    assert!(expected.contains(&waited), "{waited:?}");
}
