//! Publishing to a log outside the hub.

use super::Remote;
use crate::backplane::{Append, AppendError, Body, OutcomeKnown};
use crate::delivery::Outcome;
use crate::error::PublishError;
use crate::event::Event;
use crate::id::Position;
use crate::log::Log;
use crate::name::{ChannelName, Key};
use crate::sync::Ordering;

impl Log {
    /// Appends events to a channel of the log outside.
    pub(crate) async fn append_events(
        &self,
        remote: &Remote,
        channel: &ChannelName,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Vec<Position>, PublishError> {
        let deduplicates = remote.plane.capabilities().deduplicates.is_some();
        let mut bodies = Vec::new();
        let mut keys = Vec::new();
        for mut event in events {
            self.check(channel, &event)?;
            if deduplicates {
                if event.idempotency_key().is_none() {
                    event = event.with_idempotency_key(remote.new_key())?;
                }
                keys.extend(event.idempotency_key().cloned());
            }
            bodies.push(Body::Event(event));
        }
        if bodies.is_empty() {
            return Ok(Vec::new());
        }
        self.append_bodies(remote, channel, bodies, keys).await
    }

    /// Ends a channel of the log outside.
    pub(crate) async fn append_end(
        &self,
        remote: &Remote,
        channel: &ChannelName,
        outcome: Outcome,
    ) -> Result<Position, PublishError> {
        let bodies = vec![Body::Completion(outcome)];
        let positions = self
            .append_bodies(remote, channel, bodies, Vec::new())
            .await?;
        Ok(positions[0])
    }

    /// Ends a channel, of whatever log.
    pub(crate) async fn end(
        &self,
        channel: &ChannelName,
        outcome: Outcome,
    ) -> Result<Position, PublishError> {
        match &self.remote {
            Some(remote) => self.append_end(remote, channel, outcome).await,
            None => self.complete(channel, outcome),
        }
    }

    async fn append_bodies(
        &self,
        remote: &Remote,
        channel: &ChannelName,
        bodies: Vec<Body>,
        keys: Vec<Key>,
    ) -> Result<Vec<Position>, PublishError> {
        let began = self.begin_publish();
        let expected = bodies.len();
        let size = bodies.iter().map(payload_len).max().unwrap_or(0);
        let append = Append {
            channel: channel.clone(),
            bodies,
            retention: self.config.retention_of(channel),
            time: self.config.clock.now(),
        };
        if remote.closed.load(Ordering::Acquire) {
            return Err(PublishError::Unavailable {
                waited: std::time::Duration::ZERO,
                source: crate::BackplaneError::new("the hub is closed"),
            });
        }
        let appended = match remote.plane.append(append).await {
            Ok(positions) if positions.len() == expected => Ok(positions),
            Ok(_) => Err(PublishError::OutcomeUnknown {
                keys,
                waited: std::time::Duration::ZERO,
                source: crate::BackplaneError::new("the log gave another number of positions"),
            }),
            Err(AppendError::Completed) => Err(PublishError::Completed),
            Err(AppendError::TooLarge { limit }) => Err(PublishError::TooLarge { size, limit }),
            Err(AppendError::Full(source)) => Err(PublishError::Full(source)),
            Err(AppendError::Unavailable {
                outcome: OutcomeKnown::NotStored,
                waited,
                source,
            }) => Err(PublishError::Unavailable { waited, source }),
            Err(AppendError::Unavailable {
                outcome: OutcomeKnown::Unknown,
                waited,
                source,
            }) => Err(PublishError::OutcomeUnknown {
                keys,
                waited,
                source,
            }),
        };
        match &appended {
            Ok(positions) => self.end_publish(&began, channel, positions.len()),
            Err(error) => self
                .observers()
                .for_each(|observer| observer.publish_failed(channel, error)),
        }
        appended
    }
}

impl Remote {
    /// A key that no other hub gives, nor this one again.
    fn new_key(&self) -> String {
        let count = self.next_key.fetch_add(1, Ordering::Relaxed);
        format!("{}-{count:x}", self.key_prefix)
    }
}

fn payload_len(body: &Body) -> usize {
    match body {
        Body::Event(event) => event.payload().len(),
        Body::Completion(_) => 0,
    }
}
