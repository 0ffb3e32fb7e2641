//! Opening the log: what is there, and whether anything acknowledged may be missing.

use std::io;

use eventcast_core::{BackplaneError, Epoch, Lineage};
use fjall::PersistMode;

use crate::channel::{Head, encode_lineage};
use crate::config::{FjallConfig, Fsync};
use crate::failure::because;
use crate::mark::{self, Mark, MarkFile};
use crate::store::{Change, HEAD, LINEAGE, Space, Store};

/// How many numbers are left out where an epoch starts: more than can have been given and lost
/// without a trace.
const JUMP: u64 = 1 << 32;

const IN_USE: &str = "the log's directory is in use, by this or another process";

/// The log, open.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) head: Head,
    pub(crate) lineage: Lineage,
    pub(crate) mark: MarkFile,
}

pub(crate) fn open(config: &FjallConfig) -> Result<Opened, BackplaneError> {
    let (found, mut mark) = mark::open(&config.path).map_err(|error| {
        let context = match error.kind() {
            io::ErrorKind::WouldBlock => IN_USE,
            _ => "the log's mark could not be opened",
        };
        BackplaneError::because(context, error)
    })?;
    let store = Store::open(config).map_err(|error| match error {
        fjall::Error::Locked => BackplaneError::new(IN_USE),
        error => because("the log could not be opened", error),
    })?;
    let head = store.head()?;
    let is_new = head.is_none();
    let mut head = head.unwrap_or_default();
    let (lineage, is_forked) = lineage(store.lineage()?, head.last, is_new, found.as_ref());
    if is_new {
        // What there was of any channel is gone.
        head.floor = lineage.first() - 1;
    }
    if is_new || is_forked {
        let changes = [
            change(HEAD, head.encode()),
            change(LINEAGE, encode_lineage(&lineage)),
        ];
        let written = store.commit(&changes, PersistMode::SyncAll);
        written.map_err(|error| because("the log could not be written", error))?;
    }
    let now = Mark {
        clean: false,
        lazy: matches!(config.fsync, Fsync::Interval(_)),
        epoch: lineage.epoch(),
        last: head.last,
        boot: mark::boot(),
    };
    // On the disk before anything is acknowledged: it no longer says that all is in order.
    let marked = mark.write(&now).and_then(|()| mark.sync());
    marked
        .map_err(|error| BackplaneError::because("the log's mark could not be written", error))?;
    Ok(Opened {
        store,
        head,
        lineage,
        mark,
    })
}

/// The log's epochs, and whether one starts now: nobody can prove that all is there that was
/// acknowledged.
fn lineage(
    stored: Option<Lineage>,
    last: u64,
    is_new: bool,
    mark: Option<&Mark>,
) -> (Lineage, bool) {
    if is_new && mark.is_none() {
        return (Lineage::new(Epoch::random()), false);
    }
    if mark.is_some_and(|mark| is_whole(mark, last))
        && !is_new
        && let Some(stored) = stored
    {
        return (stored, false);
    }
    let known = mark.map_or_else(Epoch::random, |mark| mark.epoch);
    let mut lineage = stored.unwrap_or_else(|| Lineage::new(known));
    let highest = mark
        .map_or(last, |mark| mark.last)
        .max(last)
        .max(lineage.first());
    lineage.fork(Epoch::random(), last, highest.saturating_add(JUMP));
    (lineage, true)
}

fn is_whole(mark: &Mark, last: u64) -> bool {
    let is_kept = mark.clean || !mark.lazy || (mark.boot.is_some() && mark.boot == mark::boot());
    is_kept && mark.last <= last
}

fn change(key: &'static [u8], value: bytes::Bytes) -> Change {
    Change {
        space: Space::Index,
        key: key.into(),
        value: Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(clean: bool, lazy: bool, boot: Option<[u8; 36]>, last: u64) -> Mark {
        let epoch = Epoch::from_bits(7);
        Mark {
            clean,
            lazy,
            epoch,
            last,
            boot,
        }
    }

    #[test]
    fn an_epoch_starts_where_something_may_be_lost_and_only_there() {
        let stored = || Some(Lineage::new(Epoch::from_bits(7)));
        let (here, other) = (mark::boot(), Some([b'x'; 36]));
        for (found, forks) in [
            (Some(mark(true, true, other, 10)), false),
            (Some(mark(false, false, other, 10)), false),
            (Some(mark(false, false, other, 4)), false),
            (Some(mark(false, true, here, 10)), here.is_none()),
            (Some(mark(false, true, other, 10)), true),
            (Some(mark(false, true, None, 10)), true),
            (Some(mark(true, false, other, 11)), true),
            (Some(mark(false, false, here, 11)), true),
            (None, true),
        ] {
            let (lineage, is_forked) = lineage(stored(), 10, false, found.as_ref());
            assert_eq!(is_forked, forks, "{found:?}");
            assert_eq!(lineage.epoch() != Epoch::from_bits(7), forks);
            assert!(!forks || lineage.first() > 11);
        }
    }

    #[test]
    fn a_log_that_came_back_empty_gives_no_number_again() {
        let (lineage, is_forked) = lineage(None, 0, true, Some(&mark(true, false, None, 500)));
        assert!(is_forked && lineage.first() > 500);
        assert!(!lineage.holds(eventcast_core::Position::new(Epoch::from_bits(7), 1)));
    }
}
