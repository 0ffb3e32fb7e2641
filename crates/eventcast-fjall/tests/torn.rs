//! What a power failure or a hand on the files leaves of the journal's end.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eventcast_core::{Backplane, Position};
use eventcast_fjall::{FjallBackplane, Fsync};
use support::{append, attach, body, copy, open, payload, read, text};
use tempfile::TempDir;

const TRAILER: &[u8] = b"FJL\x03";
const MARK: &str = "eventcast-mark";

fn journal(directory: &Path) -> PathBuf {
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut journals = files.filter(|path| path.extension().is_some_and(|e| e == "jnl"));
    let journal = journals.next().unwrap();
    assert_eq!(
        journals.next(),
        None,
        "one journal, as long as little is written"
    );
    journal
}

/// The journal without the room that was made for it, and where each of its batches ends.
fn batches(directory: &Path) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = fs::read(journal(directory)).unwrap();
    let ends: Vec<_> = bytes
        .windows(TRAILER.len())
        .enumerate()
        .filter(|(_, window)| *window == TRAILER)
        .map(|(at, _)| at + TRAILER.len())
        .collect();
    bytes.truncate(*ends.last().unwrap());
    (bytes, ends)
}

struct Written {
    directory: TempDir,
    positions: Vec<Position>,
}

/// A log that was left without being closed, with texts `0`, `1` and so on.
async fn written(fsync: Fsync, count: usize) -> Written {
    let (used, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(used.path(), fsync).await;
    let mut positions = Vec::new();
    for number in 0..count {
        positions.push(text(&log, "a", &number.to_string()).await.unwrap());
    }
    copy(used.path(), directory.path());
    // The room that was made for more takes long to copy.
    let (bytes, _) = batches(directory.path());
    fs::write(journal(directory.path()), bytes).unwrap();
    Written {
        directory,
        positions,
    }
}

/// What is there is a beginning of what was acknowledged; how many are missing is told by a fork,
/// and nobody is given a number again.
async fn is_sound(log: &FjallBackplane, positions: &[Position]) -> usize {
    let (_, attached) = attach(log).await;
    let found = read(log, "a").await;
    for (index, record) in found.iter().enumerate() {
        assert_eq!(record.position, positions[index]);
        assert_eq!(payload(record), index.to_string());
    }
    let missing = positions.len() - found.len();
    for (index, position) in positions.iter().enumerate() {
        let is_held = attached.lineage.holds(*position);
        assert_eq!(
            is_held,
            index < found.len(),
            "{position} of {}",
            found.len()
        );
    }
    let next = text(log, "a", "next").await.unwrap();
    assert!(
        positions
            .iter()
            .all(|position| position.sequence() < next.sequence())
    );
    let is_forked = positions.last().unwrap().epoch() != next.epoch();
    assert_eq!(is_forked, missing > 0);
    missing
}

#[tokio::test]
async fn a_log_that_was_left_alone_is_whole_under_each_policy() {
    for fsync in [
        Fsync::Each,
        Fsync::Batch,
        Fsync::Interval(Duration::from_secs(3600)),
    ] {
        let written = written(fsync, 5).await;
        let log = open(written.directory.path(), fsync).await;
        assert_eq!(is_sound(&log, &written.positions).await, 0);
    }
}

/// A write that nobody was answered for, cut short wherever, is left out without a trace.
#[tokio::test]
async fn a_torn_write_is_left_out() {
    let written = written(Fsync::Batch, 5).await;
    let (bytes, ends) = batches(written.directory.path());
    let last = bytes[ends[ends.len() - 2]..].to_vec();
    for length in (0..last.len()).step_by(7) {
        let directory = tempfile::tempdir().unwrap();
        copy(written.directory.path(), directory.path());
        let torn = [&bytes[..], &last[..length], &[0; 100]].concat();
        fs::write(journal(directory.path()), torn).unwrap();
        let log = open(directory.path(), Fsync::Batch).await;
        assert_eq!(
            is_sound(&log, &written.positions).await,
            0,
            "{length} bytes"
        );
    }
}

/// The same with a write whose end is there and whose middle is not, as disks may leave it.
#[tokio::test]
async fn a_write_without_its_middle_is_left_out() {
    let used = tempfile::tempdir().unwrap();
    let log = open(used.path(), Fsync::Batch).await;
    let first = text(&log, "a", "0").await.unwrap();
    let mark = fs::read(used.path().join(MARK)).unwrap();
    let large = "x".repeat(64 << 10);
    log.append(append("a", vec![body(&large)])).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    copy(used.path(), directory.path());
    // Nobody was answered.
    fs::write(directory.path().join(MARK), mark).unwrap();
    let (mut bytes, ends) = batches(directory.path());
    let middle = ends[ends.len() - 2] + (32 << 10);
    bytes[middle..middle + 4096].fill(0);
    fs::write(journal(directory.path()), bytes).unwrap();
    let log = open(directory.path(), Fsync::Batch).await;
    assert_eq!(is_sound(&log, &[first]).await, 0);
}

/// What was acknowledged is cut off: an epoch starts, whatever the policy.
#[tokio::test]
async fn a_journal_that_lost_its_end_starts_an_epoch() {
    for fsync in [
        Fsync::Each,
        Fsync::Batch,
        Fsync::Interval(Duration::from_secs(3600)),
    ] {
        let written = written(fsync, 6).await;
        let (bytes, ends) = batches(written.directory.path());
        for lost in 1..=6 {
            let end = ends[ends.len() - lost];
            for cut in [end - 1, end - 20] {
                let directory = tempfile::tempdir().unwrap();
                copy(written.directory.path(), directory.path());
                fs::write(journal(directory.path()), &bytes[..cut]).unwrap();
                let log = open(directory.path(), fsync).await;
                assert_eq!(is_sound(&log, &written.positions).await, lost, "{fsync:?}");
            }
        }
    }
}

/// Bytes of the last batch are other ones: it is gone, and that is told.
#[tokio::test]
async fn a_damaged_end_starts_an_epoch() {
    let written = written(Fsync::Batch, 4).await;
    let (bytes, ends) = batches(written.directory.path());
    let last = ends[ends.len() - 2]..ends[ends.len() - 1];
    // Of each kind of byte some.
    for at in last.step_by(11) {
        let directory = tempfile::tempdir().unwrap();
        copy(written.directory.path(), directory.path());
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(journal(directory.path()), damaged).unwrap();
        let log = open(directory.path(), Fsync::Batch).await;
        // A few bytes, as the number of the database's own snapshot, are of no account.
        assert!(is_sound(&log, &written.positions).await <= 1, "byte {at}");
    }
}

/// Nothing tells how far the log was written: all that is there counts, and an epoch starts.
#[tokio::test]
async fn a_lost_mark_starts_an_epoch() {
    let written = written(Fsync::Batch, 3).await;
    fs::remove_file(written.directory.path().join(MARK)).unwrap();
    let log = open(written.directory.path(), Fsync::Batch).await;
    let (_, attached) = attach(&log).await;
    assert!(
        written
            .positions
            .iter()
            .all(|position| attached.lineage.holds(*position))
    );
    let next = text(&log, "a", "next").await.unwrap();
    assert_ne!(next.epoch(), written.positions[0].epoch());
    assert_eq!(read(&log, "a").await.len(), 4);
    log.close().await.unwrap();
    drop(log);
    // That epoch stays.
    let log = open(written.directory.path(), Fsync::Batch).await;
    assert_eq!(text(&log, "a", "more").await.unwrap().epoch(), next.epoch());
}

/// Only the mark is left: no number is given again, and nothing of before can be resumed.
#[tokio::test]
async fn a_log_that_lost_all_starts_an_epoch_above_it() {
    let written = written(Fsync::Batch, 3).await;
    let directory = tempfile::tempdir().unwrap();
    fs::copy(
        written.directory.path().join(MARK),
        directory.path().join(MARK),
    )
    .unwrap();
    let log = open(directory.path(), Fsync::Batch).await;
    assert_eq!(is_sound(&log, &written.positions).await, 3);
}
