//! Messages of the stream one after the other, fetched in batches that are bounded.

use std::ops::ControlFlow;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use eventcast_core::{BackplaneError, PageQuery};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::failure::because;
use crate::link::Link;

/// How many messages are asked for at once, at most.
const BATCH: usize = 500;

/// What the server counts of a message beside its payload: subject, headers, where to acknowledge it.
const BESIDE: usize = 512;

/// How long the next message of a batch may take.
const PAUSE: Duration = Duration::from_secs(1);

/// How much is asked for: a first batch of all these bytes, then what is left of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    messages: usize,
    bytes: usize,
    headers_only: bool,
}

impl Batch {
    pub(crate) const WHOLE: Self = Self {
        messages: BATCH,
        bytes: PageQuery::MAX_BYTES,
        headers_only: false,
    };

    pub(crate) const HEADERS: Self = Self {
        headers_only: true,
        ..Self::WHOLE
    };

    /// Where so many messages are wanted in all, with payloads of so many bytes.
    pub(crate) fn up_to(messages: usize, bytes: usize) -> Self {
        Self {
            messages: messages.min(BATCH),
            bytes: bytes.min(PageQuery::MAX_BYTES),
            headers_only: false,
        }
    }
}

impl Link {
    /// Hands over every message that there is now, until told to stop.
    pub(crate) async fn scan(
        &self,
        filter: &str,
        start: DeliverPolicy,
        batch: Batch,
        mut each: impl FnMut(&jetstream::Message) -> Result<ControlFlow<()>, BackplaneError> + Send,
    ) -> Result<(), BackplaneError> {
        let failed = |error: async_nats::Error| because("the stream was not read", error);
        let config = pull::Config {
            deliver_policy: start,
            ack_policy: AckPolicy::None,
            filter_subject: filter.to_owned(),
            headers_only: batch.headers_only,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(10),
            ..pull::Config::default()
        };
        let made = self.jetstream.create_consumer_on_stream(config, &self.name);
        let consumer = made.await.map_err(|error| failed(error.into()))?;
        let mut pending = consumer.cached_info().num_pending;
        // A message that is larger than what is left comes by itself.
        let mut alone = false;
        let mut room = batch.bytes;
        let mut delivered = 0;
        'all: while pending > 0 {
            let count = batch
                .messages
                .min(usize::try_from(pending).unwrap_or(BATCH));
            let fetch = match alone {
                true => consumer.fetch().max_messages(1),
                false => {
                    let bytes = room + count * BESIDE;
                    consumer.fetch().max_messages(count).max_bytes(bytes)
                }
            };
            let mut messages = fetch
                .messages()
                .await
                .map_err(|error| failed(error.into()))?;
            let mut read = 0;
            let mut failure = None;
            // A server may not say that what was pending is trimmed, and does not that the bytes are
            // reached exactly: so the wait has a bound.
            while let Ok(Some(message)) = timeout(PAUSE, messages.next()).await {
                let message = match message {
                    Ok(message) => message,
                    // Also that the next one does not fit; anything else comes again.
                    Err(error) => {
                        failure = Some(failed(error));
                        break;
                    }
                };
                read += 1;
                room = room.saturating_sub(message.payload.len());
                let info = message.info();
                let info = info.map_err(|error| because("a message is garbled", error))?;
                if info.consumer_sequence != delivered + 1 {
                    // It came after the wait, for somebody who was gone.
                    return Err(BackplaneError::new("the stream was not read whole"));
                }
                delivered += 1;
                pending = info.pending;
                if each(&message)?.is_break() {
                    break 'all;
                }
            }
            if read == 0 && alone {
                let unread = || BackplaneError::new("the stream was not read to its end");
                return Err(failure.unwrap_or_else(unread));
            }
            alone = read == 0;
        }
        // It goes by itself in ten seconds: nobody has to wait for this.
        let name = consumer.cached_info().name.clone();
        let (jetstream, stream) = (self.jetstream.clone(), self.name.clone());
        tokio::spawn(async move {
            let _ = jetstream.delete_consumer_from_stream(&name, &stream).await;
        });
        Ok(())
    }
}
