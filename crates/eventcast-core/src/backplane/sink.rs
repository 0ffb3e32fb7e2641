//! Where a log puts what it has for a hub.

use std::fmt;

use bytes::Bytes;

use crate::backplane::lineage::Lineage;
use crate::backplane::record::Record;

/// What a log calls when it has something for a hub: synchronous, quick, from one task or thread
/// at a time but for [`message`](Self::message).
pub trait Sink: fmt::Debug + Send + Sync + 'static {
    /// The next record, in the order of sequences. One that was given before is passed over.
    fn record(&self, record: Record);

    /// Everything up to this sequence was given, or is of channels that nobody here
    /// [wants](crate::Backplane::want). Needed only from logs that leave records out.
    fn watermark(&self, sequence: u64);

    /// The log cannot be reached, or does not answer: there may be records that are not given.
    fn stalled(&self);

    /// It is back, and so is everything that was published meanwhile: what this sink was not given
    /// is given next.
    fn recovered(&self);

    /// Records that this sink should have been given will not be: the log is at this sequence,
    /// and what lies between has to be read in [pages](crate::ReplayStore::page).
    fn skipped(&self, sequence: u64);

    /// The log cannot prove that nothing acknowledged was lost and has started an epoch. The next
    /// record has at least the first sequence of that.
    fn forked(&self, lineage: Lineage);

    /// A message of another node; see [`Backplane::broadcast`](crate::Backplane::broadcast).
    fn message(&self, message: Bytes);
}
