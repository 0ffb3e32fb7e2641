//! What is particular to this log.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use eventcast_core::{
    Append, AppendError, Backplane, Body, ChannelFacts, Clock, Outcome, OutcomeKnown, ReplayStore,
    Retention, SystemClock, Timestamp,
};
use eventcast_fjall::{FjallBackplane, Fsync};
use support::{append, attach, body, config, keyed, name, open, read, text};

fn after(time: Timestamp, more: Duration) -> Timestamp {
    Timestamp::from_millis(time.as_millis() + more.as_millis() as u64)
}

#[tokio::test]
async fn a_directory_is_one_logs() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), Fsync::Batch).await;
    let second = FjallBackplane::open(config(directory.path(), Fsync::Batch)).await;
    let error = second.unwrap_err().to_string();
    assert_eq!(
        error,
        "the log's directory is in use, by this or another process"
    );
    text(&log, "a", "x").await.unwrap();
    drop(log);
    // Dropped, it is closed.
    let log = open(directory.path(), Fsync::Batch).await;
    assert_eq!(read(&log, "a").await.len(), 1);
    log.close().await.unwrap();
    // Closed, it is nobody's.
    open(directory.path(), Fsync::Batch).await;
}

#[tokio::test]
async fn what_is_no_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("version"), "something else").unwrap();
    let log = FjallBackplane::open(config(directory.path(), Fsync::Batch)).await;
    assert_eq!(log.unwrap_err().to_string(), "the log could not be opened");
}

/// A process that was killed while it made the log has left one that can be made.
#[tokio::test]
async fn what_is_half_made_is_made() {
    for has_version in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("0.jnl"), [0; 5000]).unwrap();
        if has_version {
            std::fs::write(directory.path().join("version"), "").unwrap();
        }
        let log = open(directory.path(), Fsync::Batch).await;
        text(&log, "a", "x").await.unwrap();
    }
}

/// A clean restart under another policy is one, too.
#[tokio::test]
async fn the_epoch_survives_closing_under_each_policy() {
    let directory = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3600);
    let mut lineage = None;
    for fsync in [
        Fsync::Interval(hour),
        Fsync::Each,
        Fsync::Interval(hour),
        Fsync::Batch,
    ] {
        let log = open(directory.path(), fsync).await;
        let (_, attached) = attach(&log).await;
        assert_eq!(
            *lineage.get_or_insert_with(|| attached.lineage.clone()),
            attached.lineage
        );
        text(&log, "a", "x").await.unwrap();
        log.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_closed_log_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), Fsync::Batch).await;
    log.close().await.unwrap();
    log.close().await.unwrap();
    let refused = text(&log, "a", "x").await;
    let is_known = matches!(
        refused,
        Err(AppendError::Unavailable {
            outcome: OutcomeKnown::NotStored,
            ..
        })
    );
    assert!(is_known, "{refused:?}");
    let page = log.facts(&name("a")).await;
    assert_eq!(page.unwrap_err().to_string(), "the log is closed");
    assert!(log.maintain(Timestamp::from_millis(0)).await.is_err());
}

/// One that has no time at all is stored or not, and says what it knows.
#[tokio::test]
async fn an_append_that_is_late_says_what_became_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), Fsync::Each).with_publish_timeout(Duration::ZERO);
    let log = FjallBackplane::open(config).await.unwrap();
    let (mut stored, mut unknown) = (0, 0);
    for _ in 0..50 {
        match text(&log, "a", "x").await {
            Ok(_) => stored += 1,
            Err(AppendError::Unavailable { outcome, .. }) => {
                unknown += usize::from(outcome == OutcomeKnown::Unknown);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    log.close().await.unwrap();
    let log = open(directory.path(), Fsync::Each).await;
    let found = read(&log, "a").await.len();
    assert!(
        (stored..=stored + unknown).contains(&found),
        "{stored} {unknown} {found}"
    );
}

/// Many appends at once to channels that keep little, some of it within one commit.
#[tokio::test]
async fn retention_holds_within_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), Fsync::Batch).await;
    let (sink, _) = attach(&log).await;
    for round in 0..4 {
        let bodies = (0..50).map(|number| body(&number.to_string())).collect();
        let append = Append {
            retention: Retention::new().with_count(7),
            ..append("a", bodies)
        };
        let positions = log.append(append).await.unwrap();
        let kept = read(&log, "a").await;
        let kept: Vec<_> = kept.iter().map(|record| record.position).collect();
        assert_eq!(kept, positions[43..]);
        let facts = log.facts(&name("a")).await.unwrap();
        assert_eq!(facts.trim_mark, positions[42].sequence());
        // Who was there sees all of it.
        assert_eq!(sink.records().len(), 50 * (round + 1));
    }
}

#[tokio::test]
async fn what_is_too_old_is_trimmed_forgotten_and_covered_by_the_floor() {
    let directory = tempfile::tempdir().unwrap();
    let idle = Duration::from_secs(100);
    let config = config(directory.path(), Fsync::Batch)
        .with_idle(idle)
        .with_ends(1);
    let log = FjallBackplane::open(config.clone()).await.unwrap();
    let age = Duration::from_secs(10);
    let now = SystemClock.now();
    let old = |channel: &str, bodies| Append {
        retention: Retention::new().with_age(age),
        time: now,
        ..append(channel, bodies)
    };
    let gone = log
        .append(old("gone", vec![body("1"), body("2")]))
        .await
        .unwrap();
    for channel in ["end1", "end2"] {
        let end = Body::Completion(Outcome::Complete);
        log.append(old(channel, vec![body("x"), end]))
            .await
            .unwrap();
    }
    let kept = text(&log, "kept", "x").await.unwrap();

    log.maintain(after(now, age)).await.unwrap();
    let facts = log.facts(&name("gone")).await.unwrap();
    assert_eq!(facts.trim_mark, gone[1].sequence());
    assert_eq!(facts.trimmed_until, now);
    assert_eq!(facts.last, gone[1].sequence());
    assert!(read(&log, "gone").await.is_empty());
    // Of the ends only the newest is remembered.
    assert!(log.facts(&name("end2")).await.unwrap().completion.is_some());
    let forgotten = log.facts(&name("end1")).await.unwrap();
    assert_eq!(forgotten.completion, None);
    let floor = gone[1].sequence() + 2;
    assert_eq!(forgotten.trim_mark, floor);

    log.maintain(after(now, age + idle)).await.unwrap();
    let unknown = ChannelFacts {
        trim_mark: floor,
        trimmed_until: now,
        ..ChannelFacts::default()
    };
    assert_eq!(log.facts(&name("gone")).await.unwrap(), unknown);
    assert_eq!(
        log.channels("", 0, 10).await.unwrap(),
        [name("end2"), name("kept")]
    );
    assert_eq!(read(&log, "kept").await[0].position, kept);
    log.close().await.unwrap();
    drop(log);

    let log = FjallBackplane::open(config).await.unwrap();
    let (_, attached) = attach(&log).await;
    assert_eq!(attached.floor, floor);
    assert_eq!(log.facts(&name("never")).await.unwrap(), unknown);
    // One that comes again begins above the floor.
    text(&log, "gone", "again").await.unwrap();
    assert_eq!(log.facts(&name("gone")).await.unwrap().trim_mark, floor);
    assert_eq!(read(&log, "gone").await.len(), 1);
}

#[tokio::test]
async fn keys_are_known_for_their_window_over_restarts_and_no_longer() {
    let directory = tempfile::tempdir().unwrap();
    let window = Duration::from_secs(60);
    let config = config(directory.path(), Fsync::Batch).with_idempotency_window(window);
    let start = SystemClock.now();
    let publish = async |at: Duration| {
        let log = FjallBackplane::open(config.clone()).await.unwrap();
        let now = after(start, at);
        log.maintain(now).await.unwrap();
        let append = Append {
            time: now,
            ..append("a", vec![keyed("x", "k")])
        };
        let position = log.append(append).await.unwrap()[0];
        log.maintain(now).await.unwrap();
        log.close().await.unwrap();
        position
    };
    let first = publish(Duration::ZERO).await;
    for seconds in [1, 30, 59] {
        assert_eq!(publish(Duration::from_secs(seconds)).await, first);
    }
    let second = publish(window).await;
    assert_ne!(second, first);
    assert_eq!(publish(window + Duration::from_secs(59)).await, second);
    assert_ne!(publish(window * 10).await, second);
}

/// A thousand events while memory is written out and trimmed: nothing is missing afterwards.
#[tokio::test]
async fn what_is_written_out_is_read_like_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), Fsync::Interval(Duration::from_millis(50))).await;
    let large = "x".repeat(64 << 10);
    let mut positions = Vec::new();
    for _ in 0..600 {
        let append = Append {
            retention: Retention::new().with_count(100).with_bytes(1 << 40),
            ..append("a", vec![body(&large)])
        };
        positions.extend(log.append(append).await.unwrap());
    }
    assert_eq!(read(&log, "a").await.len(), 100);
    log.close().await.unwrap();
    let log = open(directory.path(), Fsync::Batch).await;
    let kept = read(&log, "a").await;
    assert_eq!(kept.len(), 100);
    assert_eq!(kept[0].position, positions[500]);
}
