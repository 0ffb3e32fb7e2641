//! From messages to items in the user's queue, each once, with the id to resume by.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{ChannelSelector, Position};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use crate::delivery::Delivery;
use crate::ended::Ended;
use crate::error::{ClientError, Interruption};
use crate::message::{Kind, Message, Opening};
use crate::state::{Link, Live, State};
use crate::transport::Transport;

/// What goes through the queue.
pub(crate) struct Item {
    /// `None` moves the position only.
    pub(crate) content: Option<Result<Delivery, ClientError>>,
    /// The place after it, if it moves.
    pub(crate) position: Option<Position>,
    /// Its share of the queue's bytes, given back when it is taken out.
    _share: Option<OwnedSemaphorePermit>,
}

/// The task's end of the queue.
pub(crate) struct Feed {
    queue: mpsc::Sender<Item>,
    bytes: Arc<Semaphore>,
    max_bytes: u32,
    state: Arc<State>,
    /// Where to resume: everything up to it is in the queue or was taken out.
    received: Option<Position>,
    /// Events up to it came already. Not the same while gaps of a broken resume come.
    floor: Option<Position>,
    transport: Transport,
    link: Option<Link>,
    generation: u64,
    heartbeat: Option<Duration>,
    /// The first message has to be there by then.
    open_by: Option<Instant>,
    /// How many items the user was given, over all connections.
    pub(crate) told: u64,
    /// What the server usually wants between two connections.
    pub(crate) retry: Option<Duration>,
    pub(crate) opened: bool,
    /// The user was told that the server's log is away, and not that it is back.
    stalled: bool,
    /// Something came after the opening.
    pub(crate) progressed: bool,
}

impl Feed {
    pub(crate) fn new(
        queue: mpsc::Sender<Item>,
        max_bytes: u32,
        state: Arc<State>,
        received: Option<Position>,
    ) -> Self {
        Self {
            queue,
            bytes: Arc::new(Semaphore::new(max_bytes as usize)),
            max_bytes,
            state,
            received,
            floor: received,
            transport: Transport::WebSocket,
            link: None,
            generation: 0,
            heartbeat: None,
            open_by: None,
            told: 0,
            retry: None,
            opened: false,
            stalled: false,
            progressed: false,
        }
    }

    pub(crate) fn position(&self) -> Option<Position> {
        self.received
    }

    /// Another connection is made.
    pub(crate) fn begin(&mut self, transport: Transport) {
        self.transport = transport;
        self.link = None;
        self.generation += 1;
        self.heartbeat = None;
        self.open_by = None;
        self.opened = false;
        self.progressed = false;
    }

    /// How the connection's channels can be changed once it is open.
    pub(crate) fn set_link(&mut self, link: Link) {
        self.link = Some(link);
    }

    /// The server answered, and has so long for the first message.
    pub(crate) fn answered(&mut self, patience: Duration) {
        self.open_by = Some(Instant::now() + patience);
    }

    /// How long nothing may come.
    pub(crate) fn patience(&self, without_word: Duration) -> Duration {
        match (self.opened, self.open_by, self.heartbeat) {
            // Bytes that open nothing do not prolong it.
            (false, Some(by), _) => by.saturating_duration_since(Instant::now()),
            (_, _, Some(heartbeat)) => {
                let two = heartbeat.saturating_mul(2);
                two.clamp(LEAST_PATIENCE, MOST_PATIENCE)
            }
            _ => without_word,
        }
    }

    /// A sign of life came.
    pub(crate) fn heard(&mut self) {
        self.progressed |= self.opened;
    }

    /// The connection is open.
    ///
    /// # Cancel safety
    /// As [`take`](Self::take).
    pub(crate) async fn open(
        &mut self,
        opening: Option<&Opening>,
        id: Option<Position>,
    ) -> Result<(), Ended> {
        let channels = match opening {
            Some(opening) => opening.channels()?,
            None => Vec::new(),
        };
        let transport = self.transport;
        self.put(
            Delivery::Connected {
                transport,
                channels,
            },
            id,
        )
        .await?;
        self.opened = true;
        self.stalled = false;
        if let Some(opening) = opening {
            self.heartbeat = opening.heartbeat();
            self.retry = opening.retry().or(self.retry);
        }
        let generation = self.generation;
        let link = self.link.take();
        self.state
            .set_live(link.map(|link| Live { generation, link }));
        Ok(())
    }

    /// Takes a message in.
    ///
    /// # Cancel safety
    /// Dropped before it is done, it has done nothing: resuming brings the message again.
    pub(crate) async fn take(&mut self, message: Message) -> Result<(), Ended> {
        let Message { id, kind } = message;
        match kind {
            Kind::Open(opening) => self.open(Some(&opening), id).await,
            _ if !self.opened => {
                Err(Interruption::Garbled("it does not begin with `open`".to_owned()).into())
            }
            Kind::Deliver(delivery) => self.deliver(delivery, id).await,
            Kind::Position | Kind::Answer(..) => self.advance(id).await,
            Kind::Draining { retry } => Err(Ended::Draining { retry }),
            Kind::End { reason } => Err(match reason.as_str() {
                "completed" => Ended::Completed,
                "closed" => Ended::Final(ClientError::Closed),
                _ => Interruption::Ended(reason).into(),
            }),
        }
    }

    /// Moves the position with nothing to deliver.
    pub(crate) async fn advance(&mut self, id: Option<Position>) -> Result<(), Ended> {
        self.heard();
        match self.newer(id) {
            Some(id) => self.push(None, Some(id), 0).await,
            None => Ok(()),
        }
    }

    async fn deliver(&mut self, delivery: Delivery, id: Option<Position>) -> Result<(), Ended> {
        self.heard();
        let mut over = false;
        match &delivery {
            Delivery::Event(event) if self.newer(Some(event.id)).is_none() => return Ok(()),
            Delivery::Gap(gap) if gap.reason.breaks_order() => {
                self.floor = None;
                self.state.reopen(gap.channel.as_str());
            }
            Delivery::Completed(end) => over = self.state.complete(end.channel.as_str()),
            Delivery::Stalled if std::mem::replace(&mut self.stalled, true) => return Ok(()),
            Delivery::Recovered if !std::mem::take(&mut self.stalled) => return Ok(()),
            _ => {}
        }
        self.put(delivery, id).await?;
        match over {
            true => Err(Ended::Completed),
            false => Ok(()),
        }
    }

    async fn put(&mut self, delivery: Delivery, id: Option<Position>) -> Result<(), Ended> {
        let size = size(&delivery);
        let id = self.newer(id);
        self.push(Some(Ok(delivery)), id, size).await?;
        self.told += 1;
        Ok(())
    }

    /// Tells the user what has no id, outside any connection.
    pub(crate) async fn tell(&mut self, content: Result<Delivery, ClientError>) {
        // Without a reader there is nobody to tell.
        let _ = self.push(Some(content), None, 0).await;
    }

    async fn push(
        &mut self,
        content: Option<Result<Delivery, ClientError>>,
        position: Option<Position>,
        size: usize,
    ) -> Result<(), Ended> {
        let share = u32::try_from(size).unwrap_or(u32::MAX).min(self.max_bytes);
        let share = match share {
            0 => None,
            _ => {
                let bytes = Arc::clone(&self.bytes);
                let share = bytes.acquire_many_owned(share).await;
                Some(share.map_err(|_| Ended::Gone)?)
            }
        };
        let place = self.queue.reserve().await.map_err(|_| Ended::Gone)?;
        place.send(Item {
            content,
            position,
            _share: share,
        });
        if position.is_some() {
            self.received = position;
            self.floor = position;
        }
        Ok(())
    }

    /// The id if it moves the position. Ids of another epoch always do: there is no order.
    fn newer(&self, id: Option<Position>) -> Option<Position> {
        let old = |floor| {
            matches!(
                id.partial_cmp(&Some(floor)),
                Some(Ordering::Less | Ordering::Equal)
            )
        };
        id.filter(|_| !self.floor.is_some_and(old))
    }
}

/// What a server decides the size of, in bytes; names are short.
fn size(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::Event(event) => event.payload.len(),
        Delivery::Ephemeral(event) => event.payload.len(),
        Delivery::Completed(end) => end.failure.as_ref().map_or(0, String::len),
        Delivery::Connected { channels, .. } => {
            let size = |channel: &ChannelSelector| channel.as_str().len() + NAME_OVERHEAD;
            channels.iter().map(size).sum()
        }
        _ => 0,
    }
}

/// What a name takes besides its text.
const NAME_OVERHEAD: usize = 32;
/// A server that promises a shorter silence than half of this is not believed.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// Whatever the server promises, a connection that is silent for so long is none.
const MOST_PATIENCE: Duration = Duration::from_secs(3_600);
