//! What a publish costs with each policy, beside a log in memory.
//!
//! ```sh
//! cargo bench -p eventcast-fjall --bench rates
//! ```
//!
//! The logs are in the directory for temporary files: how long a synced publish takes is the time
//! of the disk under it.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "figures are for who runs it, and a panic says why there are none"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use eventcast_core::{Event, Hub, HubConfig};
use eventcast_fjall::{FjallBackplane, Fsync};
use tokio::time::Instant;

/// How many publish at the same time.
const TOGETHER: [usize; 2] = [1, 64];
const BYTES: usize = 200;
/// About what one publish alone makes the log write.
const WRITTEN: usize = 700;
const DURATION: Duration = Duration::from_secs(3);

fn main() {
    let directory = tempfile::tempdir().unwrap();
    println!("{BYTES} bytes an event, a hub over each log, {DURATION:?} each");
    println!(
        "a write of {WRITTEN} bytes with its fsync, alone: {:.2?}",
        sync_alone(directory.path())
    );
    println!("log           publishers   events/s    median       99%   of memory");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for together in TOGETHER {
        let memory = runtime.block_on(measure("memory", Hub::new(), together, None));
        let policies = [
            ("each", Fsync::Each),
            ("batch", Fsync::Batch),
            ("interval 1 s", Fsync::Interval(Duration::from_secs(1))),
        ];
        for (name, fsync) in policies {
            let path = directory.path().join(format!("{name} {together}"));
            runtime.block_on(async {
                let log = FjallBackplane::open(support::config(&path, fsync))
                    .await
                    .unwrap();
                let hub = Hub::open(HubConfig::new(), log).await.unwrap();
                measure(name, hub.clone(), together, Some(memory)).await;
                hub.close().await.unwrap();
                let began = Instant::now();
                let log = FjallBackplane::open(support::config(&path, fsync))
                    .await
                    .unwrap();
                println!("{:<12}  {:>10}  {:.1?}", "", "opened in", began.elapsed());
                drop(log);
            });
        }
    }
}

/// What the disk takes on average for as much as one publish makes the log write, into a file that
/// was made as long before, as the log's is.
fn sync_alone(directory: &Path) -> Duration {
    const WRITES: u32 = 500;
    let mut file = File::create(directory.join("alone")).unwrap();
    file.set_len(64 << 20).unwrap();
    file.sync_all().unwrap();
    let began = Instant::now();
    for _ in 0..WRITES {
        file.write_all(&[7; WRITTEN]).unwrap();
        file.sync_data().unwrap();
    }
    began.elapsed() / WRITES
}

async fn measure(name: &str, hub: Hub, together: usize, memory: Option<f64>) -> f64 {
    let began = Instant::now();
    let ends = began + DURATION;
    let tasks: Vec<_> = (0..together)
        .map(|publisher| {
            let hub = hub.clone();
            tokio::spawn(async move {
                let channel = format!("c{}", publisher % 16);
                let text = "x".repeat(BYTES);
                let mut times = Vec::new();
                while Instant::now() < ends {
                    let began = Instant::now();
                    let event = Event::text(text.clone());
                    hub.publish(channel.as_str(), event).await.unwrap();
                    times.push(began.elapsed());
                    if times.len().is_multiple_of(64) {
                        tokio::task::yield_now().await;
                    }
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort_unstable();
    let share = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let of_memory = memory.map(|memory| format!("1/{:.0}", memory / rate));
    println!(
        "{name:<12}  {together:>10}  {rate:>9.0}  {:>8.1?}  {:>8.1?}   {:>9}",
        share(0.5),
        share(0.99),
        of_memory.unwrap_or_default(),
    );
    rate
}
