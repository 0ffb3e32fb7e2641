//! The conformance kit, for each policy.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use eventcast_core::{
    Append, AppendError, Attached, Backplane, BackplaneError, Capabilities, ChannelFacts,
    ChannelName, Durability, Page, PageQuery, Position, ReplayStore, Sink, Timestamp,
};
use eventcast_fjall::{FjallBackplane, Fsync};
use eventcast_testkit::backplane::{Failure, Harness, Log, Restart};
use tempfile::TempDir;

struct Fjall(Fsync);

/// One node, so that what takes two of them is left out. A killed log goes on in a copy of its
/// directory, made while it is still being written.
struct Directory {
    fsync: Fsync,
    is_killed: Mutex<Arc<AtomicBool>>,
    now: Mutex<TempDir>,
    before: Mutex<Vec<TempDir>>,
}

#[async_trait]
impl Harness for Fjall {
    fn capabilities(&self) -> Capabilities {
        let durability = match self.0 {
            Fsync::Interval(time) => Durability::Interval(time),
            _ => Durability::Synced,
        };
        Capabilities::new(durability).deduplicating(Duration::from_secs(300))
    }

    async fn log(&self) -> Result<Box<dyn Log>, Failure> {
        Ok(Box::new(Directory {
            fsync: self.0,
            is_killed: Mutex::default(),
            now: Mutex::new(tempfile::tempdir()?),
            before: Mutex::default(),
        }))
    }

    fn refused_payload(&self) -> Option<usize> {
        Some(16 << 20)
    }
}

#[async_trait]
impl Log for Directory {
    async fn node(&self) -> Result<Arc<dyn Backplane>, Failure> {
        let config = support::config(self.now.lock().unwrap().path(), self.fsync);
        Ok(Arc::new(Node {
            log: FjallBackplane::open(config).await?,
            is_killed: Arc::clone(&self.is_killed.lock().unwrap()),
        }))
    }

    async fn restart(&self, how: Restart) -> Result<(), Failure> {
        if how == Restart::Kill {
            // From here on the killed one answers nobody.
            let is_killed = std::mem::take(&mut *self.is_killed.lock().unwrap());
            is_killed.store(true, Ordering::SeqCst);
            let copy = tempfile::tempdir()?;
            let mut now = self.now.lock().unwrap();
            support::copy(now.path(), copy.path());
            let before = std::mem::replace(&mut *now, copy);
            self.before.lock().unwrap().push(before);
        }
        Ok(())
    }
}

/// A log that can be killed.
#[derive(Debug)]
struct Node {
    log: FjallBackplane,
    is_killed: Arc<AtomicBool>,
}

#[async_trait]
impl ReplayStore for Node {
    async fn page(&self, channel: &ChannelName, query: PageQuery) -> Result<Page, BackplaneError> {
        self.log.page(channel, query).await
    }

    async fn facts(&self, channel: &ChannelName) -> Result<ChannelFacts, BackplaneError> {
        self.log.facts(channel).await
    }

    async fn channels(
        &self,
        prefix: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChannelName>, BackplaneError> {
        self.log.channels(prefix, after, limit).await
    }
}

#[async_trait]
impl Backplane for Node {
    fn capabilities(&self) -> Capabilities {
        self.log.capabilities()
    }

    async fn attach(&self, sink: Arc<dyn Sink>) -> Result<Attached, BackplaneError> {
        self.log.attach(sink).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Position>, AppendError> {
        let answer = self.log.append(append).await;
        match self.is_killed.load(Ordering::SeqCst) {
            true => pending().await,
            false => answer,
        }
    }

    async fn maintain(&self, now: Timestamp) -> Result<(), BackplaneError> {
        self.log.maintain(now).await
    }

    async fn close(&self) -> Result<(), BackplaneError> {
        self.log.close().await
    }
}

mod each {
    use super::{Fjall, Fsync};

    eventcast_testkit::backplane_conformance!(Fjall(Fsync::Each), skipped = 4);
}

mod batch {
    use super::{Fjall, Fsync};

    eventcast_testkit::backplane_conformance!(Fjall(Fsync::Batch), skipped = 4);
}

mod interval {
    use super::{Duration, Fjall, Fsync};

    eventcast_testkit::backplane_conformance!(
        Fjall(Fsync::Interval(Duration::from_millis(20))),
        skipped = 4
    );
}
