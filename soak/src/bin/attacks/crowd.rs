//! Those who do nothing wrong: subscribers over every transport, and one publisher. They have a
//! thread to themselves, so that what they measure is the server's delay more than the attackers'.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use eventcast::Position;
use eventcast_testkit::transport::Seen;
use eventcast_testkit::{Ledger, Observer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::NEWS;
use crate::raw;
use crate::wire::{Ask, Half, Protocol, TRANSPORTS, Transport, speak};

pub(crate) struct Crowd {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<(), String>>,
}

struct Shared {
    address: SocketAddr,
    began: Instant,
    ledger: Mutex<Ledger>,
    latencies: Mutex<Vec<Duration>>,
    /// The last sequence that each has.
    reached: Vec<(Link, AtomicU64)>,
    /// Connections that had to be made again.
    again: AtomicUsize,
    failure: Mutex<Option<String>>,
    stopped: AtomicBool,
    /// All that was published is in the ledger: an event may come before its publisher is answered.
    complete: AtomicBool,
}

type Link = (Transport, Protocol);

impl Crowd {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let both = [Protocol::Http1, Protocol::Http2];
        let links = TRANSPORTS
            .into_iter()
            .flat_map(|transport| both.map(|it| (transport, it)));
        let shared = Arc::new(Shared {
            address,
            began: Instant::now(),
            ledger: Mutex::default(),
            latencies: Mutex::default(),
            reached: links.map(|link| (link, AtomicU64::new(0))).collect(),
            again: AtomicUsize::new(0),
            failure: Mutex::default(),
            stopped: AtomicBool::new(false),
            complete: AtomicBool::new(false),
        });
        let running = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| error.to_string())?;
            let result = runtime.block_on(run(&running));
            if let Err(error) = &result {
                *lock(&running.failure) = Some(error.clone());
            }
            result
        });
        Self { shared, thread }
    }

    /// The delays since this was asked last.
    pub(crate) fn latencies(&self) -> Latencies {
        let mut all = std::mem::take(&mut *lock(&self.shared.latencies));
        all.sort_unstable();
        Latencies(all)
    }

    /// Waits until everybody has all that was published until now.
    pub(crate) async fn catches_up(&self) -> Result<(), String> {
        let last = lock(&self.shared.ledger).last();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(failure) = &*lock(&self.shared.failure) {
                return Err(failure.clone());
            }
            let mut all = self.shared.reached.iter();
            let Some((link, reached)) = all.find(|(_, at)| at.load(Ordering::Acquire) < last)
            else {
                return Ok(());
            };
            if Instant::now() > deadline {
                return Err(format!(
                    "{link:?} stands at {reached:?}, {last} was published"
                ));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Compares all that came with all that was published.
    pub(crate) async fn finish(self) -> Result<usize, String> {
        self.shared.stopped.store(true, Ordering::Release);
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await;
        match joined.map_err(|error| error.to_string())? {
            Ok(result) => result.map(|()| self.shared.again.load(Ordering::Relaxed)),
            Err(_) => Err("a subscriber panicked".to_owned()),
        }
    }
}

async fn run(shared: &Arc<Shared>) -> Result<(), String> {
    let mut readers = JoinSet::new();
    for number in 0..shared.reached.len() {
        readers.spawn(read(Arc::clone(shared), number));
    }
    publish(shared).await?;
    shared.complete.store(true, Ordering::Release);
    while let Some(read) = readers.join_next().await {
        read.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// One subscriber, who comes back if it is cut.
async fn read(shared: Arc<Shared>, number: usize) -> Result<(), String> {
    let ((transport, protocol), reached) = &shared.reached[number];
    let mut observer = Observer::new([NEWS], 0);
    let mut id: Option<String> = None;
    loop {
        let ask = Ask {
            transport: *transport,
            query: format!("channel={NEWS}&start=earliest"),
            id: id.clone(),
        };
        let wrong = |what: String| format!("{transport:?} over {protocol:?}: {what}");
        let mut stream = raw::connect(shared.address)
            .await
            .map_err(|error| wrong(error.to_string()))?;
        let mut half = Half::new(|io, seen| speak(io, *protocol, ask, seen));
        let mut bytes = vec![0; 16 << 10];
        let mut seen = Vec::new();
        loop {
            if stream.write_all(&half.outgoing()).await.is_err() {
                break;
            }
            let read = tokio::select! {
                read = stream.read(&mut bytes) => read,
                () = has_all(&shared, &observer) => {
                    let ledger = lock(&shared.ledger);
                    let checked = observer.check(&ledger);
                    return checked.map_err(|violation| wrong(format!("{violation:?}")));
                }
            };
            let Ok(count @ 1..) = read else { break };
            let now = shared.began.elapsed();
            half.receive(&bytes[..count], &mut seen).map_err(&wrong)?;
            for seen in seen.drain(..) {
                if let Some(now) = seen.id() {
                    id = Some(now.to_owned());
                }
                let sequence = seen.id().and_then(|id| id.parse::<Position>().ok());
                let sequence = sequence.map(|id| id.sequence());
                match (seen, sequence) {
                    (Seen::Event(event), Some(sequence)) => {
                        observer.event(NEWS, sequence);
                        reached.store(sequence, Ordering::Release);
                        let sent = String::from_utf8_lossy(&event.payload).parse();
                        let sent = Duration::from_nanos(sent.map_err(|_| wrong("payload".into()))?);
                        lock(&shared.latencies).push(now.saturating_sub(sent));
                    }
                    (seen @ (Seen::Gap { .. } | Seen::End { .. }), _) => {
                        return Err(wrong(format!("{seen:?}")));
                    }
                    (_, Some(sequence)) => observer.id(sequence),
                    _ => {}
                }
            }
        }
        shared.again.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(20)).await;
    }
}

/// Done once nothing more is to come.
async fn has_all(shared: &Shared, observer: &Observer) {
    loop {
        let is_complete = shared.complete.load(Ordering::Acquire);
        if is_complete && observer.position() >= lock(&shared.ledger).last() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Publishes the time, each time, until told to stop.
async fn publish(shared: &Shared) -> Result<(), String> {
    let mut stream = raw::connect(shared.address)
        .await
        .map_err(|error| error.to_string())?;
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0;
    while !shared.stopped.load(Ordering::Acquire) {
        count += 1;
        // What is retained is full from the beginning, and grows no more.
        if count > FILL {
            ticks.tick().await;
        }
        let now = shared.began.elapsed().as_nanos().to_string();
        let sequence = publish_one(&mut stream, &now).await?;
        lock(&shared.ledger).published(NEWS, sequence);
    }
    Ok(())
}

async fn publish_one(stream: &mut TcpStream, payload: &str) -> Result<u64, String> {
    let headers = "Authorization: Bearer publisher\r\nContent-Type: text/plain\r\n";
    let request = raw::post(&format!("/channels/{NEWS}"), headers, payload);
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(|error| format!("the publisher: {error}"))?;
    let answer = raw::answer(stream).await;
    let id = answer.body.split('"').nth(7);
    let id = id.and_then(|id| id.parse::<Position>().ok());
    let id = id.ok_or_else(|| format!("the publisher: {answer:?}"))?;
    Ok(id.sequence())
}

/// Delays, sorted.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// In milliseconds.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let place = (self.0.len() as f64 * share) as usize;
        let found = self.0.get(place.min(self.0.len().saturating_sub(1)));
        found.map_or(f64::NAN, |delay| delay.as_secs_f64() * 1e3)
    }
}

/// No code panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Between two events.
const PAUSE: Duration = Duration::from_millis(20);
/// As many as are retained.
const FILL: usize = 1_000;
/// Longer than any delay of a server that goes on.
const PATIENCE: Duration = Duration::from_secs(60);
