//! What publishers and subscribers share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep;

pub(crate) const CHANNELS: usize = 50;

pub(crate) struct Shared {
    /// Who can be connected to.
    hubs: Mutex<Vec<SocketAddr>>,
    /// The next event's number.
    pub(crate) next: AtomicU64,
    /// What was acknowledged in each channel: numbers by sequences.
    acknowledged: Mutex<Vec<BTreeMap<u64, u64>>>,
    /// When something was acknowledged last, and its sequence.
    latest: Mutex<(Instant, u64)>,
    /// The last sequence that each subscriber has.
    pub(crate) reached: Vec<AtomicU64>,
    pub(crate) retries: AtomicU64,
    stopped: AtomicBool,
    settled: AtomicBool,
}

impl Shared {
    pub(crate) fn new(hubs: Vec<SocketAddr>, subscribers: usize) -> Self {
        Self {
            hubs: Mutex::new(hubs),
            next: AtomicU64::new(0),
            acknowledged: Mutex::new(vec![BTreeMap::new(); CHANNELS]),
            latest: Mutex::new((Instant::now(), 0)),
            reached: (0..subscribers).map(|_| AtomicU64::new(0)).collect(),
            retries: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            settled: AtomicBool::new(false),
        }
    }

    pub(crate) fn hub(&self, number: usize) -> SocketAddr {
        let hubs = lock(&self.hubs);
        hubs[number % hubs.len()]
    }

    pub(crate) fn set_hubs(&self, addresses: Vec<SocketAddr>) {
        *lock(&self.hubs) = addresses;
    }

    pub(crate) fn acknowledge(
        &self,
        channel: usize,
        event: u64,
        sequence: u64,
    ) -> Result<(), String> {
        let before = lock(&self.acknowledged)[channel].insert(sequence, event);
        if let Some(other) = before {
            return Err(format!("{sequence} stands for events {other} and {event}"));
        }
        let mut latest = lock(&self.latest);
        *latest = (Instant::now(), latest.1.max(sequence));
        Ok(())
    }

    pub(crate) fn acknowledged(&self) -> Vec<BTreeMap<u64, u64>> {
        lock(&self.acknowledged).clone()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Nothing more is published after what was begun.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// All that was begun is acknowledged.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Release);
    }

    /// Done once all is published and a subscriber has what its channel was acknowledged last, or
    /// when it has waited long enough for it.
    pub(crate) async fn has_all(&self, channel: usize, reached: &AtomicU64) {
        let mut waited = Duration::ZERO;
        loop {
            if self.settled.load(Ordering::Acquire) {
                let last = lock(&self.acknowledged)[channel]
                    .keys()
                    .next_back()
                    .copied();
                if reached.load(Ordering::Acquire) >= last.unwrap_or(0) || waited > PATIENCE {
                    return;
                }
                waited += LOOK;
            }
            sleep(LOOK).await;
        }
    }

    /// How long after `since` something was acknowledged, and everybody had something as new.
    pub(crate) async fn recovers(&self, since: Instant) -> Result<[Duration; 2], String> {
        let first = loop {
            let (at, sequence) = *lock(&self.latest);
            if at > since {
                break (at - since, sequence);
            }
            wait(since, "nothing is acknowledged").await?;
        };
        loop {
            let mut all = self.reached.iter();
            if all.all(|reached| reached.load(Ordering::Acquire) >= first.1) {
                return Ok([first.0, since.elapsed()]);
            }
            wait(since, "not everybody is given what is published").await?;
        }
    }
}

async fn wait(since: Instant, what: &str) -> Result<(), String> {
    if since.elapsed() > PATIENCE {
        return Err(format!("{PATIENCE:?} after the fault {what}"));
    }
    sleep(Duration::from_millis(1)).await;
    Ok(())
}

/// No code panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);
