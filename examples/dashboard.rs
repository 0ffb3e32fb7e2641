//! A live dashboard: gauges that change a thousand times a second, for readers that cannot take
//! that much. Each event is the newest state of its key; a reader that falls behind, or comes back
//! after a while, gets the newest state of each gauge and is told how many were left out.
//!
//! Run with
//! ```text
//! cargo run --release --example dashboard
//! curl -N 'http://127.0.0.1:PORT/events?channel=gauges&start=earliest&slow=conflate'
//! ```
//! or open the address, pause, and go on: nothing piles up for you.

use std::error::Error;
use std::time::Duration;

use eventcast::{Event, EventService, Hub, HubConfig, Retention, Server, ServiceConfig};
use eventcast_examples::{ctrl_c, page};

const GAUGES: &[&str] = &[
    "cpu", "memory", "disk", "network", "requests", "errors", "latency", "queue",
];

/// How often each of them changes a second.
const RATE: u32 = 125;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Twenty seconds of history. A reader that was away for longer has lost events, but none that
    // it needs: with a newer one of the same key in the log, that is no gap for it. Those that the
    // log no longer has are not in the count of what was left out.
    let retention = Retention::new().with_count(20_000).with_bytes(32 << 20);
    let hub = Hub::with_config(HubConfig::new().with_retention_for("gauges", retention));
    let config = ServiceConfig::new().with_fallback(page(include_str!("pages/dashboard.html")));
    let server = Server::bind("127.0.0.1:0", EventService::new(hub.clone(), config)).await?;
    println!("http://{}/", server.local_addr());

    tokio::spawn(measure(hub));
    server.run(ctrl_c()).await;
    Ok(())
}

/// Publishes a round of all gauges at a time: nothing comes between the events of a batch.
async fn measure(hub: Hub) {
    let mut rounds = tokio::time::interval(Duration::from_secs(1) / RATE);
    for round in 0_u32.. {
        rounds.tick().await;
        let events = GAUGES.iter().zip(1_u32..).map(|(name, which)| {
            let phase = f64::from(round) / f64::from(RATE * 2) * f64::from(which).sqrt();
            let noise = f64::from(round.wrapping_mul(2_654_435_761).wrapping_mul(which) >> 24);
            let percent = 50.0 + 40.0 * phase.sin() + noise / 50.0;
            let event = Event::json(&(name, percent.round(), round + 1)).expect("a row is JSON");
            event.keyed(*name).expect("a valid key")
        });
        hub.try_publish_batch("gauges", events)
            .expect("valid events");
    }
}
