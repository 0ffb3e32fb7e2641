//! How long an answer takes, in simulated time.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{Session, Start, SubscriptionOptions};
use eventcast_poll::{PollConfig, Polling, poll};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::support::{TokioTimer, at_once_with, hub, keeping, publish, resume};

fn waiting(session: Session) -> Polling {
    poll(session, PollConfig::new(), Arc::new(TokioTimer))
}

async fn document(answer: Polling) -> String {
    let body = answer.await.into_body().collect().await;
    String::from_utf8(body.unwrap().to_bytes().to_vec()).expect("UTF-8")
}

#[test]
fn it_fits_any_runtime_and_is_small() {
    fn assert_bounds<T: Send + Unpin + 'static>() {}
    assert_bounds::<Polling>();
    let size = size_of::<Polling>();
    assert!(size <= 464, "{size} bytes");
}

#[tokio::test(start_paused = true)]
async fn it_is_held_until_there_is_something() {
    let hub = hub();
    let mut answer = waiting(resume(&hub, &["a", "b"], "00000007-a0"));
    assert!((&mut answer).now_or_never().is_none());
    publish(&hub, "other", "x");
    assert!((&mut answer).now_or_never().is_none());
    let began = Instant::now();
    let (document, ()) = tokio::join!(document(answer), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        publish(&hub, "a", "x");
        publish(&hub, "b", "y");
    });
    let expected = concat!(
        r#"{"position":"00000007-a3","events":["#,
        r#"{"id":"00000007-a2","channel":"a","data":"x"},"#,
        r#"{"id":"00000007-a3","channel":"b","data":"y"}]}"#
    );
    assert_eq!(document, expected);
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn after_the_wait_it_tells_the_present_position() {
    let hub = hub();
    let began = Instant::now();
    let answer = document(waiting(resume(&hub, &["a"], "00000007-a0")));
    publish(&hub, "other", "x");
    assert_eq!(answer.await, r#"{"position":"00000007-a1","events":[]}"#);
    assert_eq!(began.elapsed().as_secs(), 25);
}

#[test]
fn without_a_wait_it_is_ready_at_once_and_sets_no_timer() {
    let config = PollConfig::new().with_wait(Duration::ZERO);
    assert_eq!(
        at_once_with(resume(&hub(), &["a"], "00000007-a0"), config),
        r#"{"position":"00000007-a0","events":[]}"#
    );
}

#[test]
fn what_a_filter_leaves_out_moves_the_position() {
    let hub = hub();
    publish(&hub, "a", "x");
    let options = SubscriptionOptions::new().with_start(Start::Earliest);
    let nothing = options.with_filter(|_| false);
    let session = hub.session().options(nothing).channel("a").open();
    assert_eq!(
        at_once_with(session.unwrap(), PollConfig::new()),
        r#"{"position":"00000007-a1","events":[]}"#
    );
}

/// A client that is cut while it waits would come back to a false gap.
#[tokio::test(start_paused = true)]
async fn a_position_that_is_about_to_be_trimmed_is_told_before_the_wait_is_over() {
    let hub = keeping(10);
    let nothing = SubscriptionOptions::new().with_filter(|_| false);
    let builder = hub.session().options(nothing).channel("a");
    let mut answer = waiting(builder.resume("00000007-a0").open().unwrap());
    let began = Instant::now();
    let mut published = 0;
    let response = loop {
        match (&mut answer).now_or_never() {
            Some(response) => break response,
            None => publish(&hub, "a", "x"),
        }
        published += 1;
        assert!(published < 20, "no position is told");
    };
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let expected = format!(r#"{{"position":"{}","events":[]}}"#, hub.position());
    assert_eq!(body, expected);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_or_answering_drops_the_session() {
    let hub = hub();
    let mut answer = waiting(resume(&hub, &["a"], "00000007-a0"));
    assert!((&mut answer).now_or_never().is_none());
    assert_eq!(hub.stats().channels, 1);
    drop(answer);
    assert_eq!(hub.stats().channels, 0);

    let response = waiting(hub.subscribe("a").unwrap()).await;
    assert_eq!(hub.stats().channels, 0);
    drop(response);
}
