//! The connections to one run of the server, and the proof that they may be used.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use eventcast_core::{BackplaneError, Durability, Epoch, Lineage};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, PushInfo, PushKind, Value};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use crate::failure::{because, unreachable};
use crate::queue::{Push, Queue};
use crate::server::{Server, durability};
use crate::shared::Shared;
use crate::wire::{self, Segment};

/// Two connections to one run of the server: one for commands, one for what it pushes.
pub(crate) struct Link {
    commands: MultiplexedConnection,
    pushes: MultiplexedConnection,
    pub(crate) queue: Arc<Queue>,
    run: String,
    pub(crate) epoch: Epoch,
    pub(crate) segments: Vec<Segment>,
    /// The last sequence when pushes began to be listened to.
    pub(crate) until: u64,
    pub(crate) floor: u64,
    failed: Notify,
    /// The log knows that one of them may take the server's place.
    has_replicas: AtomicBool,
    appended: AtomicU64,
    /// Up to which append the replicas have everything.
    replicated: Mutex<u64>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("run", &self.run)
            .field("epoch", &self.epoch)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, and proves that the log is the one that this node knows or has an epoch started.
    pub(crate) async fn establish(shared: &Shared) -> Result<Arc<Self>, BackplaneError> {
        timeout(shared.config.connect_timeout, Box::pin(Self::open(shared)))
            .await
            .unwrap_or_else(|_| Err(BackplaneError::new("the server does not answer")))
    }

    async fn open(shared: &Shared) -> Result<Arc<Self>, BackplaneError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(shared.config.max_in_flight.min(1024))
            .set_concurrency_limit(shared.config.max_in_flight);
        let mut commands = connect(shared, &config).await?;
        let server = info(&mut commands).await?;
        if !server.is_primary {
            return Err(BackplaneError::new("the server is a replica"));
        }
        if server.evicts {
            return Err(BackplaneError::new(
                "the server evicts keys, which would be a silent loss: maxmemory-policy has to be noeviction",
            ));
        }
        let durability = durability(&mut commands)
            .await?
            .or(shared.config.declared)
            .unwrap_or(Durability::Process);
        let proves = durability == Durability::Synced && !server.was_promoted;
        let (segments, floor) = adopt(shared, &mut commands, &server, proves).await?;
        let epoch = segments.last().map_or_else(wire::no_epoch, |s| s.epoch);

        let queue = Arc::new(Queue::new(
            shared.config.queue_count,
            shared.config.queue_bytes,
        ));
        let topics = [shared.keys.records(), shared.keys.messages()];
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(receiver(Arc::clone(&queue), topics.clone()));
        let mut pushes = connect(shared, &config).await?;
        if info(&mut pushes).await?.run != server.run {
            return Err(BackplaneError::new("the server changed meanwhile"));
        }
        pushes.subscribe(&topics[..]).await.map_err(unreachable)?;
        let (now, until) = head(shared, &mut pushes).await?;
        if now != epoch {
            return Err(BackplaneError::new("another node started an epoch"));
        }
        let mut known = shared.known();
        known.segments.clone_from(&segments);
        known.run.clone_from(&server.run);
        known.durability = Some(durability);
        known.highest = known.highest.max(until);
        drop(known);
        Ok(Arc::new(Self {
            commands,
            pushes,
            queue,
            run: server.run,
            epoch,
            segments,
            until,
            floor,
            failed: Notify::new(),
            has_replicas: AtomicBool::new(server.has_replicas),
            appended: AtomicU64::new(0),
            replicated: Mutex::new(0),
        }))
    }

    /// The connection for commands.
    pub(crate) fn commands(&self) -> MultiplexedConnection {
        self.commands.clone()
    }

    pub(crate) fn lineage(&self) -> Lineage {
        wire::lineage(&self.segments)
    }

    /// These connections are of no use any more, or the log went on elsewhere.
    pub(crate) fn fail(&self) {
        self.failed.notify_one();
    }

    pub(crate) async fn failed(&self) {
        self.failed.notified().await;
    }

    /// Whether the server is there and still the one that it was; answers with the last sequence of
    /// the log, before which everything is in the queue.
    pub(crate) async fn ping(&self, shared: &Shared) -> Result<u64, BackplaneError> {
        let mut pushes = self.pushes.clone();
        let server = info(&mut pushes).await?;
        if !server.is_primary || server.run != self.run || server.evicts {
            return Err(BackplaneError::new("the server changed"));
        }
        if server.has_replicas && !self.has_replicas.swap(true, Ordering::Relaxed) {
            redis::cmd("HSETNX")
                .arg(shared.keys.log())
                .arg("replicated")
                .arg("1")
                .query_async::<()>(&mut pushes)
                .await
                .map_err(unreachable)?;
        }
        let (epoch, until) = head(shared, &mut pushes).await?;
        if epoch != self.epoch {
            return Err(BackplaneError::new("another node started an epoch"));
        }
        // Commands have a connection of their own, which may be cut alone.
        redis::cmd("PING")
            .query_async::<()>(&mut self.commands())
            .await
            .map_err(unreachable)?;
        Ok(until)
    }

    /// Waits until so many replicas have what was appended on this connection up to now; `false`
    /// when they have not in that time. One request serves all who wait.
    pub(crate) async fn replicated(
        &self,
        replicas: usize,
        millis: u64,
    ) -> redis::RedisResult<bool> {
        let mine = self.appended.fetch_add(1, Ordering::SeqCst) + 1;
        let mut done = self.replicated.lock().await;
        if *done >= mine {
            return Ok(true);
        }
        let upto = self.appended.load(Ordering::SeqCst);
        let have: usize = redis::cmd("WAIT")
            .arg(replicas)
            .arg(millis.max(1))
            .query_async(&mut self.commands())
            .await?;
        if have >= replicas {
            *done = upto;
        }
        Ok(have >= replicas)
    }
}

async fn connect(
    shared: &Shared,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, BackplaneError> {
    shared
        .client
        .get_multiplexed_async_connection_with_config(config)
        .await
        .map_err(unreachable)
}

async fn info(connection: &mut MultiplexedConnection) -> Result<Server, BackplaneError> {
    let info: String = redis::cmd("INFO")
        .query_async(connection)
        .await
        .map_err(unreachable)?;
    Server::parse(&info)
}

/// The log's epoch and last sequence.
async fn head(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
) -> Result<(Epoch, u64), BackplaneError> {
    let (epoch, sequence): (Option<String>, Option<u64>) = redis::cmd("HMGET")
        .arg(shared.keys.log())
        .arg("epoch")
        .arg("seq")
        .query_async(connection)
        .await
        .map_err(unreachable)?;
    epoch
        .and_then(|epoch| wire::epoch(&epoch))
        .zip(sequence)
        .ok_or_else(|| BackplaneError::new("the log is gone"))
}

/// The lineage and the floor of the log, which is this node's or went on under another epoch.
async fn adopt(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    server: &Server,
    proves: bool,
) -> Result<(Vec<Segment>, u64), BackplaneError> {
    let mut call = shared.scripts.adopt.prepare_invoke();
    {
        let known = shared.known();
        let epoch = known.segments.last().map(|s| s.epoch.bits().to_string());
        call.key(shared.keys.log())
            .arg(&server.run)
            .arg(u8::from(proves))
            .arg(u8::from(server.has_replicas))
            .arg(epoch.unwrap_or_default())
            .arg(known.highest)
            .arg(&known.run)
            .arg(wire::text(&known.segments))
            .arg(known.time)
            .arg(Epoch::random().bits())
            .arg(shared.keys.records())
            .arg(Lineage::MAX_EPOCHS);
    }
    let answer: (String, u64, String, u64, u64) = call
        .invoke_async(connection)
        .await
        .map_err(|error| because("the log could not be taken up", error))?;
    let (_, _, lineage, floor, _) = answer;
    let segments = wire::segments(&lineage)
        .ok_or_else(|| BackplaneError::new("the log's lineage is not readable"))?;
    Ok((segments, floor))
}

/// Puts what the server pushes into the queue; called by the connection, in order.
fn receiver(
    queue: Arc<Queue>,
    [records, messages]: [String; 2],
) -> impl Fn(PushInfo) -> Result<(), ErrorKind> + Send + Sync + 'static {
    move |push| {
        match push.kind {
            PushKind::Disconnection => queue.close(),
            PushKind::Message => {
                let mut data = push.data.into_iter();
                if let (Some(Value::BulkString(topic)), Some(Value::BulkString(payload))) =
                    (data.next(), data.next())
                {
                    let payload = Bytes::from(payload);
                    if topic == records.as_bytes() {
                        queue.push(Push::Records(payload));
                    } else if topic == messages.as_bytes() {
                        queue.push(Push::Message(payload));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
