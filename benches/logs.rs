//! What publishing and fan-out come to with each log: in memory, on fjall, on Redis, on NATS.
//!
//! Run with
//! ```text
//! cargo bench -p eventcast-benches --bench logs
//! ```
//! It starts a redis-server and a nats-server of its own, with the settings that lose nothing, in the
//! directory for temporary files: how long a synced publish takes is the disk's time. What Redis's
//! other settings cost is in `cargo bench -p eventcast-redis --bench rates`.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "figures are for who runs it, of real time"
)]

#[path = "../soak/src/bin/outage/server.rs"]
#[allow(dead_code, reason = "nothing fails here")]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use eventcast::{Delivery, Event, Hub, HubConfig, Retention, Session, TokioTimer};
use eventcast_fjall::{FjallBackplane, FjallConfig};
use eventcast_nats::{NatsBackplane, NatsConfig};
use eventcast_redis::{RedisBackplane, RedisConfig};
use futures_util::StreamExt;
use futures_util::future::join_all;

use crate::server::{Kind, Server, nats_syncs};

/// How many publish at the same time.
const TOGETHER: [usize; 3] = [1, 64, 512];
const BYTES: usize = 200;
const CHANNELS: usize = 16;
const SESSIONS: usize = 160;
const DURATION: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    if std::env::args().any(|arg| arg == "--help") {
        println!(
            "logs: publishing and fan-out with each log: memory, fjall, redis, nats. No options;"
        );
        return println!("NATS_SERVER=PATH takes another nats-server than the installed one.");
    }
    println!("{BYTES} bytes an event, {SESSIONS} sessions over {CHANNELS} channels");
    println!("log            publishers  events/s     median        99%  deliveries/s");
    for together in TOGETHER {
        measure("memory", &Hub::with_config(config()), together).await;
    }
    for together in TOGETHER {
        let folder = tempfile::tempdir().expect("a directory");
        let log = FjallBackplane::open(FjallConfig::new(folder.path())).await;
        let hub = Hub::open(config(), log.expect("a directory")).await;
        measure("fjall, synced", &hub.expect("a directory"), together).await;
    }
    let redis = Server::start(Kind::Redis, None).expect("redis-server");
    for together in TOGETHER {
        let url = redis.flags().swap_remove(1);
        let log = RedisConfig::new(&url).and_then(|log| log.with_namespace(&together.to_string()));
        let log = RedisBackplane::connect(log.expect("a URL")).await;
        let hub = Hub::open(config(), log.expect("redis-server")).await;
        measure("redis, synced", &hub.expect("redis-server"), together).await;
    }
    drop(redis);
    let nats = Server::start(Kind::Nats, None).expect("nats-server");
    let name = match nats_syncs() {
        true => "nats, synced",
        false => "nats",
    };
    for together in TOGETHER {
        let url = nats.flags().swap_remove(1);
        let log = NatsBackplane::new(NatsConfig::new([url], together.to_string()));
        let hub = Hub::open(config(), log).await.expect("nats-server");
        measure(name, &hub, together).await;
    }
}

fn config() -> HubConfig {
    // Nobody falls behind what is retained.
    let retention = Retention::new().with_count(1 << 20).with_bytes(1 << 30);
    HubConfig::new()
        .with_retention(retention)
        .with_max_bytes(1 << 31)
}

async fn measure(name: &str, hub: &Hub, together: usize) {
    for driver in hub.drivers(TokioTimer) {
        tokio::spawn(driver);
    }
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let session = hub.session().channel(channel(number)).open_async().await;
        sessions.push(tokio::spawn(count(session.expect("a session"))));
    }
    let began = Instant::now();
    let publishers = (0..together).map(|number| {
        let (hub, payload) = (hub.clone(), Arc::<str>::from("x".repeat(BYTES)));
        tokio::spawn(async move {
            let mut times = Vec::new();
            let channel = hub.channel(channel(number)).expect("a name");
            while began.elapsed() < DURATION {
                let event = Event::text(payload.to_string());
                let begun = Instant::now();
                channel.publish(event).await.expect("the log is there");
                times.push(begun.elapsed());
                // A publish to memory waits for nothing, and would leave no turn to anybody.
                tokio::task::yield_now().await;
            }
            times
        })
    });
    let times = join_all(publishers.collect::<Vec<_>>()).await;
    let mut times: Vec<Duration> = times.into_iter().flat_map(|it| it.expect("ends")).collect();
    let published = times.len() as f64 / began.elapsed().as_secs_f64();
    for number in 0..CHANNELS {
        let completed = hub.complete_async(channel(number)).await;
        completed.expect("the log is there");
    }
    let counts = join_all(sessions).await;
    let delivered: usize = counts.into_iter().map(|count| count.expect("ends")).sum();
    let delivered = delivered as f64 / began.elapsed().as_secs_f64();
    times.sort_unstable();
    let share = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{name:<13}  {together:>10}  {published:>8.0}  {:>9.1?}  {:>9.1?}  {delivered:>12.0}",
        share(0.5),
        share(0.99),
    );
    hub.close().await.expect("the log is there");
}

/// The events of a session up to its channel's end.
async fn count(mut session: Session) -> usize {
    let mut events = 0;
    while let Some(delivery) = session.next().await {
        match delivery {
            Delivery::Event(_) => events += 1,
            Delivery::Gap(gap) => panic!("{gap:?}"),
            _ => {}
        }
    }
    events
}

fn channel(number: usize) -> String {
    format!("c{}", number % CHANNELS)
}
