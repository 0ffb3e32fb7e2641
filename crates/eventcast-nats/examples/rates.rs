//! How fast appends are, with a server that syncs every message and with one that does not.
//!
//! `cargo run --release -p eventcast-nats --example rates`, with `NATS_SERVER` for another
//! nats-server than the one that is installed.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

#[path = "../tests/nats/server.rs"]
#[allow(dead_code, reason = "nothing fails here")]
mod server;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use eventcast_core::{
    Append, Backplane, Body, ChannelName, Event, Lineage, Record, Retention, Sink, Timestamp,
};
use eventcast_nats::{NatsBackplane, NatsConfig};
use server::{Server, nats_syncs};

#[derive(Debug)]
struct Nowhere;

impl Sink for Nowhere {
    fn record(&self, _: Record) {}
    fn watermark(&self, _: u64) {}
    fn stalled(&self) {}
    fn recovered(&self) {}
    fn skipped(&self, _: u64) {}
    fn forked(&self, _: Lineage) {}
    fn message(&self, _: Bytes) {}
}

#[tokio::main]
async fn main() {
    println!("one event of 100 bytes a message, on this machine's disk");
    if nats_syncs() {
        measure("sync_interval: always", &Server::start()).await;
        let usual = Server::with("", "sync_interval: 2m", "nats");
        measure("default sync_interval (2 min)", &usual).await;
    } else {
        println!("sync_interval: always: this nats-server does not know it (it came with 2.10)");
        measure("default sync_interval (2 min)", &Server::start()).await;
    }
}

async fn measure(name: &str, server: &Server) {
    let log = Arc::new(NatsBackplane::new(NatsConfig::new([server.url()], "rates")));
    log.attach(Arc::new(Nowhere)).await.unwrap();
    let mut latencies = Vec::new();
    for _ in 0..1_000 {
        let started = Instant::now();
        append(&log, "single", 1).await;
        latencies.push(started.elapsed());
    }
    latencies.sort();
    let started = Instant::now();
    let tasks: Vec<_> = (0..64)
        .map(|index| {
            let log = log.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    append(&log, &format!("channel-{index}"), 1).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rate = 64.0 * 200.0 / started.elapsed().as_secs_f64();
    let started = Instant::now();
    for _ in 0..200 {
        append(&log, "batches", 100).await;
    }
    let batched = 200.0 * 100.0 / started.elapsed().as_secs_f64();
    println!(
        "{name}: one publisher {:?} at the median, {:?} at the 99th percentile; \
         64 publishers {rate:.0} events a second; one with batches of 100 {batched:.0}",
        latencies[500], latencies[990]
    );
}

async fn append(log: &NatsBackplane, channel: &str, count: usize) {
    let event = || Body::Event(Event::text("x".repeat(100)));
    let append = Append {
        channel: ChannelName::new(channel).unwrap(),
        bodies: (0..count).map(|_| event()).collect(),
        retention: Retention::new(),
        time: Timestamp::default(),
    };
    log.append(append).await.unwrap();
}
