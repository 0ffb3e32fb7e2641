//! Appends to one channel, one after the other: each names the message that it follows, so that no
//! other node's gets between unseen.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::DeliverPolicy;
use bytes::Bytes;
use eventcast_core::{AppendError, BackplaneError, Body, ChannelName, Epoch, Key, Position};
use tokio::time::Instant;

use crate::chain::FACTOR;
use crate::failure::because;
use crate::link::Link;
use crate::message::{Before, HEADER, Stored, encode};
use crate::publish::{Refused, publish};
use crate::scan::Batch;
use crate::shared::Shared;

/// How many keys of one channel are remembered; the server knows those of single events anyway.
const MAX_KEYS: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// What is known of the channel; `None` when that may be outdated.
    state: tokio::sync::Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    /// The connection on which this was read.
    link: Arc<Link>,
    /// The channel's last message: the server's own number, 0 when it has none.
    last: u64,
    before: Before,
    completed: bool,
    keys: Option<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    known: HashMap<Key, (Position, Instant)>,
}

/// A message that was sent and not answered.
#[derive(Debug)]
struct Sent {
    id: String,
    places: Vec<Place>,
    expected: u64,
    /// The highest message that was known as it was sent: its own number is above.
    seen: u64,
    epoch: Epoch,
    seen_end: u64,
}

/// Why an attempt did not store the records.
enum Failed {
    Append(AppendError),
    /// Not stored, and another attempt may.
    Again(BackplaneError),
    /// Not known, and to be found out.
    Unanswered(BackplaneError),
    /// Not known, and it cannot be found out any more.
    Lost(BackplaneError),
}

impl From<BackplaneError> for Failed {
    fn from(error: BackplaneError) -> Self {
        Self::Again(error)
    }
}

/// The records of one append, on their way.
pub(crate) struct Appending<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) channel: &'a ChannelName,
    pub(crate) bodies: &'a [Body],
    /// When they are published, in milliseconds.
    pub(crate) time: u64,
    /// Whether something may have been stored.
    pub(crate) open: &'a AtomicBool,
}

impl Appending<'_> {
    /// Tries until it is stored, refused, or nothing more can be known. The caller bounds the time.
    pub(crate) async fn run(
        &self,
        lane: &Lane,
        last_failure: &parking::Slot,
    ) -> Result<Vec<Position>, Option<AppendError>> {
        let id = self.shared.message_id();
        let mut sent = None;
        loop {
            let link = self.shared.link().await;
            let mut state = lane.state.lock().await;
            if link.is_gone() {
                continue;
            }
            let failure = match self.attempt(&link, &mut state, &id, &mut sent).await {
                Ok(positions) => return Ok(positions),
                Err(Failed::Append(error)) => return Err(Some(error)),
                Err(Failed::Lost(error)) => {
                    last_failure.put(error);
                    return Err(None);
                }
                Err(Failed::Again(error) | Failed::Unanswered(error)) => error,
            };
            *state = None;
            drop(state);
            last_failure.put(failure);
            // Not at once again where the server says no at once.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn attempt(
        &self,
        link: &Arc<Link>,
        slot: &mut Option<State>,
        id: &str,
        sent: &mut Option<Sent>,
    ) -> Result<Vec<Position>, Failed> {
        let subject = link.subjects.channel(self.channel);
        if let Some(attempt) = sent.as_ref()
            && let Some(stored) = attempt.find(link, &subject).await?
        {
            *slot = None;
            let count = stored.bodies.len();
            return placed(link, &attempt.places, stored.sequence, count);
        }
        let keyed = self.bodies.iter().any(|b| b.idempotency_key().is_some());
        let stale = |state: &State| !Arc::ptr_eq(&state.link, link);
        if slot.as_ref().is_none_or(stale) {
            *slot = Some(State::load(link, &subject).await?);
        }
        let Some(state) = slot.as_mut() else {
            return Err(Failed::Again(BackplaneError::new(
                "the channel was not read",
            )));
        };
        if keyed && state.keys.is_none() {
            let now = state.before.floor.max(self.shared.time());
            state.keys = Some(Keys::load(link, &subject, state.last, now).await?);
        }
        let mut places = Vec::with_capacity(self.bodies.len());
        let mut new = Vec::new();
        for body in self.bodies {
            let key = body.idempotency_key();
            let twin = key.and_then(|key| {
                new.iter()
                    .position(|b: &Body| b.idempotency_key() == Some(key))
            });
            let position = match (key, &state.keys) {
                (Some(key), Some(keys)) => keys.find(key),
                _ => None,
            };
            places.push(match (position, twin) {
                (Some(position), _) => Place::Known(position),
                (None, Some(twin)) => Place::New(twin),
                (None, None) => {
                    new.push(body.clone());
                    Place::New(new.len() - 1)
                }
            });
        }
        let message_id = match (new.as_slice(), new.first().and_then(Body::idempotency_key)) {
            ([_], Some(key)) => format!("{subject} {key}"),
            _ => id.to_owned(),
        };
        if new.is_empty() {
            return placed(link, &places, 0, 1);
        }
        if state.completed {
            return Err(Failed::Append(AppendError::Completed));
        }

        let limit = link.client.max_payload();
        let payload = encode(&new);
        // Headers count too; ours are the subject, a key and a few numbers.
        if new.len() as u64 > FACTOR || payload.len() + subject.len() + 512 > limit {
            return Err(Failed::Append(AppendError::TooLarge { limit }));
        }
        let mut before = state.before;
        before.floor = before.floor.max(self.shared.time());
        // The acknowledgement did not tell when the one before was stored.
        before.time = before.time.max(before.floor);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", message_id.as_str());
        headers.insert(
            "Nats-Expected-Last-Subject-Sequence",
            state.last.to_string(),
        );
        headers.insert(HEADER, before.header());
        let seen = self.shared.highest();
        let unanswered = sent.is_some();
        *sent = Some(Sent {
            id: message_id,
            places: places.clone(),
            expected: state.last,
            seen,
            epoch: link.chain.epoch(),
            seen_end: link.chain.end(seen),
        });
        self.open.store(true, Ordering::Relaxed);
        let answer = tokio::select! {
            biased;
            () = link.gone() => Err(Refused::Unknown("the connection is lost".to_owned())),
            answer = publish(&link.client, subject, headers, payload) => answer,
        };
        let ack = match answer {
            Ok(ack) => ack,
            Err(Refused::Unknown(why)) => {
                let context = "the server did not answer";
                return Err(Failed::Unanswered(because(context, why)));
            }
            Err(refused) => {
                // An earlier one, without an answer, may still arrive, and in the same place.
                if !unanswered {
                    *sent = None;
                    self.open.store(false, Ordering::Relaxed);
                }
                return Err(match refused {
                    Refused::TooLarge => Failed::Append(AppendError::TooLarge { limit }),
                    Refused::Full(why) => {
                        let context = "the server has no room";
                        Failed::Append(AppendError::Full(because(context, why)))
                    }
                    Refused::NoStream => {
                        self.shared.look_again();
                        Failed::Again(BackplaneError::new("the stream is not there"))
                    }
                    other => Failed::Again(because("it was not taken", other)),
                });
            }
        };
        if ack.duplicate {
            // The first one's; of keys that came with others there is no such answer.
            *slot = None;
            return placed(link, &places, ack.sequence, new.len());
        }
        if ack.sequence <= seen {
            self.shared.look_again();
            let context = "the stream was put back to an earlier state";
            return Err(Failed::Lost(BackplaneError::new(context)));
        }
        self.shared.given(&link.chain, ack.sequence);
        let positions = placed(link, &places, ack.sequence, new.len())?;
        let time = self.time.max(self.shared.time());
        state.stored(
            ack.sequence,
            time,
            &new,
            self.bodies,
            &positions,
            link.window,
        );
        Ok(positions)
    }
}

/// Where a body is: published before, or the so-manieth of a message.
#[derive(Clone, Copy, Debug)]
enum Place {
    Known(Position),
    New(usize),
}

fn placed(
    link: &Link,
    places: &[Place],
    stored: u64,
    count: usize,
) -> Result<Vec<Position>, Failed> {
    let places = places.iter().map(|place| match *place {
        Place::Known(position) => Some(position),
        Place::New(index) => link.chain.position(stored, index.min(count - 1), count),
    });
    let gone = || Failed::Lost(BackplaneError::new("the epoch is forgotten"));
    places.collect::<Option<Vec<_>>>().ok_or_else(gone)
}

impl State {
    async fn load(link: &Arc<Link>, subject: &str) -> Result<Self, BackplaneError> {
        let (last, before, completed) = match link.last_of(subject).await? {
            Some(last) => {
                let before = Before {
                    message: last.sequence,
                    time: last.time,
                    floor: last.time,
                };
                let completed = matches!(last.bodies.last(), Some(Body::Completion(_)));
                (last.sequence, before, completed)
            }
            None => {
                // It has none, or all are gone: those of before are at or below what is there.
                let (message, time) = link.floor().await?;
                let time = if message == 0 { 0 } else { time };
                let before = Before {
                    message,
                    time,
                    floor: time,
                };
                (0, before, false)
            }
        };
        Ok(Self {
            link: link.clone(),
            last,
            before,
            completed,
            keys: None,
        })
    }

    fn stored(
        &mut self,
        message: u64,
        time: u64,
        new: &[Body],
        bodies: &[Body],
        positions: &[Position],
        window: Duration,
    ) {
        self.last = message;
        self.before.message = message;
        self.before.time = self.before.time.max(time);
        self.completed = matches!(new.last(), Some(Body::Completion(_)));
        if let Some(keys) = &mut self.keys {
            for (body, position) in bodies.iter().zip(positions) {
                if let Some(key) = body.idempotency_key() {
                    keys.insert(key.clone(), *position, Instant::now() + window);
                }
            }
        }
    }
}

impl Keys {
    /// Reads the keys of the window before a time, which is the server's, up to a message.
    async fn load(link: &Link, subject: &str, last: u64, now: u64) -> Result<Self, BackplaneError> {
        let mut keys = Self::default();
        if last == 0 {
            return Ok(keys);
        }
        let now = Duration::from_millis(now);
        let start = SystemTime::UNIX_EPOCH + now.saturating_sub(link.window);
        let start_time = start.into();
        let start = DeliverPolicy::ByStartTime { start_time };
        link.scan(subject, start, Batch::WHOLE, |message| {
            let stored = link.stored(message)?;
            if stored.sequence > last {
                return Ok(ControlFlow::Break(()));
            }
            let age = now.saturating_sub(Duration::from_millis(stored.time));
            for record in stored.records(&link.chain) {
                if let Some(key) = record.body.idempotency_key() {
                    let until = Instant::now() + link.window.saturating_sub(age);
                    keys.insert(key.clone(), record.position, until);
                }
            }
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        Ok(keys)
    }

    fn find(&self, key: &Key) -> Option<Position> {
        let (position, until) = self.known.get(key)?;
        (*until > Instant::now()).then_some(*position)
    }

    fn insert(&mut self, key: Key, position: Position, until: Instant) {
        if self.known.len() >= MAX_KEYS {
            let now = Instant::now();
            self.known.retain(|_, (_, until)| *until > now);
        }
        if self.known.len() < MAX_KEYS {
            self.known.entry(key).or_insert((position, until));
        }
    }
}

impl Sent {
    /// The message, if it was stored. It was only if it is the first after the one it named: the
    /// server takes it in no other place, however late it arrives.
    async fn find(&self, link: &Link, subject: &str) -> Result<Option<Stored>, Failed> {
        let unknown = |why| Err(Failed::Lost(BackplaneError::new(why)));
        if !link.holds(self.epoch, self.seen_end) {
            return unknown("the log has lost its end meanwhile");
        }
        let read = link.first_of(subject, self.expected + 1).await;
        match read.map_err(Failed::Unanswered)? {
            Some(next) if next.id.as_ref() == Some(&self.id) => Ok(Some(next)),
            Some(next) if next.before.message <= self.seen => Ok(None),
            Some(_) => unknown("what followed was trimmed meanwhile"),
            None => {
                let (floor, _) = link.floor().await.map_err(Failed::Unanswered)?;
                if floor <= self.seen {
                    Ok(None)
                } else {
                    unknown("what followed was trimmed meanwhile")
                }
            }
        }
    }
}

/// The bytes of a broadcast: who sent it, so that he can leave it out, and the message.
pub(crate) fn broadcast(node: u64, message: &Bytes) -> Bytes {
    let mut bytes = Vec::with_capacity(8 + message.len());
    bytes.extend_from_slice(&node.to_be_bytes());
    bytes.extend_from_slice(message);
    bytes.into()
}

/// Where the last failure is kept for who gives up.
pub(crate) mod parking {
    use std::sync::{Mutex, PoisonError};

    use eventcast_core::BackplaneError;

    #[derive(Debug, Default)]
    pub(crate) struct Slot(Mutex<Option<BackplaneError>>);

    impl Slot {
        pub(crate) fn put(&self, error: BackplaneError) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }

        pub(crate) fn take(&self) -> BackplaneError {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let none = || BackplaneError::new("the server could not be reached in time");
            slot.take().unwrap_or_else(none)
        }
    }
}
