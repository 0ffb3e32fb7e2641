//! Entering, seeing who is there, and saying something of oneself, over every transport.
#![allow(clippy::unwrap_used, reason = "tests fail so")]

use std::time::Duration;

use eventcast::{
    Denied, EventService, Hub, HubConfig, Permissions, PresenceConfig, Server, ServiceConfig,
};
use eventcast_client::{Client, Delivery, Transport};
use eventcast_core::{ChannelName, EventName, Payload, PresenceQuery};
use futures_util::StreamExt;
use http::request::Parts;

fn everybody(_: &Parts) -> Result<Permissions, Denied> {
    Ok(Permissions::all())
}

#[tokio::test]
async fn a_client_enters_and_sees_who_is_there() {
    let presence = PresenceConfig::new().with_interval(Duration::from_millis(10));
    let hub = Hub::with_config(HubConfig::new().with_presence(presence));
    let config = ServiceConfig::new()
        .with_authenticator(everybody)
        .with_named_members(true);
    let server = Server::bind("127.0.0.1:0", EventService::new(hub, config));
    let server = server.await.unwrap();
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));

    let all = [
        Transport::WebSocket,
        Transport::Sse,
        Transport::Stream,
        Transport::Poll,
    ];
    for (index, transport) in all.into_iter().enumerate() {
        let room = ChannelName::new(&format!("room {index}")).unwrap();
        let here = Payload::json_text("{\"a\":1}").unwrap();
        let mut client = Client::builder(&format!("http://{address}/events?member=ann"))
            .unwrap()
            .channel(room.clone())
            .presence(Some(&here))
            .with_transports([transport])
            .connect()
            .unwrap();
        let told = next(&mut client).await;
        assert!(told.contains("\"joins\":[{\"member\":\"ann\",\"state\":{\"a\":1}}]"));

        let handle = client.handle();
        let page = handle.presence(&room, PresenceQuery::new()).await.unwrap();
        assert_eq!(page.members, 1);
        assert_eq!(page.list[0].id.as_str(), "ann");
        assert_eq!(page.list[0].state, Some(here));
        if transport == Transport::Poll {
            // Mostly between two connections.
            continue;
        }
        let away = Payload::text("away");
        handle.update(&room, Some(&away)).await.unwrap();
        let told = next(&mut client).await;
        assert!(told.contains("\"updates\":[{\"member\":\"ann\",\"state\":\"away\"}]"));
        let elsewhere = ChannelName::new("elsewhere").unwrap();
        assert!(handle.update(&elsewhere, None).await.is_err());
    }
}

/// What is told next.
async fn next(client: &mut Client) -> String {
    loop {
        if let Delivery::Ephemeral(event) = client.next().await.unwrap().unwrap() {
            assert_eq!(event.name, Some(EventName::presence()));
            return event.payload.as_str().unwrap().to_owned();
        }
    }
}
