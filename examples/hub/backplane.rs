//! The log that the hub keeps its events in: its own memory, a directory, or a server that several
//! hubs share.

use std::error::Error;
use std::fmt::Write as _;

use eventcast::{
    BackplaneError, Capabilities, Durability, Hub, HubConfig, IntoBackplane, Retention,
};
use eventcast_fjall::FjallBackplane;
use eventcast_nats::{NatsBackplane, NatsConfig, StreamLimits};
use eventcast_redis::{RedisBackplane, RedisConfig};

use crate::data::DataOptions;

/// Where the log is.
#[derive(Debug, Default)]
pub(crate) struct Backplane {
    pub(crate) data: DataOptions,
    pub(crate) redis: Option<String>,
    pub(crate) nats: Option<String>,
    /// Whether that server syncs each message, which it does not say itself.
    pub(crate) nats_synced: bool,
    pub(crate) namespace: Option<String>,
}

const OPENING: &str = "the log cannot be opened";
const REDIS_HELP: &str = "a server of its own is `redis-server --appendonly yes --appendfsync \
    always`; is it running, is the URL right, user and password included?";
const NATS_HELP: &str = "a server of its own is `nats-server --jetstream`; is it running, has it \
    JetStream, is the URL right?";

impl Backplane {
    /// What of the options makes no sense together.
    pub(crate) fn check(&self) -> Result<(), Box<dyn Error>> {
        self.data.check()?;
        let is_shared = self.redis.is_some() || self.nats.is_some();
        if self.data.directory.is_some() && is_shared {
            return Err(
                "--data is for one hub; --redis and --nats are instead of it (try --help)".into(),
            );
        }
        if self.redis.is_some() && self.nats.is_some() {
            return Err("--redis and --nats are one or the other (try --help)".into());
        }
        if self.namespace.is_some() && !is_shared {
            return Err("--namespace is for --redis and --nats (try --help)".into());
        }
        if self.nats_synced && self.nats.is_none() {
            return Err("--nats-synced is for --nats (try --help)".into());
        }
        Ok(())
    }

    /// A hub over the log.
    pub(crate) async fn open(
        self,
        config: HubConfig,
        retention: &Retention,
    ) -> Result<Hub, Box<dyn Error>> {
        if let Some(directory) = &self.data.directory {
            let log = FjallBackplane::open(self.data.log(directory)).await;
            let what = format!("--data {}", directory.display());
            return attach(config, log, &what, "").await;
        }
        if let Some(url) = self.redis {
            let mut redis = RedisConfig::new(&url).map_err(|error| explain("--redis", &error))?;
            if let Some(namespace) = &self.namespace {
                redis = redis.with_namespace(namespace)?;
            }
            let log = RedisBackplane::connect(redis).await;
            return attach(config, log, OPENING, REDIS_HELP).await;
        }
        if let Some(url) = self.nats {
            let count = u32::try_from(retention.count()).unwrap_or(u32::MAX);
            let limits = StreamLimits::new()
                .with_messages_per_channel(count)
                .with_age(retention.age());
            let namespace = self.namespace.as_deref().unwrap_or("eventcast");
            let mut nats = NatsConfig::new([url], namespace).with_limits(limits);
            if self.nats_synced {
                nats = nats.with_synced_server();
            }
            return attach(config, Ok(NatsBackplane::new(nats)), OPENING, NATS_HELP).await;
        }
        Ok(Hub::with_config(config))
    }
}

async fn attach(
    config: HubConfig,
    log: Result<impl IntoBackplane, BackplaneError>,
    what: &str,
    help: &str,
) -> Result<Hub, Box<dyn Error>> {
    let opened = match log {
        Ok(log) => Hub::open(config, log).await,
        Err(error) => Err(error),
    };
    opened.map_err(|error| {
        let text = explain(what, &error);
        format!("{text}\n{help}").trim_end().into()
    })
}

/// The error with what is underneath.
fn explain(what: &str, error: &BackplaneError) -> String {
    let mut text = format!("{what}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// What an event survives once its publish is answered.
pub(crate) fn promise(capabilities: Option<Capabilities>) -> String {
    let survives = match capabilities.map(|log| log.durability) {
        None | Some(Durability::Memory) => "the end of a session; not that of this process".into(),
        Some(Durability::Process) => "the end of this process; not that of the log's server".into(),
        Some(Durability::Interval(time)) => {
            format!("a power failure, but for the last {time:?}")
        }
        Some(Durability::Synced) => "a power failure".to_owned(),
        Some(_) => "what the log promises".to_owned(),
    };
    let shared = capabilities.is_some_and(|log| log.shared);
    let where_from = if shared {
        "shared with other hubs"
    } else {
        "this hub's own"
    };
    format!("{where_from}; what is published survives {survives}")
}
