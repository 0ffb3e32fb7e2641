//! A log outside the hub that is away and comes back, as users of a real server see it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast::{Event, EventService, Hub, HubConfig, Permissions, Server, ServiceConfig};
use eventcast_client::{Delivery, Transport};
use eventcast_testkit::MemoryLog;
use futures_util::StreamExt;
use support::{ALL, builder, text, within};
use tokio::sync::watch;

#[tokio::test]
async fn it_is_told_once_over_every_transport() {
    for transport in ALL {
        is_told_once(transport).await;
    }
}

async fn is_told_once(transport: Transport) {
    let log = MemoryLog::new().node();
    let hub = Hub::open(HubConfig::new(), log.clone()).await.unwrap();
    let (count, mut requests) = watch::channel(0);
    let config = ServiceConfig::new().with_authenticator(move |_: &http::request::Parts| {
        count.send_modify(|count| *count += 1);
        Ok(Permissions::all())
    });
    let service = EventService::new(hub.clone(), config);
    let server = Server::bind("127.0.0.1:0", service).await.unwrap();
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));
    let mut client = builder(&format!("http://{address}/events?channel=a"))
        .with_transports([transport])
        .with_poll_wait(Duration::from_secs(1))
        .connect()
        .unwrap();
    within(async {
        let mut next = async || client.next().await.unwrap().unwrap();
        assert!(matches!(next().await, Delivery::Connected { .. }));
        log.stall();
        assert!(matches!(next().await, Delivery::Stalled));
        if transport == Transport::Poll {
            // Each of them is a session of its own, which finds the log away.
            let now = *requests.borrow();
            requests.wait_for(|count| *count > now + 2).await.unwrap();
        }
        log.recover();
        let told = next().await;
        assert!(
            matches!(told, Delivery::Recovered),
            "{transport:?}: {told:?}"
        );
        hub.publish("a", Event::text("after")).await.unwrap();
        assert_eq!(text(next().await).as_deref(), Some("after"));
    })
    .await;
}
