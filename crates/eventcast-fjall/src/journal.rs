//! The end of the database's journal, as a power failure leaves it.
//!
//! The database leaves out a last batch that was not written to its end. One whose end was written
//! and whose middle was not, as disks may do, it takes for a broken journal, and refuses. Nobody
//! was answered for either, so both are cut off here, before it looks. Nor does it take up a
//! directory in which it was killed before it had made anything.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Buf;
use xxhash_rust::xxh3::xxh3_64;

/// Removes what a database has that was killed while it was made, before anything was written.
pub(crate) fn remove_half_made(directory: &Path) -> io::Result<()> {
    let version = directory.join("version");
    let is_made = version.metadata().is_ok_and(|file| file.len() > 0);
    let Some(journal) = newest(directory)?.filter(|_| !is_made) else {
        return Ok(());
    };
    if std::fs::read(&journal)?.iter().any(|byte| *byte != 0) {
        return Ok(());
    }
    std::fs::remove_file(journal)?;
    match std::fs::remove_file(version) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Cuts off what follows the last whole batch of the newest journal; the older ones were synced as
/// the next was begun. A journal in which nothing is whole is left to the database.
pub(crate) fn cut_torn_end(directory: &Path) -> io::Result<()> {
    let Some(path) = newest(directory)? else {
        return Ok(());
    };
    let bytes = std::fs::read(&path)?;
    let whole = whole(&bytes);
    // What is not written yet is zeros.
    if whole == 0 || bytes[whole..].iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let journal = OpenOptions::new().write(true).open(path)?;
    journal.set_len(whole as u64)?;
    journal.sync_all()
}

fn newest(directory: &Path) -> io::Result<Option<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut newest = None;
    for entry in entries {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str());
        let number = number.and_then(|name| name.strip_suffix(".jnl")?.parse::<u64>().ok());
        newest = newest.max(number.map(|number| (number, path)));
    }
    Ok(newest.map(|(_, path)| path))
}

/// How many bytes hold whole batches.
fn whole(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some(next) = after_batch(rest) {
        rest = next;
    }
    bytes.len() - rest.len()
}

/// What follows a batch: a start with the number of entries, these, and an end with their sum.
fn after_batch(bytes: &[u8]) -> Option<&[u8]> {
    let mut bytes = bytes.strip_prefix(&[START])?;
    let count = bytes.try_get_u32_le().ok()?;
    bytes = bytes.get(size_of::<u64>()..)?;
    let entries = bytes;
    for _ in 0..count {
        bytes = after_entry(bytes)?;
    }
    let entries = &entries[..entries.len() - bytes.len()];
    bytes = bytes.strip_prefix(&[END])?;
    let sum = bytes.try_get_u64_le().ok()?;
    bytes = bytes.strip_prefix(TRAILER)?;
    (sum == xxh3_64(entries)).then_some(bytes)
}

fn after_entry(mut bytes: &[u8]) -> Option<&[u8]> {
    match bytes.try_get_u8().ok()? {
        ITEM => {
            // Two kinds and the number of the keyspace.
            bytes = bytes.get(2 + size_of::<u64>()..)?;
            let key = usize::from(bytes.try_get_u16_le().ok()?);
            let _size = bytes.try_get_u32_le().ok()?;
            let value = bytes.try_get_u32_le().ok()? as usize;
            bytes.get(key.checked_add(value)?..)
        }
        CLEAR => bytes.get(size_of::<u64>()..),
        _ => None,
    }
}

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: &[u8] = b"FJL\x03";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use fjall::{Database, KeyspaceCreateOptions, PersistMode};

    #[test]
    fn all_that_the_database_writes_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::builder(directory.path()).open().unwrap();
        let space = db.keyspace("a", KeyspaceCreateOptions::default).unwrap();
        for size in [0, 1, 70_000] {
            let mut batch = db.batch();
            batch.insert(&space, "key", vec![1; size]);
            batch.remove(&space, "other");
            batch.commit().unwrap();
            space.clear().unwrap();
        }
        db.persist(PersistMode::SyncAll).unwrap();
        let bytes = std::fs::read(newest(directory.path()).unwrap().unwrap()).unwrap();
        let end = whole(&bytes);
        assert!(end > 70_000);
        assert!(bytes[end..].iter().all(|byte| *byte == 0));
        for cut in (0..end).step_by(997).chain(end - 100..end) {
            assert!(whole(&bytes[..cut]) <= cut);
        }
    }
}
