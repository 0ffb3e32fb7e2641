//! Servers that only a proxy reaches.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use eventcast::Event;
use eventcast_client::Transport;
use eventcast_core::ChannelName;
use support::proxying::Proxy;
use support::{ALL, TestServer, connected, next, text};

#[tokio::test]
async fn every_transport_and_request_goes_through_an_http_proxy() {
    for transport in ALL {
        let server = TestServer::open().await;
        let proxy = Proxy::start(server.address).await;
        let mut client = support::builder("http://hub.test/events?channel=a")
            .with_transports([transport])
            .with_proxy(&format!("http://me:secret@{}", proxy.address))
            .connect()
            .unwrap();
        assert_eq!(next(&mut client, connected).await, transport);
        let asked = proxy.asked().concat();
        let expected = match transport {
            Transport::WebSocket => "CONNECT hub.test:80 HTTP/1.1\r\n",
            _ => "GET http://hub.test/events?",
        };
        assert!(asked.contains(expected), "{transport:?}: {asked}");
        let authorization = "proxy-authorization: basic bwu6c2vjcmv0\r\n";
        assert!(asked.to_lowercase().contains(authorization), "{asked}");

        let channel = ChannelName::new("a").unwrap();
        let event = Event::text("through the proxy");
        client.handle().publish(&channel, &event).await.unwrap();
        assert_eq!(next(&mut client, text).await, "through the proxy");
    }
}

#[tokio::test]
async fn a_socks_proxy_looks_the_name_up() {
    let server = TestServer::open().await;
    let proxy = Proxy::start(server.address).await;
    for transport in ALL {
        let mut client = support::builder("http://hub.test/events?channel=a")
            .with_transports([transport])
            .with_proxy(&format!("socks5h://{}", proxy.address))
            .connect()
            .unwrap();
        assert_eq!(next(&mut client, connected).await, transport);
        assert_eq!(proxy.asked()[0], "SOCKS hub.test");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_an_interruption_and_one_that_cannot_be_an_error() {
    let nowhere = support::builder("http://hub.test/events?channel=a")
        .with_proxy("http://127.0.0.1:1")
        .connect();
    let mut client = nowhere.unwrap();
    let unreachable = |delivery| match delivery {
        eventcast_client::Delivery::Reconnecting { cause, .. } => Some(cause),
        _ => None,
    };
    let cause = next(&mut client, unreachable).await;
    let is_unreachable = matches!(*cause, eventcast_client::Interruption::Unreachable(_));
    assert!(is_unreachable, "{cause:?}");

    let unusable = support::builder("http://hub.test/events?channel=a").with_proxy("ftp://proxy");
    let error = unusable.connect().unwrap_err();
    assert_eq!(error.to_string(), "not the URL of a proxy: ftp://proxy");
}
