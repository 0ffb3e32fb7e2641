//! A Redis server of a test's own, and a sink that writes down.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part, and helpers fail tests as the tests themselves do"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eventcast_core::{
    Append, Backplane, Body, ChannelName, Event, Lineage, Page, PageQuery, Record, ReplayStore,
    Retention, Sink, Timestamp,
};
use eventcast_redis::{RedisBackplane, RedisConfig};
use tokio::sync::watch;

/// The settings under which nothing acknowledged is lost.
pub(crate) const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// A redis-server with a directory of its own, killed and removed at the end.
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Server {
    pub(crate) fn start(settings: &[&str]) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("eventcast-redis-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let settings: Vec<String> = settings.iter().map(|s| (*s).to_owned()).collect();
        // Another program may take the port before the server does.
        for _ in 0..20 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            if let Some(child) = launch(&folder, port, &settings) {
                return Self {
                    child,
                    folder,
                    port,
                    settings,
                };
            }
        }
        fs::remove_dir_all(&folder).unwrap();
        panic!("redis-server does not start");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts one that takes connections by TLS only.
    pub(crate) fn start_secure(certificate: &Path, key: &Path) -> Self {
        let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        let clients = ["--tls-auth-clients", "no", "--port", "0"];
        let files = ["--tls-cert-file", certificate, "--tls-key-file", key];
        Self::start(&[clients, files].concat())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::new(&self.url())
            .unwrap()
            .with_publish_timeout(Duration::from_secs(20))
            .with_connect_timeout(Duration::from_secs(2))
            .with_ping(Duration::from_millis(50), Duration::from_secs(2))
    }

    pub(crate) async fn node(&self) -> RedisBackplane {
        RedisBackplane::connect(self.config()).await.unwrap()
    }

    /// `SIGKILL`, and the end of it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port.
    pub(crate) fn restart(&mut self) {
        let started = (0..50).find_map(|_| launch(&self.folder, self.port, &self.settings));
        self.child = started.expect("redis-server starts again");
    }

    /// Stops it in order, which saves everything.
    pub(crate) fn shut_down(&mut self) {
        self.signal("TERM");
        self.child.wait().unwrap();
    }

    /// Removes all data of a server that does not run.
    pub(crate) fn wipe(&self) {
        fs::remove_dir_all(&self.folder).unwrap();
        fs::create_dir_all(&self.folder).unwrap();
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(status.unwrap().success());
    }

    /// A command of the server's, by a connection of its own.
    pub(crate) async fn command(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async(&mut connection).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A process that the server forked to save may still be writing.
        for _ in 0..200 {
            if fs::remove_dir_all(&self.folder).is_ok() || !self.folder.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The server once it takes connections; `None` when it ended instead.
fn launch(folder: &Path, port: u16, settings: &[String]) -> Option<Child> {
    let port = port.to_string();
    let has_port = settings.iter().any(|setting| setting == "--port");
    let listen: &[&str] = if has_port { &[] } else { &["--port", &port] };
    let secure: &[&str] = if has_port {
        &["--tls-port", &port]
    } else {
        &[]
    };
    let started = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
        .args(listen)
        .args(secure)
        .args(settings)
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = started.unwrap_or_else(|error| {
        panic!("redis-server is needed: apt-get install redis-server ({error})")
    });
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_ready = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains("Ready to accept connections"));
    if !is_ready {
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    // A full pipe would stop the server.
    std::thread::spawn(move || for _ in lines.map_while(Result::ok) {});
    Some(child)
}

/// Writes down what it is given.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    entries: Mutex<Vec<Entry>>,
    count: watch::Sender<usize>,
}

#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Record(Record),
    Stalled,
    Recovered,
    Skipped(u64),
    Forked(Lineage),
    Message(Bytes),
}

impl Recorder {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// Waits until what was written down is so.
    pub(crate) async fn until(&self, is_so: impl Fn(&[Entry]) -> bool + Send + Sync) {
        let mut count = self.count.subscribe();
        let found = count.wait_for(|_| is_so(&self.entries.lock().unwrap()));
        let found = tokio::time::timeout(Duration::from_secs(60), found).await;
        assert!(found.is_ok(), "it stays {:?}", self.entries());
    }

    pub(crate) async fn until_texts(&self, count: usize) {
        self.until(|entries| records(entries).count() >= count)
            .await;
    }

    /// The texts of all records, once it is checked that their numbers increase.
    pub(crate) fn texts(&self) -> Vec<String> {
        let entries = self.entries();
        let sequences: Vec<u64> = records(&entries).map(|r| r.position.sequence()).collect();
        assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
        records(&entries).map(text).collect()
    }

    fn note(&self, entry: Entry) {
        self.entries.lock().unwrap().push(entry);
        self.count.send_modify(|count| *count += 1);
    }
}

impl Sink for Recorder {
    fn record(&self, record: Record) {
        self.note(Entry::Record(record));
    }

    fn watermark(&self, _: u64) {}

    fn stalled(&self) {
        self.note(Entry::Stalled);
    }

    fn recovered(&self) {
        self.note(Entry::Recovered);
    }

    fn skipped(&self, sequence: u64) {
        self.note(Entry::Skipped(sequence));
    }

    fn forked(&self, lineage: Lineage) {
        self.note(Entry::Forked(lineage));
    }

    fn message(&self, message: Bytes) {
        self.note(Entry::Message(message));
    }
}

pub(crate) fn records(entries: &[Entry]) -> impl Iterator<Item = &Record> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Record(record) => Some(record),
        _ => None,
    })
}

pub(crate) async fn attach(node: &RedisBackplane) -> Arc<Recorder> {
    let recorder = Arc::new(Recorder::default());
    node.attach(Arc::clone(&recorder) as Arc<dyn Sink>)
        .await
        .unwrap();
    recorder
}

pub(crate) fn name(channel: &str) -> ChannelName {
    ChannelName::new(channel).unwrap()
}

pub(crate) fn body(text: &str) -> Body {
    Body::Event(Event::text(text))
}

pub(crate) fn keyed(text: &str) -> Body {
    Body::Event(Event::text(text).with_idempotency_key(text).unwrap())
}

pub(crate) fn text(record: &Record) -> String {
    match &record.body {
        Body::Event(event) => event.payload().as_str().unwrap().to_owned(),
        Body::Completion(outcome) => format!("{outcome:?}"),
    }
}

pub(crate) fn events(channel: &str, bodies: Vec<Body>) -> Append {
    Append {
        channel: name(channel),
        bodies,
        retention: Retention::new()
            .with_count(1_000_000)
            .with_bytes(1 << 32)
            .with_age(Duration::from_secs(86_400)),
        time: Timestamp::from_millis(1_000_000),
    }
}

pub(crate) async fn publish(node: &RedisBackplane, channel: &str, text: &str) -> u64 {
    let positions = node.append(events(channel, vec![body(text)])).await;
    positions.unwrap()[0].sequence()
}

/// Publishes with a key until it is acknowledged, for nodes that do not wait long.
pub(crate) async fn publish_surely(node: &RedisBackplane, channel: &str, text: &str) -> u64 {
    loop {
        if let Ok(positions) = node.append(events(channel, vec![keyed(text)])).await {
            return positions[0].sequence();
        }
    }
}

pub(crate) async fn page(node: &RedisBackplane, channel: &str, after: u64) -> Page {
    let query = PageQuery {
        after,
        until: u64::MAX,
        limit: 1000,
        bytes: PageQuery::MAX_BYTES,
        backwards: false,
    };
    node.page(&name(channel), query).await.unwrap()
}
