//! New tokens for connections that are open.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eventcast::{Denied, Event, Permissions, ServiceConfig};
use eventcast_client::{Delivery, RequestError, Transport};
use futures_util::StreamExt;
use http::StatusCode;
use http::request::Parts;
use support::{ALL, TestServer, connected, next, text, within};

/// The least number that a token may have, and the greatest that was seen.
#[derive(Default)]
struct Tokens {
    least: AtomicUsize,
    seen: AtomicUsize,
}

/// `Bearer N`: ann.
fn bearer(request: &Parts, tokens: &Tokens) -> Result<Permissions, Denied> {
    let header = request.headers.get("authorization");
    let token = header.and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "));
    let number: Option<usize> = token.and_then(|token| token.parse().ok());
    let number = number.filter(|number| *number >= tokens.least.load(Ordering::SeqCst));
    let number = number.ok_or(Denied::Unauthorized)?;
    tokens.seen.fetch_max(number, Ordering::SeqCst);
    Ok(Permissions::subscribe()
        .with_principal("ann")
        .with_lifetime(Duration::from_secs(3_600)))
}

async fn server(tokens: &Arc<Tokens>) -> TestServer {
    let tokens = Arc::clone(tokens);
    let bearer = move |request: &Parts| bearer(request, &tokens);
    TestServer::start(7, ServiceConfig::new().with_authenticator(bearer)).await
}

/// Had it reconnected, it would say so before the next event.
#[tokio::test]
async fn a_refresh_brings_a_new_token_without_a_cut() {
    for transport in ALL {
        let tokens = Arc::new(Tokens::default());
        let server = server(&tokens).await;
        let given = Arc::new(AtomicUsize::new(0));
        let giving = Arc::clone(&given);
        let token = move || {
            let number = giving.fetch_add(1, Ordering::SeqCst) + 1;
            std::future::ready(Ok(number.to_string()))
        };
        let client = server.client("channel=a").with_transports([transport]);
        let mut client = client.with_token(token).connect().unwrap();
        let handle = client.handle();
        next(&mut client, connected).await;
        within(handle.refresh()).await.unwrap();
        assert_eq!(tokens.seen.load(Ordering::SeqCst), 2, "{transport:?}");
        tokens.least.store(2, Ordering::SeqCst);
        // A poll asks again with the new token; its place is kept.
        for said in ["one", "two"] {
            server.hub.try_publish("a", Event::text(said)).unwrap();
            let delivery = within(client.next()).await.unwrap().unwrap();
            assert!(
                matches!(&delivery, Delivery::Event(event) if event.payload.as_str() == Some(said)),
                "{transport:?}: {delivery:?}"
            );
        }
        assert_eq!(given.load(Ordering::SeqCst), 2, "{transport:?}");
    }
}

#[tokio::test]
async fn a_refresh_with_a_bad_token_is_refused_and_changes_nothing() {
    for transport in ALL {
        let tokens = Arc::new(Tokens::default());
        let server = server(&tokens).await;
        let given = AtomicUsize::new(0);
        let token = move || {
            let number = given.fetch_add(1, Ordering::SeqCst);
            let token = if number == 0 { "1" } else { "forged" };
            std::future::ready(Ok(token.to_owned()))
        };
        let client = server.client("channel=a").with_transports([transport]);
        let mut client = client.with_token(token).connect().unwrap();
        let handle = client.handle();
        next(&mut client, connected).await;
        let refused = within(handle.refresh()).await.unwrap_err();
        let status = match &refused {
            RequestError::Refused { status, .. } => *status,
            other => panic!("{transport:?}: {other:?}"),
        };
        // A message has one word for both.
        let expected = match transport {
            Transport::WebSocket => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        };
        assert_eq!(status, expected, "{transport:?}");
        server
            .hub
            .try_publish("a", Event::text("still here"))
            .unwrap();
        assert_eq!(next(&mut client, text).await, "still here");
    }
}

#[tokio::test]
async fn what_cannot_be_refreshed_says_so() {
    let server = TestServer::open().await;
    let client = server.client("channel=a").connect().unwrap();
    let handle = client.handle();
    let error = within(handle.refresh()).await.unwrap_err();
    assert!(matches!(error, RequestError::Invalid(_)), "{error:?}");
    drop(client);
    let error = within(handle.refresh()).await.unwrap_err();
    assert!(matches!(error, RequestError::Ended), "{error:?}");

    let bad = || std::future::ready(Ok("two\r\nlines".to_owned()));
    let client = server
        .client("channel=a")
        .with_token(bad)
        .connect()
        .unwrap();
    let error = within(client.handle().refresh()).await.unwrap_err();
    assert!(matches!(error, RequestError::Invalid(_)), "{error:?}");
    let never = || std::future::ready(Err("there is none".into()));
    let client = server
        .client("channel=a")
        .with_token(never)
        .connect()
        .unwrap();
    let error = within(client.handle().refresh()).await.unwrap_err();
    assert!(matches!(error, RequestError::NoAnswer(_)), "{error:?}");
}
