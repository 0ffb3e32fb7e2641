//! Logs in directories of their own.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use eventcast_core::{
    Append, AppendError, Backplane, Body, ChannelName, Clock, Event, PageQuery, Position, Record,
    ReplayStore, Retention, SystemClock,
};
use eventcast_fjall::{FjallBackplane, FjallConfig, Fsync};
use eventcast_testkit::RecordedSink;

/// A log with a reserve of nothing: the machine of a test may be full.
pub(crate) fn config(directory: &Path, fsync: Fsync) -> FjallConfig {
    FjallConfig::new(directory)
        .with_fsync(fsync)
        .with_reserve(0)
}

pub(crate) async fn open(directory: &Path, fsync: Fsync) -> FjallBackplane {
    FjallBackplane::open(config(directory, fsync))
        .await
        .unwrap()
}

pub(crate) async fn attach(log: &FjallBackplane) -> (Arc<RecordedSink>, eventcast_core::Attached) {
    let sink = Arc::new(RecordedSink::new());
    let attached = log.attach(sink.clone()).await.unwrap();
    (sink, attached)
}

pub(crate) fn name(channel: &str) -> ChannelName {
    ChannelName::new(channel).unwrap()
}

pub(crate) fn body(text: &str) -> Body {
    Body::Event(Event::text(text.to_owned()))
}

pub(crate) fn keyed(text: &str, key: &str) -> Body {
    Body::Event(
        Event::text(text.to_owned())
            .with_idempotency_key(key)
            .unwrap(),
    )
}

pub(crate) fn append(channel: &str, bodies: Vec<Body>) -> Append {
    Append {
        channel: name(channel),
        bodies,
        retention: Retention::new().with_count(1_000_000).with_bytes(1 << 40),
        time: SystemClock.now(),
    }
}

/// One text.
pub(crate) async fn text(
    log: &FjallBackplane,
    channel: &str,
    text: &str,
) -> Result<Position, AppendError> {
    Ok(log.append(append(channel, vec![body(text)])).await?[0])
}

/// All of a channel.
pub(crate) async fn read(log: &FjallBackplane, channel: &str) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::new();
    loop {
        let query = PageQuery {
            after: all.last().map_or(0, |record| record.position.sequence()),
            until: u64::MAX,
            limit: 1000,
            bytes: PageQuery::MAX_BYTES,
            backwards: false,
        };
        let page = log.page(&name(channel), query).await.unwrap();
        all.extend(page.records);
        if page.complete {
            return all;
        }
    }
}

pub(crate) fn payload(record: &Record) -> String {
    match &record.body {
        Body::Event(event) => event.payload().as_str().unwrap_or_default().to_owned(),
        Body::Completion(_) => String::new(),
    }
}

/// Copies a log as it is on the disk at this moment, be it in use or not: what a killed process
/// leaves behind. What is written first is copied last, so that nothing is there without what it
/// follows from.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut journals = Vec::new();
    for entry in fs::read_dir(from).unwrap() {
        let (path, file) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(file));
        } else if path.extension().is_some_and(|e| e == "jnl") {
            journals.push((path, to.join(file)));
        } else {
            fs::copy(&path, to.join(file)).unwrap();
        }
    }
    for (from, to) in journals {
        fs::copy(from, to).unwrap();
    }
}
