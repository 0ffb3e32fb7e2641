//! A real server in this process, connections that are cut, and what a client saw.
//!
//! Every wait has a deadline that only a hang meets.
#![allow(dead_code, reason = "no test uses all of it")]

pub(crate) mod cutting;
pub(crate) mod proxying;
pub(crate) mod scripted;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use eventcast::{
    Denied, Epoch, Event, EventService, Hub, HubConfig, Permissions, Server, ServiceConfig,
};
use eventcast_client::{Client, ClientBuilder, Delivery, Transport};
use eventcast_testkit::{Ledger, Observer};
use futures_util::StreamExt;
use http::request::Parts;

pub(crate) const ALL: [Transport; 4] = Transport::DEFAULT_ORDER;

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) service: EventService,
}

impl TestServer {
    pub(crate) async fn start(epoch: u64, config: ServiceConfig) -> Self {
        let hub = Hub::with_config(HubConfig::new().with_epoch(Epoch::from_bits(epoch)));
        let service = EventService::new(hub.clone(), config.with_retry(Duration::ZERO));
        let server = Server::bind("127.0.0.1:0", service.clone()).await.unwrap();
        let address = server.local_addr();
        tokio::spawn(server.run(std::future::pending()));
        Self {
            address,
            hub,
            service,
        }
    }

    /// One that everybody may do everything on.
    pub(crate) async fn open() -> Self {
        Self::start(7, ServiceConfig::new().with_authenticator(everything)).await
    }

    pub(crate) fn client(&self, query: &str) -> ClientBuilder {
        builder(&format!("http://{}/events?{query}", self.address))
    }

    pub(crate) fn publish(&self, ledger: &mut Ledger, channel: &str, text: &str) {
        let id = self.hub.try_publish(channel, Event::text(text)).unwrap();
        ledger.published(channel, id.sequence());
    }
}

/// A client that comes back at once.
pub(crate) fn builder(url: &str) -> ClientBuilder {
    let least = Duration::from_millis(1);
    Client::builder(url)
        .unwrap()
        .with_retry(least)
        .with_min_retry(least)
        .with_max_retry(least * 4)
        .with_attempts_per_minute(60_000)
}

pub(crate) fn everything(_: &Parts) -> Result<Permissions, Denied> {
    Ok(Permissions::all())
}

/// The next delivery that satisfies.
pub(crate) async fn next<T: Send>(
    client: &mut Client,
    wanted: impl Fn(Delivery) -> Option<T> + Send + Sync,
) -> T {
    within(async {
        loop {
            let delivery = client.next().await.expect("no end").expect("no error");
            if let Some(found) = wanted(delivery) {
                return found;
            }
        }
    })
    .await
}

pub(crate) fn text(delivery: Delivery) -> Option<String> {
    match delivery {
        Delivery::Event(event) => event.payload.as_str().map(str::to_owned),
        _ => None,
    }
}

#[allow(clippy::needless_pass_by_value, reason = "`next` gives it away")]
pub(crate) fn connected(delivery: Delivery) -> Option<Transport> {
    match delivery {
        Delivery::Connected { transport, .. } => Some(transport),
        _ => None,
    }
}

/// Notes what the contract speaks of. Returns whether it was an event.
pub(crate) fn observe(observer: &mut Observer, delivery: &Delivery) -> bool {
    match delivery {
        Delivery::Event(event) => {
            observer.event(event.channel.as_str(), event.id.sequence());
            true
        }
        Delivery::Gap(gap) => {
            observer.gap(gap.channel.as_str(), gap.missed, None);
            false
        }
        _ => false,
    }
}

/// Waits for what has to come, however slow the machine is.
pub(crate) async fn within<T>(future: impl Future<Output = T> + Send) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("what should come does not come")
}
