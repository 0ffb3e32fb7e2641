//! A connection on which the log was looked at: only on such a one anything is published.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::jetstream::stream::{self, LastRawMessageErrorKind, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, HeaderMap, Subscriber};
use eventcast_core::{BackplaneError, Epoch, Position};
use tokio::sync::watch;

use crate::chain::Chain;
use crate::config::NatsConfig;
use crate::connect::connect;
use crate::failure::because;
use crate::publish::{Refused, publish};
use crate::subject::Subjects;

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) stream: stream::Stream<()>,
    pub(crate) name: String,
    pub(crate) subjects: Subjects,
    pub(crate) chain: Arc<Chain>,
    /// The stream's first and last sequences when it was looked at.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// For how long the stream knows message ids.
    pub(crate) window: std::time::Duration,
    /// Set once the connection is given up.
    gone: watch::Sender<bool>,
    /// What other nodes broadcast, until somebody takes it.
    messages: Mutex<Option<Subscriber>>,
}

/// What this node knows of the log from before.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) chain: Arc<Chain>,
    /// The highest message that was delivered or acknowledged here.
    pub(crate) highest: u64,
}

impl Link {
    pub(crate) async fn open(
        config: &NatsConfig,
        known: Option<&Known>,
        attempt: usize,
    ) -> Result<Self, BackplaneError> {
        let client = connect(config, attempt).await?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(config.publish_timeout);
        // First, on the connection whose later requests are answered: the server has it by then.
        let messages = client.subscribe(config.broadcast_subject()).await;
        let messages = messages
            .map_err(|error| because("messages of other nodes are not to be had", error))?;
        for _ in 0..16 {
            if let Some(mut link) = Self::look(config, &client, &jetstream, known).await? {
                link.messages = Mutex::new(Some(messages));
                return Ok(link);
            }
        }
        Err(BackplaneError::new(
            "the lineage is being changed by others",
        ))
    }

    /// `None` when another node was quicker to change the lineage.
    async fn look(
        config: &NatsConfig,
        client: &Client,
        jetstream: &jetstream::Context,
        known: Option<&Known>,
    ) -> Result<Option<Self>, BackplaneError> {
        let storage = if config.memory {
            StorageType::Memory
        } else {
            StorageType::File
        };
        let lineage = jetstream
            .get_or_create_stream(stream::Config {
                name: config.lineage_stream(),
                subjects: vec![config.lineage_subject()],
                max_messages_per_subject: 8,
                storage,
                num_replicas: config.replicas,
                deny_delete: true,
                deny_purge: true,
                ..stream::Config::default()
            })
            .await
            .map_err(|e| because("the stream of the lineage is not to be had", e))?;
        let (revision, stored) = match lineage
            .get_last_raw_message_by_subject(&config.lineage_subject())
            .await
        {
            Ok(message) => {
                let chain = Chain::decode(&message.payload)
                    .ok_or_else(|| BackplaneError::new("the lineage that is stored is garbled"))?;
                (message.sequence, Some(chain))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => (0, None),
            Err(error) => {
                return Err(because("the lineage could not be read", error));
            }
        };

        let info = stream_info(config, jetstream, storage).await?;
        let subjects = Subjects::of_stream(&config.namespace, &info.config.subjects)
            .filter(|_| is_suitable(&info.config))
            .ok_or_else(|| BackplaneError::new("the stream is not one that a log made"))?;
        let last = info.state.last_sequence;
        let run = if info.config.num_replicas > 1 {
            "cluster".to_owned()
        } else {
            client.server_info().server_id
        };
        let sync_is_certain = info.config.num_replicas > 1
            || config.synced == Some(eventcast_core::Durability::Synced);
        let chain = judge(
            stored.as_ref(),
            known,
            &Looked {
                mark: &subjects.mark,
                run: &run,
                last,
                sync_is_certain,
            },
        );
        if stored.as_ref() != Some(&chain) {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Expected-Last-Subject-Sequence", revision.to_string());
            let payload = chain.encode().into();
            match publish(client, config.lineage_subject(), headers, payload).await {
                Ok(_) => {}
                Err(Refused::LastSequence) => return Ok(None),
                Err(refused) => {
                    let context = "the lineage could not be written";
                    return Err(because(context, refused));
                }
            }
        }
        let name = config.stream();
        let stream = jetstream
            .get_stream_no_info(&name)
            .await
            .map_err(|error| because("the stream could not be opened", error))?;
        Ok(Some(Self {
            client: client.clone(),
            jetstream: jetstream.clone(),
            stream,
            name,
            subjects,
            chain: Arc::new(chain),
            first: info.state.first_sequence,
            last,
            window: info.config.duplicate_window,
            gone: watch::Sender::new(false),
            messages: Mutex::new(None),
        }))
    }

    pub(crate) fn take_messages(&self) -> Option<Subscriber> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.take()
    }

    /// Whether everything that was in the log of an epoch up to a sequence is still there.
    pub(crate) fn holds(&self, epoch: Epoch, sequence: u64) -> bool {
        let position = Position::new(epoch, sequence);
        self.chain.lineage().holds(position)
    }

    pub(crate) fn give_up(&self) {
        self.gone.send_replace(true);
    }

    pub(crate) fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    /// Resolves once the connection is given up.
    pub(crate) async fn gone(&self) {
        let mut gone = self.gone.subscribe();
        let _ = gone.wait_for(|gone| *gone).await;
    }
}

async fn stream_info(
    config: &NatsConfig,
    jetstream: &jetstream::Context,
    storage: StorageType,
) -> Result<stream::Info, BackplaneError> {
    let failed = |error| because("the stream is not to be had", error);
    let name = config.stream();
    for _ in 0..4 {
        match jetstream.get_stream(&name).await {
            Ok(stream) => return Ok(stream.cached_info().clone()),
            Err(error) if is_missing(&error) => {}
            Err(error) => {
                return Err(because("the stream is not to be had", error));
            }
        }
        let mark = Epoch::random().to_string();
        let made = jetstream.create_stream(stream::Config {
            name: name.clone(),
            description: Some("Events of eventcast hubs. Do not edit its messages.".to_owned()),
            subjects: vec![Subjects::new(&config.namespace, &mark).all()],
            max_messages_per_subject: config.limits.per_channel,
            max_bytes: config.limits.bytes,
            max_age: config.limits.age,
            duplicate_window: config.idempotency_window.min(config.limits.age),
            storage,
            num_replicas: config.replicas,
            deny_delete: true,
            deny_purge: true,
            ..stream::Config::default()
        });
        match made.await {
            Ok(stream) => return Ok(stream.cached_info().clone()),
            // Another node was quicker.
            Err(error) if error.to_string().contains("already in use") => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(BackplaneError::new(
        "the stream is made and deleted by others",
    ))
}

fn is_missing(error: &jetstream::context::GetStreamError) -> bool {
    use jetstream::context::GetStreamErrorKind::JetStream;
    matches!(error.kind(), JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Messages go only by the limits, and then the oldest of all or of a channel, or what the marks of
/// trimming say is not true.
fn is_suitable(config: &stream::Config) -> bool {
    config.deny_delete
        && config.deny_purge
        && config.retention == RetentionPolicy::Limits
        && !config.allow_rollup
        && !config.no_ack
}

struct Looked<'a> {
    mark: &'a str,
    run: &'a str,
    last: u64,
    sync_is_certain: bool,
}

/// What the lineage has to be. The rule is: whenever it is not proven that nothing acknowledged is
/// lost, there is another epoch. That costs little where nothing is, because ids up to the fork are
/// resumed as if there was none.
fn judge(stored: Option<&Chain>, known: Option<&Known>, looked: &Looked<'_>) -> Chain {
    let Looked {
        mark, run, last, ..
    } = *looked;
    let highest = known.map_or(0, |known| known.chain.end(known.highest));
    let remembered = |chain: &Chain| known.is_none_or(|known| chain.knows(known.chain.epoch()));
    let mut chain;
    // Up to which message the log is whole, if it is not.
    let mut kept = None;
    match (stored, known) {
        (Some(stored), _) if remembered(stored) => chain = stored.clone(),
        (_, Some(known)) => {
            chain = (*known.chain).clone();
            kept = Some(last.min(known.highest));
        }
        (Some(stored), None) => chain = stored.clone(),
        (None, None) => chain = Chain::new(mark, run, last),
    }
    if chain.mark != mark {
        kept = Some(0);
    } else if let Some(known) = known.filter(|known| known.chain.mark == mark) {
        if chain.epoch() == known.chain.epoch() {
            if known.highest > last {
                kept = Some(last);
            } else if chain.run == run && known.chain.run != run && known.highest > chain.run_last {
                kept = Some(chain.run_last);
            }
        } else if highest >= chain.lineage().first() {
            kept = Some(last.min(known.highest));
        }
    }
    if kept.is_none() && chain.run != run && !looked.sync_is_certain {
        kept = Some(last);
    }
    if let Some(kept) = kept {
        chain.fork(mark, last, kept, highest);
    }
    if kept.is_some() || chain.run != run {
        run.clone_into(&mut chain.run);
        chain.run_last = last;
    }
    chain
}
