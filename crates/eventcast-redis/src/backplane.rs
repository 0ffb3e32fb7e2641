//! The log that hubs use.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use eventcast_core::{
    Append, AppendError, Attached, Backplane, BackplaneError, Capabilities, ChannelFacts,
    ChannelName, Durability, Page, PageQuery, Position, ReplayStore, Sink, Timestamp,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::append::millis;
use crate::config::RedisConfig;
use crate::failure::unreachable;
use crate::follow::Follower;
use crate::link::Link;
use crate::shared::Shared;
use crate::{append, read};

/// How many channels one script trims, so that the server is not held up.
const BATCH: usize = 100;

/// A log on a Redis server that several hubs share.
///
/// It lives in the tokio runtime in which [`connect`](Self::connect) was called.
///
/// ```no_run
/// use std::sync::Arc;
/// use eventcast_core::Backplane;
/// use eventcast_redis::{RedisBackplane, RedisConfig};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = RedisConfig::new("redis://127.0.0.1:6379")?.with_namespace("shop")?;
/// let log: Arc<dyn Backplane> = Arc::new(RedisBackplane::connect(config).await?);
/// println!("what is acknowledged survives: {:?}", log.capabilities().durability);
/// # Ok(())
/// # }
/// ```
pub struct RedisBackplane {
    shared: Arc<Shared>,
    task: Mutex<Task>,
}

enum Task {
    Unattached,
    Attached(JoinHandle<()>),
    Closed,
}

impl fmt::Debug for RedisBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackplane")
            .field("namespace", &self.shared.config.namespace)
            .field("link", &*self.shared.link.borrow())
            .finish_non_exhaustive()
    }
}

impl RedisBackplane {
    /// Connects to the server and takes up the log, or starts it.
    ///
    /// # Errors
    /// [`BackplaneError`] when the server cannot be reached in time, refuses the user, is older
    /// than Redis 7, is a replica, or evicts keys.
    ///
    /// # Cancel safety
    /// Nothing is left behind but, perhaps, a new log without records.
    pub async fn connect(config: RedisConfig) -> Result<Self, BackplaneError> {
        let shared = Arc::new(Shared::new(config)?);
        let link = Link::establish(&shared).await?;
        shared.link.send_replace(Some(link));
        Ok(Self {
            shared,
            task: Mutex::new(Task::Unattached),
        })
    }

    /// Ends what follows the log; the task, which is over soon.
    fn end(&self) -> Option<JoinHandle<()>> {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *task, Task::Closed);
        drop(task);
        self.shared.closed.store(true, Ordering::Release);
        self.shared.link.send_replace(None);
        self.shared.given.send_replace(u64::MAX);
        let Task::Attached(task) = before else {
            return None;
        };
        task.abort();
        Some(task)
    }
}

impl Drop for RedisBackplane {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

#[async_trait]
impl ReplayStore for RedisBackplane {
    async fn page(&self, channel: &ChannelName, query: PageQuery) -> Result<Page, BackplaneError> {
        let link = self.shared.current()?;
        self.bounded(&link, read::page(&self.shared, &link, channel, query))
            .await
    }

    async fn facts(&self, channel: &ChannelName) -> Result<ChannelFacts, BackplaneError> {
        let link = self.shared.current()?;
        self.bounded(&link, read::facts(&self.shared, &link, channel))
            .await
    }

    async fn channels(
        &self,
        prefix: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChannelName>, BackplaneError> {
        let link = self.shared.current()?;
        let channels = read::channels(&self.shared, &link, prefix, after, limit);
        self.bounded(&link, channels).await
    }
}

impl RedisBackplane {
    async fn bounded<T>(
        &self,
        link: &Link,
        work: impl Future<Output = Result<T, BackplaneError>>,
    ) -> Result<T, BackplaneError> {
        let silent = || BackplaneError::new("the server did not answer in time");
        match timeout(self.shared.config.publish_timeout, work).await {
            Ok(result) => result,
            Err(_) => {
                link.fail();
                Err(silent())
            }
        }
    }
}

#[async_trait]
impl Backplane for RedisBackplane {
    fn capabilities(&self) -> Capabilities {
        let durability = self.shared.known().durability;
        Capabilities::new(durability.unwrap_or(Durability::Process))
            .shared()
            .deduplicating(self.shared.config.window)
    }

    async fn attach(&self, sink: Arc<dyn Sink>) -> Result<Attached, BackplaneError> {
        let current = self.shared.link.borrow().clone();
        let link = match current {
            // What was pushed since is in its queue, or its numbers show that it is not.
            Some(link) if self.bounded(&link, link.ping(&self.shared)).await.is_ok() => link,
            _ => Link::establish(&self.shared).await?,
        };
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*task, Task::Unattached) {
            return Err(BackplaneError::new("a hub is attached, or was"));
        }
        let attached = Attached {
            lineage: link.lineage(),
            committed: link.until,
            floor: link.floor,
        };
        self.shared.link.send_replace(Some(Arc::clone(&link)));
        let follower = Follower::new(Arc::clone(&self.shared), sink, &link);
        *task = Task::Attached(tokio::spawn(follower.run(link)));
        Ok(attached)
    }

    async fn append(&self, append: Append) -> Result<Vec<Position>, AppendError> {
        append::append(&self.shared, &append).await
    }

    async fn broadcast(&self, message: Bytes) -> Result<(), BackplaneError> {
        let link = self.shared.current()?;
        let mut payload = BytesMut::with_capacity(16 + message.len());
        payload.put_slice(&self.shared.node);
        payload.put_slice(&message);
        let publish = async {
            redis::cmd("PUBLISH")
                .arg(self.shared.keys.messages())
                .arg(&payload[..])
                .query_async::<()>(&mut link.commands())
                .await
                .map_err(unreachable)
        };
        self.bounded(&link, publish).await
    }

    async fn maintain(&self, now: Timestamp) -> Result<(), BackplaneError> {
        let link = self.shared.current()?;
        let keys = &self.shared.keys;
        loop {
            let mut call = self.shared.scripts.maintain.prepare_invoke();
            call.key(keys.log())
                .key(keys.index())
                .key(keys.names())
                .key(keys.expiry())
                .key(keys.ends())
                .arg(now.as_millis().min(1 << 53))
                .arg(BATCH)
                .arg(self.shared.config.ends)
                .arg(keys.streams())
                .arg(keys.channels())
                .arg(millis(self.shared.config.idle));
            let batch = async {
                let more: u8 = call
                    .invoke_async(&mut link.commands())
                    .await
                    .map_err(unreachable)?;
                Ok(more)
            };
            if self.bounded(&link, batch).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn close(&self) -> Result<(), BackplaneError> {
        if let Some(task) = self.end() {
            // Cancelled: once it is, the sink is let go.
            let _ = task.await;
            self.shared.link.send_replace(None);
        }
        Ok(())
    }
}
