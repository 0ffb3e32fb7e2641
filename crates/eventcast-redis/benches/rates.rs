//! What a publish costs, with each of the server's `appendfsync` settings.
//!
//! ```sh
//! cargo bench -p eventcast-redis --bench rates
//! ```
//!
//! It starts a redis-server of its own for each, in the directory for temporary files: how long a
//! synced publish takes is the disk's time.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "figures are for who runs it, and a panic says why there are none"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eventcast_core::Backplane;
use support::{Server, attach, body, events};
use tokio::time::Instant;

/// How many publish at the same time.
const TOGETHER: [usize; 3] = [1, 64, 512];
const BYTES: usize = 200;
const DURATION: Duration = Duration::from_secs(3);

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("{BYTES} bytes a record, two nodes attached, {DURATION:?} each");
    println!("appendfsync  publishers  records/s   median      99%   seen by the other node/s");
    for setting in ["always", "everysec", "no"] {
        for together in TOGETHER {
            runtime.block_on(measure(setting, together));
        }
    }
}

async fn measure(setting: &str, together: usize) {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", setting]);
    let node = Arc::new(server.node().await);
    let other = server.node().await;
    let seen = attach(&other).await;
    attach(&node).await;
    let ends = Instant::now() + DURATION;
    let count = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..together)
        .map(|publisher| {
            let (node, count) = (Arc::clone(&node), Arc::clone(&count));
            tokio::spawn(async move {
                let append = events(
                    &format!("c{}", publisher % 16),
                    vec![body(&"x".repeat(BYTES))],
                );
                let mut times = Vec::new();
                while Instant::now() < ends {
                    let began = Instant::now();
                    node.append(append.clone()).await.unwrap();
                    times.push(began.elapsed());
                    count.fetch_add(1, Ordering::Relaxed);
                }
                times
            })
        })
        .collect();
    let began = Instant::now();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let took = began.elapsed().as_secs_f64();
    let count = count.load(Ordering::Relaxed);
    seen.until(|entries| entries.len() >= count).await;
    let all = began.elapsed().as_secs_f64();
    times.sort_unstable();
    let share = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{setting:<11}  {together:>10}  {:>9.0}  {:>7.2?}  {:>7.2?}   {:>9.0}",
        count as f64 / took,
        share(0.5),
        share(0.99),
        count as f64 / all,
    );
}
