//! What the parts of a node share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventcast_core::{BackplaneError, Durability, Epoch, Position};
use redis::Script;
use tokio::sync::watch;

use crate::config::RedisConfig;
use crate::failure::because;
use crate::keys::Keys;
use crate::link::Link;
use crate::wire::{Segment, no_epoch};

/// What the parts of a node share.
pub(crate) struct Shared {
    pub(crate) config: RedisConfig,
    pub(crate) keys: Keys,
    pub(crate) scripts: Scripts,
    pub(crate) client: redis::Client,
    /// The connections while they are proven and no failure is known.
    pub(crate) link: watch::Sender<Option<Arc<Link>>>,
    /// Set before the link is taken away for good.
    pub(crate) closed: AtomicBool,
    /// Up to where the sink was given everything; the highest number while there is none.
    pub(crate) given: watch::Sender<u64>,
    /// Tells this node's messages from others'.
    pub(crate) node: [u8; 16],
    known: Mutex<Known>,
}

/// What this node knows of the log.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) segments: Vec<Segment>,
    /// The run of the server that it was last proven on.
    pub(crate) run: String,
    /// The highest sequence that it was given or acknowledged.
    pub(crate) highest: u64,
    /// The latest time of a record.
    pub(crate) time: u64,
    pub(crate) durability: Option<Durability>,
}

#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) adopt: Script,
    pub(crate) append: Script,
    pub(crate) page: Script,
    pub(crate) channels: Script,
    pub(crate) maintain: Script,
}

impl Shared {
    pub(crate) fn new(config: RedisConfig) -> Result<Self, BackplaneError> {
        let client =
            client(&config).map_err(|error| because("the server's address is not valid", error))?;
        let mut node = [0; 16];
        for half in node.chunks_mut(5) {
            let random = Epoch::random().bits().to_be_bytes();
            half.copy_from_slice(&random[8 - half.len()..]);
        }
        Ok(Self {
            keys: Keys::new(&config.namespace, config.server.redis_settings().db()),
            config,
            scripts: Scripts {
                adopt: Script::new(include_str!("scripts/adopt.lua")),
                append: Script::new(include_str!("scripts/append.lua")),
                page: Script::new(include_str!("scripts/page.lua")),
                channels: Script::new(include_str!("scripts/channels.lua")),
                maintain: Script::new(include_str!("scripts/maintain.lua")),
            },
            client,
            link: watch::Sender::new(None),
            closed: AtomicBool::new(false),
            given: watch::Sender::new(u64::MAX),
            node,
            known: Mutex::default(),
        })
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was given or acknowledged.
    pub(crate) fn saw(&self, sequence: u64, time: u64) {
        let mut known = self.known();
        known.highest = known.highest.max(sequence);
        known.time = known.time.max(time);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What may be used now.
    pub(crate) fn current(&self) -> Result<Arc<Link>, BackplaneError> {
        let link = self.link.borrow().clone();
        link.ok_or_else(|| BackplaneError::new("the server is not connected"))
    }
}

impl Known {
    pub(crate) fn position(&self, sequence: u64) -> Position {
        let segment = self.segments.iter().rev().find(|s| s.first <= sequence);
        let epoch = segment.or_else(|| self.segments.first()).map(|s| s.epoch);
        Position::new(epoch.unwrap_or_else(no_epoch), sequence)
    }
}

#[cfg(feature = "tls")]
fn client(config: &RedisConfig) -> redis::RedisResult<redis::Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // The client takes the process's provider and panics where none is clear.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    match &config.certificates {
        Some(certificates) => {
            redis::Client::build_with_tls(config.server.clone(), certificates.clone())
        }
        None => redis::Client::open(config.server.clone()),
    }
}

#[cfg(not(feature = "tls"))]
fn client(config: &RedisConfig) -> redis::RedisResult<redis::Client> {
    redis::Client::open(config.server.clone())
}
