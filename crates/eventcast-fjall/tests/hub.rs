//! A hub over the log: what its sessions see of restarts.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::path::Path;
use std::time::Duration;

use eventcast_core::{
    Delivery, Event, GapReason, Hub, HubConfig, Position, Session, Sleep, Start, Timer,
};
use eventcast_fjall::{FjallBackplane, Fsync};
use futures_util::StreamExt;
use support::{config, copy};

struct Tokio;

impl Timer for Tokio {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

async fn hub(directory: &Path) -> Hub {
    let log = FjallBackplane::open(config(directory, Fsync::Batch))
        .await
        .unwrap();
    let hub = Hub::open(HubConfig::new(), log).await.unwrap();
    for driver in hub.drivers(Tokio) {
        tokio::spawn(driver);
    }
    hub
}

async fn publish(hub: &Hub, texts: std::ops::Range<usize>) -> Vec<Position> {
    let mut positions = Vec::new();
    for text in texts {
        positions.push(
            hub.publish("a", Event::text(text.to_string()))
                .await
                .unwrap(),
        );
    }
    positions
}

async fn next(session: &mut Session) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(10), session.next());
    next.await.unwrap().unwrap()
}

/// The next events are these texts, without a gap.
async fn texts(session: &mut Session, expected: std::ops::Range<usize>) {
    for text in expected {
        match next(session).await {
            Delivery::Event(event) => {
                assert_eq!(event.payload().as_str(), Some(text.to_string().as_str()));
            }
            other => panic!("{text} is due, and not {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_session_resumes_over_a_restart_with_the_id_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let before = hub(directory.path()).await;
    let ids = publish(&before, 0..10).await;
    before.close().await.unwrap();
    drop(before);
    let after = hub(directory.path()).await;
    publish(&after, 10..12).await;
    let session = after.session().channel("a").resume(&ids[3].to_string());
    let mut session = session.open_async().await.unwrap();
    texts(&mut session, 4..12).await;
    publish(&after, 12..13).await;
    texts(&mut session, 12..13).await;
    let all = after.session().start(Start::Earliest).channel("a");
    texts(&mut all.open_async().await.unwrap(), 0..13).await;
}

/// The journal lost what was acknowledged: who had it is told, who had less goes on unaware.
#[tokio::test]
async fn what_a_journal_lost_is_a_gap_for_who_had_it() {
    let (used, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = hub(used.path()).await;
    let kept = publish(&before, 0..5).await;
    copy(used.path(), directory.path());
    let lost = publish(&before, 100..105).await;
    let mark = "eventcast-mark";
    std::fs::copy(used.path().join(mark), directory.path().join(mark)).unwrap();

    let after = hub(directory.path()).await;
    publish(&after, 5..8).await;
    let session = after.session().channel("a").resume(&kept[1].to_string());
    texts(&mut session.open_async().await.unwrap(), 2..8).await;
    let session = after.session().channel("a").resume(&lost[1].to_string());
    let mut session = session.open_async().await.unwrap();
    match next(&mut session).await {
        Delivery::Gap(gap) => assert_eq!(gap.reason, GapReason::Epoch),
        other => panic!("a gap is due, and not {other:?}"),
    }
    texts(&mut session, 5..8).await;
}
