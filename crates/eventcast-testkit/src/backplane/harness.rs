//! What the kit has to be given.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventcast_core::{Backplane, Capabilities, Durability};

/// Why a harness could not do what it was asked; it fails the case.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Opens logs for the kit. It is made anew for each case.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// What every node of these logs says of itself: the kit compares, and leaves out what the log
    /// cannot be asked.
    fn capabilities(&self) -> Capabilities;

    /// A new, empty log that shares nothing with any other, be it of a test that runs at the same
    /// time. It lets go of all that it has on disk, or on a server, when it is dropped.
    ///
    /// # Errors
    /// The case fails with it.
    async fn log(&self) -> Result<Box<dyn Log>, Failure>;

    /// The largest payload that the log has to take, in bytes; 1 MiB by default.
    fn largest_payload(&self) -> usize {
        1 << 20
    }

    /// A payload, in bytes, that is [too large](eventcast_core::AppendError::TooLarge) for the
    /// log; by default there is none.
    fn refused_payload(&self) -> Option<usize> {
        None
    }

    /// Whether the log keeps what each append's [`Retention`](eventcast_core::Retention) says; by
    /// default it does. One that has its own limits instead shows in tests of its own that what they
    /// remove is told.
    fn retains_as_told(&self) -> bool {
        true
    }

    /// How long something may take that is expected at once; 10 s by default.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// How long a case may take; 60 s by default.
    fn time_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// One log of a [`Harness`].
#[async_trait]
pub trait Log: Send + Sync {
    /// A node that nobody is attached to. It is asked for a second one only when the capabilities
    /// say [shared](Capabilities::shared), or after a restart.
    ///
    /// # Errors
    /// The case fails with it.
    async fn node(&self) -> Result<Arc<dyn Backplane>, Failure>;

    /// Ends and starts again what keeps the records: a server, or the process that has the log
    /// open. Called only when an acknowledged record is said to outlive the process.
    ///
    /// # Errors
    /// The case fails with it.
    async fn restart(&self, how: Restart) -> Result<(), Failure>;
}

/// How a log is [restarted](Log::restart).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// In order. All nodes were closed before.
    Clean,
    /// With no warning, as by `kill -9`. The nodes are still there, and may be appending; they are
    /// dropped afterwards.
    Kill,
}

/// What a case needs of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Several nodes.
    Shared,
    /// Acknowledged records outlive the process.
    Durable,
    /// Keys are known.
    Deduplicates,
    /// A payload can be too large.
    Limited,
    /// Retention is each append's.
    Retains,
}

/// Why a case with these needs cannot be run.
pub(super) fn ruled_out(harness: &dyn Harness, needs: &[Need]) -> Option<String> {
    let capabilities = harness.capabilities();
    let lack = needs.iter().find(|need| match need {
        Need::Shared => !capabilities.shared,
        Need::Durable => capabilities.durability < Durability::Process,
        Need::Deduplicates => capabilities.deduplicates.is_none(),
        Need::Limited => harness.refused_payload().is_none(),
        Need::Retains => !harness.retains_as_told(),
    });
    lack.map(|lack| match lack {
        Need::Shared => "the log is of one node".to_owned(),
        Need::Durable => "the log does not outlive the process".to_owned(),
        Need::Deduplicates => "the log knows no keys".to_owned(),
        Need::Retains => "the log has limits of its own".to_owned(),
        Need::Limited => "no payload is too large for the log".to_owned(),
    })
}
