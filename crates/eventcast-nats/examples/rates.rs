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

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use eventcast_core::{
    Append, Backplane, Body, ChannelName, Event, Lineage, Record, Retention, Sink, Timestamp,
};
use eventcast_nats::{NatsBackplane, NatsConfig};

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

struct Server(Child, PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

#[tokio::main]
async fn main() {
    println!("one event of 100 bytes a message, on this machine's disk");
    for sync in [Some("always"), None] {
        let name = sync.map_or("default sync_interval (2 min)", |_| "sync_interval: always");
        match start(sync).await {
            Some((_server, log)) => measure(name, &log).await,
            None => println!("{name}: this nats-server does not know it (it came with 2.10)"),
        }
    }
}

async fn start(sync: Option<&str>) -> Option<(Server, Arc<NatsBackplane>)> {
    let program = std::env::var_os("NATS_SERVER").unwrap_or_else(|| "nats-server".into());
    let folder = std::env::temp_dir().join(format!("eventcast-rates-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let sync = sync.map_or(String::new(), |sync| format!(", sync_interval: {sync}"));
    let store = folder.join("store");
    let text = format!(
        "host: 127.0.0.1\nport: -1\njetstream {{ store_dir: \"{}\"{sync} }}\n",
        store.display()
    );
    std::fs::write(folder.join("server.conf"), text).unwrap();
    let child = Command::new(program)
        .arg("-c")
        .arg(folder.join("server.conf"))
        .arg("--ports_file_dir")
        .arg(&folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts: sudo apt-get install -y nats-server");
    let ports = folder.join(format!("nats-server_{}.ports", child.id()));
    let mut server = Server(child, folder);
    let port = loop {
        if server.0.try_wait().unwrap().is_some() {
            return None;
        }
        let text = std::fs::read_to_string(&ports).unwrap_or_default();
        let digits = text.split("127.0.0.1:").nth(1).unwrap_or_default();
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        if let Ok(port) = digits.parse::<u16>() {
            break port;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let config = NatsConfig::new([format!("nats://127.0.0.1:{port}")], "rates");
    let log = Arc::new(NatsBackplane::new(config));
    log.attach(Arc::new(Nowhere)).await.unwrap();
    Some((server, log))
}

async fn measure(name: &str, log: &Arc<NatsBackplane>) {
    let mut latencies = Vec::new();
    for _ in 0..1_000 {
        let started = Instant::now();
        append(log, "single", 1).await;
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
        append(log, "batches", 100).await;
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
