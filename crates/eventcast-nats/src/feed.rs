//! The one ordered consumer of a node: the stream into the sink.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, push};
use async_nats::{Message, StatusCode, Subscriber, jetstream};
use bytes::Bytes;
use eventcast_core::{BackplaneError, Lineage, Sink};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::failure::because;
use crate::link::Link;
use crate::message::Stored;

/// What a sink was given so far, over all connections.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) sink: Arc<dyn Sink>,
    /// The last message that was given or passed over.
    pub(crate) at: u64,
    /// An epoch that begins after this message, and was not told yet.
    pub(crate) fork: Option<(u64, Lineage)>,
    /// Whether the sink was told that the log is stalled.
    pub(crate) stalled: bool,
    /// Of the last record, in milliseconds.
    pub(crate) time: u64,
    pub(crate) heartbeat: Duration,
}

enum End {
    /// Nothing is wrong but the order: the consumer has to be made again.
    Again,
    Lost,
}

impl Feed {
    /// Goes on until the connection or the stream is lost, or three heartbeats are.
    pub(crate) async fn run(&mut self, link: &Link, given: &(dyn Fn(u64, u64) + Send + Sync)) {
        loop {
            let Ok((mut messages, at_end)) = self.consumer(link).await else {
                return;
            };
            if at_end {
                self.at = self.at.max(link.last);
                self.tell_fork(u64::MAX);
            }
            if std::mem::take(&mut self.stalled) {
                self.sink.recovered();
            }
            match self.follow(link, &mut messages, given).await {
                End::Again => {}
                End::Lost => return,
            }
        }
    }

    pub(crate) fn stall(&mut self) {
        if !std::mem::replace(&mut self.stalled, true) {
            self.sink.stalled();
        }
    }

    /// Tells of an epoch once everything before it was given.
    fn tell_fork(&mut self, next: u64) {
        if let Some((last, _)) = &self.fork
            && (self.at >= *last || next > *last)
            && let Some((_, lineage)) = self.fork.take()
        {
            self.sink.forked(lineage);
        }
    }

    async fn consumer(&mut self, link: &Link) -> Result<(Subscriber, bool), BackplaneError> {
        let failed = |error: async_nats::Error| because("the stream could not be followed", error);
        let inbox = link.client.new_inbox();
        let messages = link.client.subscribe(inbox.clone()).await;
        let messages = messages.map_err(|error| failed(error.into()))?;
        let config = push::Config {
            deliver_subject: inbox,
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.at + 1,
            },
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            flow_control: true,
            idle_heartbeat: self.heartbeat,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(30),
            ..push::Config::default()
        };
        let made = link.jetstream.create_consumer_on_stream(config, &link.name);
        let consumer = made.await.map_err(|error| failed(error.into()))?;
        Ok((messages, consumer.cached_info().num_pending == 0))
    }

    async fn follow(
        &mut self,
        link: &Link,
        messages: &mut Subscriber,
        given: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> End {
        let mut delivered = 0;
        loop {
            let next = timeout(self.heartbeat * 3, messages.next());
            let message = tokio::select! {
                next = next => next,
                () = link.gone() => return End::Lost,
            };
            let Ok(Some(message)) = message else {
                return End::Lost;
            };
            if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
                if self.sign_of_life(link, &message, delivered).await {
                    continue;
                }
                return End::Again;
            }
            if message.status.is_some() {
                return End::Lost;
            }
            let message = jetstream::Message {
                message,
                context: link.jetstream.clone(),
            };
            let Ok(info) = message.info() else { continue };
            if info.consumer_sequence != delivered + 1 {
                return End::Again;
            }
            delivered += 1;
            let sequence = info.stream_sequence;
            if sequence > self.at {
                let nanos = info.published.unix_timestamp_nanos();
                self.give(link, sequence, nanos, &message);
                given(sequence, self.time);
            }
        }
    }

    /// Answers flow control, and compares what was sent with what came. `false` when some is
    /// missing.
    async fn sign_of_life(&self, link: &Link, message: &Message, delivered: u64) -> bool {
        let header = |name: &str| message.headers.as_ref().and_then(|h| h.get(name));
        let stalled = header("Nats-Consumer-Stalled").map(|subject| subject.as_str().to_owned());
        let reply = message.reply.as_ref().map(ToString::to_string);
        if let Some(subject) = reply.or(stalled) {
            return link.client.publish(subject, Bytes::new()).await.is_ok();
        }
        let sent = header("Nats-Last-Consumer").and_then(|sent| sent.as_str().parse().ok());
        sent.is_none_or(|sent: u64| sent == delivered)
    }

    fn give(&mut self, link: &Link, sequence: u64, nanos: i128, message: &Message) {
        self.tell_fork(sequence);
        if sequence > self.at + 1 {
            // Trimmed before it came here.
            self.sink.skipped(link.chain.end(sequence - 1));
        }
        self.at = sequence;
        let stored = Stored::read(
            &link.subjects,
            &message.subject,
            sequence,
            message.headers.as_ref(),
            nanos,
            message.payload.clone(),
        );
        match stored {
            Ok(mut stored) => {
                // Two nodes may have written while the server's clock went back.
                self.time = self.time.max(stored.time);
                stored.time = self.time;
                for record in stored.records(&link.chain) {
                    self.sink.record(record);
                }
            }
            // Who reads the page is told what is wrong.
            Err(_) => self.sink.skipped(link.chain.end(sequence)),
        }
    }
}
