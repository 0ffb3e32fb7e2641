//! The seam for logs outside the hub: on a disk, or shared by several nodes.

mod capabilities;
mod error;
mod lineage;
mod record;
mod sink;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::id::Position;
use crate::name::ChannelName;
use crate::replay::Retention;
use crate::stored::Timestamp;

pub use capabilities::{Capabilities, Durability};
pub use error::{AppendError, BackplaneError, OutcomeKnown};
pub use lineage::Lineage;
pub use record::{Body, DecodeError, Record};
pub use sink::Sink;

/// The reading side of a log: pages for who is further behind than the hub's memory reaches.
#[async_trait]
pub trait ReplayStore: fmt::Debug + Send + Sync + 'static {
    /// A page of one channel: what is stored with sequences in `(query.after, query.until]`.
    ///
    /// # Contract
    /// - Records come in the order of their sequences, or in the opposite one for
    ///   [`PageQuery::backwards`], at most `query.limit` of them, and none once the payloads of those
    ///   before it come to `query.bytes`. The record that ends a channel is one of them.
    /// - [`Page::complete`] says that the range holds no other record beyond those of the page. A
    ///   page that is not complete holds at least one record.
    /// - Everything that was acknowledged before the call is there, unless it is at or below
    ///   [`Page::trim_mark`].
    ///
    /// # Errors
    /// [`BackplaneError`] when the log cannot be reached; the hub tries again.
    async fn page(&self, channel: &ChannelName, query: PageQuery) -> Result<Page, BackplaneError>;

    /// What the log knows of a channel; [`ChannelFacts::default`] of one it never had.
    ///
    /// # Errors
    /// [`BackplaneError`] when the log cannot be reached.
    async fn facts(&self, channel: &ChannelName) -> Result<ChannelFacts, BackplaneError>;

    /// Channels whose names start with `prefix` and that have a record after the sequence `after`,
    /// in any order, at most `limit`.
    ///
    /// # Errors
    /// [`BackplaneError`] when the log cannot be reached.
    async fn channels(
        &self,
        prefix: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChannelName>, BackplaneError>;
}

/// A log that outlives the hub, or that several hubs share: one order over all channels.
///
/// # Contract
/// - **Sequences** are assigned by the log, once over all nodes, and strictly increase over epochs
///   too: the first of a new epoch is higher than every sequence that was ever given, even those
///   that were lost. So a number alone tells before from after.
/// - **Stored before seen**: a record reaches a sink, or is acknowledged by
///   [`append`](Self::append), only when it is as durable as [`Capabilities::durability`] says.
/// - **One order**: a sink is given records in the order of their sequences, each once, none left
///   out but of channels nobody [wants](Self::want).
/// - **No sequence stands for two records.** A log that cannot prove that nothing acknowledged was
///   lost starts an epoch: [`Sink::forked`].
#[async_trait]
pub trait Backplane: ReplayStore {
    /// What the log promises.
    fn capabilities(&self) -> Capabilities;

    /// Connects a hub; called once. The sink is given every record after the returned position,
    /// from now until it is dropped by [`close`](Self::close).
    ///
    /// # Errors
    /// [`BackplaneError`] when the log cannot be opened or reached; nothing is attached then.
    async fn attach(&self, sink: Arc<dyn Sink>) -> Result<Attached, BackplaneError>;

    /// Appends records to one channel, all or none, next to each other in the log. Returns their
    /// positions once they are stored; their own node's sink is given them before or soon after.
    ///
    /// A body whose key the channel was given before, within the log's window, is not stored
    /// again: its position is that of the first.
    ///
    /// # Errors
    /// [`AppendError`]; it tells whether it is known that nothing was stored.
    ///
    /// # Cancel safety
    /// When the future is dropped the records may be stored or not, as with an outcome that is not
    /// known.
    async fn append(&self, append: Append) -> Result<Vec<Position>, AppendError>;

    /// Says whether this node has somebody who reads a channel. A log may leave out of the sink
    /// what nobody wants; until the call is done it may still be left out.
    ///
    /// Returns the sequence from which on the sink is given all of the channel, once that is so.
    /// By default all channels are given always, and the answer is 0.
    ///
    /// # Errors
    /// [`BackplaneError`] when the log cannot be reached; the hub tries again.
    async fn want(&self, channel: &ChannelName, wanted: bool) -> Result<u64, BackplaneError> {
        let _ = (channel, wanted);
        Ok(0)
    }

    /// The same for all channels whose names start with `prefix`, those included that are made
    /// later: somebody on this node reads a pattern. A log that leaves channels out of the sink has
    /// to know this too.
    ///
    /// # Errors
    /// As [`want`](Self::want).
    async fn want_prefix(&self, prefix: &str, wanted: bool) -> Result<u64, BackplaneError> {
        let _ = (prefix, wanted);
        Ok(0)
    }

    /// Hands a message to the sinks of all other nodes: at most once, in no order, stored nowhere.
    /// For ephemeral events and presence. A log of a single node has nobody to hand it to.
    ///
    /// # Errors
    /// [`BackplaneError`] when it cannot have been handed on.
    async fn broadcast(&self, message: Bytes) -> Result<(), BackplaneError> {
        let _ = message;
        Ok(())
    }

    /// Removes what retention no longer covers. Called now and then; a log that does so by itself
    /// has nothing to do.
    ///
    /// # Errors
    /// [`BackplaneError`] when it could not.
    async fn maintain(&self, now: Timestamp) -> Result<(), BackplaneError> {
        let _ = now;
        Ok(())
    }

    /// Makes durable what was acknowledged and lets go of the sink and of all connections.
    ///
    /// # Errors
    /// [`BackplaneError`] when something acknowledged may not be durable.
    async fn close(&self) -> Result<(), BackplaneError> {
        Ok(())
    }
}

/// What a log is at the moment a hub is attached; see [`Backplane::attach`].
#[derive(Clone, Debug)]
pub struct Attached {
    /// Its epochs.
    pub lineage: Lineage,
    /// The last sequence in the log: the sink is given what comes after it.
    pub committed: u64,
    /// Every record at or below this sequence may be gone, of whatever channel.
    pub floor: u64,
}

/// Records for one channel; see [`Backplane::append`].
#[derive(Clone, Debug)]
pub struct Append {
    /// The channel.
    pub channel: ChannelName,
    /// What to append, in this order; at least one.
    pub bodies: Vec<Body>,
    /// How much of the channel is to be kept.
    pub retention: Retention,
    /// The time of publishing. A log never lets times go back: a later one may be stored.
    pub time: Timestamp,
}

/// Which part of a channel; see [`ReplayStore::page`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// Records after this sequence.
    pub after: u64,
    /// Records up to this sequence.
    pub until: u64,
    /// At most so many; at least 1.
    pub limit: usize,
    /// No further record once their payloads come to so many bytes: the one that reaches them is the
    /// last, however large it is.
    pub bytes: usize,
    /// From the newest back.
    pub backwards: bool,
}

impl PageQuery {
    /// What the hub asks for at most in [`bytes`](Self::bytes): 1 MiB.
    pub const MAX_BYTES: usize = 1 << 20;

    /// What each of so many pages has of that which are held at once; 4 KiB at least.
    pub(crate) fn share_of_bytes(pages: usize) -> usize {
        (Self::MAX_BYTES / pages.max(1)).max(4 << 10)
    }
}

/// Some records of a channel; see [`ReplayStore::page`].
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// The last sequence of the channel that is no longer stored.
    pub trim_mark: u64,
    /// Whether the range asked for holds nothing else.
    pub complete: bool,
}

/// What a log knows of a channel; see [`ReplayStore::facts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelFacts {
    /// The last sequence of the channel that is no longer stored.
    pub trim_mark: u64,
    /// When the last trimmed record was published.
    pub trimmed_until: Timestamp,
    /// The last sequence that the channel was given; 0 for none.
    pub last: u64,
    /// The record that ended it.
    pub completion: Option<Record>,
}
