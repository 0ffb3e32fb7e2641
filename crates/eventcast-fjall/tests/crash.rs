//! The log's process is killed, or meets the end of the room, while it publishes at full speed.
//!
//! The process is this test's own executable, which is asked for one of the ignored tests.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{AppendError, Backplane, Body, Epoch, OutcomeKnown, Record, ReplayStore};
use eventcast_fjall::{FjallBackplane, FjallConfig, Fsync};
use support::{append, attach, keyed, open, payload, read};

const PUBLISHERS: usize = 8;
const CHANNELS: usize = 3;
const DIRECTORY: &str = "EVENTCAST_FJALL_TEST_DIRECTORY";
const FSYNC: &str = "EVENTCAST_FJALL_TEST_FSYNC";

fn fsync(name: &str) -> Fsync {
    match name {
        "each" => Fsync::Each,
        "batch" => Fsync::Batch,
        _ => Fsync::Interval(Duration::from_millis(5)),
    }
}

/// Text and key; the event is as large as the name says.
fn event(text: &str, name: &str) -> Body {
    let size = if name == "large" { 64 << 10 } else { 0 };
    keyed(&format!("{text}\n{}", "x".repeat(size)), text)
}

/// The text of an event.
fn told(record: &Record) -> String {
    let payload = payload(record);
    payload.lines().next().unwrap_or_default().to_owned()
}

fn channel(publisher: usize) -> String {
    format!("c{}", publisher % CHANNELS)
}

/// What this run of the test executable is asked for.
fn asked() -> (PathBuf, String) {
    let directory = std::env::var_os(DIRECTORY).expect("run by the other tests");
    (directory.into(), std::env::var(FSYNC).unwrap_or_default())
}

fn run(test: &str, directory: &Path, fsync: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env(DIRECTORY, directory)
        .env(FSYNC, fsync)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Publishes until it is killed, and says what is acknowledged: publisher, number, position.
#[test]
#[ignore = "a process of the other tests"]
fn publishing() {
    let (directory, name) = asked();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let log = Arc::new(open(&directory, fsync(&name)).await);
        let (_, attached) = attach(&log).await;
        say(&format!("epoch {}", attached.lineage.epoch().bits()));
        let round = attached.committed;
        let tasks = (0..PUBLISHERS).map(|publisher| {
            let (log, name) = (Arc::clone(&log), name.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    let text = format!("{round} {publisher} {number}");
                    let append = append(&channel(publisher), vec![event(&text, &name)]);
                    let position = log.append(append).await.unwrap()[0];
                    say(&format!("ack {} {text}", position.sequence()));
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

fn say(line: &str) {
    io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

struct Killed {
    epoch: Epoch,
    /// What was acknowledged: text by sequence.
    acknowledged: BTreeMap<u64, String>,
}

/// Kills a process once it has had so many answers.
fn kill(mut child: Child, after: usize) -> Killed {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (mut epoch, mut acknowledged) = (None, BTreeMap::new());
    for line in lines {
        let line = line.unwrap();
        if let Some(bits) = line.strip_prefix("epoch ") {
            epoch = Some(Epoch::from_bits(bits.parse().unwrap()));
        } else if let Some((sequence, text)) =
            line.strip_prefix("ack ").and_then(|l| l.split_once(' '))
        {
            let before = acknowledged.insert(sequence.parse().unwrap(), text.to_owned());
            assert_eq!(before, None, "{sequence} is given twice");
            if acknowledged.len() == after {
                child.kill().unwrap();
            }
        }
    }
    let status = child.wait().unwrap();
    assert!(acknowledged.len() >= after, "it ended by itself: {status}");
    Killed {
        epoch: epoch.unwrap(),
        acknowledged,
    }
}

fn killed_three_times(name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut all = BTreeMap::new();
    let mut epoch = None;
    for round in 1..=3 {
        let child = run("publishing", directory.path(), name).spawn().unwrap();
        let killed = kill(child, 200 * round);
        assert_eq!(*epoch.get_or_insert(killed.epoch), killed.epoch);
        for (sequence, text) in killed.acknowledged {
            let before = all.insert(sequence, text);
            assert_eq!(before, None, "{sequence} is given twice over a kill");
        }
        runtime.block_on(async {
            let log = open(directory.path(), fsync(name)).await;
            let (_, attached) = attach(&log).await;
            // Nothing is lost to a killed process, so that no epoch starts.
            assert_eq!(attached.lineage.epoch(), killed.epoch);
            assert!(attached.committed >= *all.last_key_value().unwrap().0);
            retried(&log, &all, name).await;
            holds(&log, &all).await;
            log.close().await.unwrap();
        });
    }
}

/// Each publisher tries again what it has no answer for: it is there once.
async fn retried(log: &FjallBackplane, all: &BTreeMap<u64, String>, name: &str) {
    let newest = all.last_key_value().unwrap().1;
    let round = newest.split(' ').next().unwrap();
    for publisher in 0..PUBLISHERS {
        let of = format!("{round} {publisher} ");
        let count = all.values().filter(|text| text.starts_with(&of)).count();
        let text = format!("{of}{count}");
        let append = append(&channel(publisher), vec![event(&text, name)]);
        let first = log.append(append.clone()).await.unwrap();
        assert_eq!(log.append(append).await.unwrap(), first);
    }
}

/// Everything acknowledged is where it was said to be, nothing is there twice, and each publisher's
/// events are in its order, without holes.
async fn holds(log: &FjallBackplane, all: &BTreeMap<u64, String>) {
    let mut stored = BTreeMap::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for index in 0..CHANNELS {
        for record in read(log, &channel(index)).await {
            let text = told(&record);
            let (publisher, number) = text.rsplit_once(' ').unwrap();
            let next = numbers.entry(publisher.to_owned()).or_default();
            assert_eq!(number.parse(), Ok(*next), "of {publisher}");
            *next += 1;
            stored.insert(record.position.sequence(), text);
        }
    }
    for (sequence, text) in all {
        assert_eq!(stored.get(sequence), Some(text), "{sequence} is lost");
    }
}

#[test]
fn a_killed_process_loses_and_doubles_nothing_with_a_sync_for_each() {
    killed_three_times("each");
}

#[test]
fn a_killed_process_loses_and_doubles_nothing_with_a_sync_for_a_batch() {
    killed_three_times("batch");
}

#[test]
fn a_killed_process_loses_and_doubles_nothing_with_a_sync_in_a_while() {
    killed_three_times("interval");
}

/// Large events: the database writes out what it has in memory, and begins journals, meanwhile.
#[test]
fn a_killed_process_loses_and_doubles_nothing_while_memory_is_written_out() {
    killed_three_times("large");
}

/// Publishes until a file may not grow any more; then nothing more is stored, and it is still read.
#[test]
#[ignore = "a process of the other tests"]
fn out_of_room() {
    let (directory, name) = asked();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let patient = support::config(&directory, fsync(&name));
        let patient = patient.with_publish_timeout(Duration::from_secs(120));
        let log = FjallBackplane::open(patient).await.unwrap();
        let (sink, _) = attach(&log).await;
        let large = "x".repeat(1 << 20);
        let mut stored = 0;
        let error = loop {
            let text = format!("{stored} {large}");
            match log
                .append(append("a", vec![keyed(&text, &stored.to_string())]))
                .await
            {
                Ok(positions) => say(&format!("ack {} {stored}", positions[0].sequence())),
                Err(error) => break error,
            }
            stored += 1;
        };
        assert!(matches!(error, AppendError::Full(_)), "{error:?}");
        assert!(stored > 20, "{stored}");
        for _ in 0..3 {
            let again = log.append(append("a", vec![keyed(&large, "late")])).await;
            assert!(matches!(again, Err(AppendError::Full(_))), "{again:?}");
            assert_eq!(read(&log, "a").await.len(), stored);
        }
        assert_eq!(sink.records().len(), stored);
        assert!(!sink.is_stalled() && sink.forks().is_empty());
        log.close().await.unwrap();
        say("done");
    });
}

/// A write fails, and the database cannot be opened again for a while: what becomes of that one
/// append is unknown, and settled before anything else is stored.
#[cfg(unix)]
#[test]
#[ignore = "a process of the other tests"]
fn unknown_outcome() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let (directory, name) = asked();
    let version = directory.join("version");
    let away = directory.join("version-away");
    let limit = |current| {
        let maximum = getrlimit(Resource::Fsize).maximum;
        setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let patient = support::config(&directory, fsync(&name));
        let patient = patient.with_publish_timeout(Duration::from_secs(120));
        let log = FjallBackplane::open(patient).await.unwrap();
        let (sink, attached) = attach(&log).await;
        for number in 0..50 {
            support::text(&log, "a", &number.to_string()).await.unwrap();
        }
        // The journal is longer, the mark is not.
        limit(Some(4096));
        std::fs::rename(&version, &away).unwrap();
        let unsure = append("a", vec![keyed("unsure", "k")]);
        for (append, expected) in [
            (unsure.clone(), OutcomeKnown::Unknown),
            (
                append("a", vec![keyed("later", "l")]),
                OutcomeKnown::NotStored,
            ),
        ] {
            match log.append(append).await {
                Err(AppendError::Unavailable { outcome, .. }) => assert_eq!(outcome, expected),
                other => panic!("{other:?}"),
            }
        }
        assert!(sink.is_stalled());
        assert!(log.facts(&support::name("a")).await.is_err());
        std::fs::rename(&away, &version).unwrap();
        limit(None);
        let settled = log.append(unsure).await.unwrap();
        let later = support::text(&log, "a", "later").await.unwrap();
        let records = read(&log, "a").await;
        assert_eq!(records.len(), 52);
        assert_eq!(
            (records[50].position, records[51].position),
            (settled[0], later)
        );
        assert_eq!(later.epoch(), attached.lineage.epoch());
        sink.check().unwrap();
        assert_eq!(sink.records(), records);
        assert!(!sink.is_stalled() && sink.forks().is_empty());
        log.close().await.unwrap();
        say("done");
    });
}

/// Runs it where a file that grows too long is an error: without the trap it is a signal that
/// kills.
#[cfg(unix)]
fn run_limited(test: &str, directory: &Path, limit: &str) -> String {
    let child = run(test, directory, "batch");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("trap '' XFSZ; {limit} exec \"$@\""), "sh"])
        .arg(child.get_program())
        .args(child.get_args());
    for (key, value) in child.get_envs() {
        shell.env(key, value.unwrap());
    }
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.lines().any(|line| line == "done"), "{said}");
    said
}

#[cfg(unix)]
#[test]
fn an_unknown_outcome_is_settled_before_anything_else_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    run_limited("unknown_outcome", directory.path(), "");
}

#[cfg(unix)]
#[test]
fn a_full_disk_refuses_keeps_what_it_has_and_is_read() {
    let directory = tempfile::tempdir().unwrap();
    // Blocks of 512 bytes: as much as a journal is made with.
    let said = run_limited("out_of_room", directory.path(), "ulimit -f 131072;");
    let acknowledged: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("ack "))
        .collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let log = open(directory.path(), Fsync::Batch).await;
        let records = read(&log, "a").await;
        let found = records.iter().map(|record| {
            let text = payload(record);
            let number = text.split(' ').next().unwrap().to_owned();
            format!("ack {} {number}", record.position.sequence())
        });
        assert_eq!(found.collect::<Vec<_>>(), acknowledged);
        let (_, attached) = attach(&log).await;
        assert_eq!(attached.lineage.epochs().count(), 1);
        // With room it goes on, above what it has.
        let next = support::text(&log, "a", "there is room").await.unwrap();
        assert_eq!(
            next.sequence(),
            records.last().unwrap().position.sequence() + 1
        );
    });
}

#[tokio::test]
async fn below_the_reserve_nothing_is_taken_and_all_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), Fsync::Batch).await;
    support::text(&log, "a", "before").await.unwrap();
    log.close().await.unwrap();
    drop(log);
    let config = FjallConfig::new(directory.path()).with_reserve(u64::MAX);
    let log = FjallBackplane::open(config).await.unwrap();
    let refused = support::text(&log, "a", "x").await;
    assert!(matches!(refused, Err(AppendError::Full(_))), "{refused:?}");
    assert_eq!(read(&log, "a").await.len(), 1);
    log.maintain(eventcast_core::Timestamp::from_millis(u64::MAX / 2))
        .await
        .unwrap();
    assert!(
        read(&log, "a").await.is_empty(),
        "what is too old makes room"
    );
}
