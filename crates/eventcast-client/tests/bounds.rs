//! What a hostile server can make a client do, in attempts and in bytes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventcast_client::{Client, ClientError, Delivery, Interruption, Transport};
use futures_util::StreamExt;
use support::scripted::{Answer, SSE, Script, event, open, read_head};
use support::{ALL, next, within};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const URL: &str = "http://test/events?channel=a";

/// With the settings that users have.
fn client(script: &Script, attempts: &Arc<Mutex<Vec<Instant>>>) -> Client {
    let (script, attempts) = (script.clone(), Arc::clone(attempts));
    Client::builder(URL)
        .unwrap()
        .with_dialer(move |_, _| {
            attempts.lock().unwrap().push(Instant::now());
            script.dial()
        })
        .connect()
        .unwrap()
}

/// How often a client tries in half an hour, and in its busiest minute.
async fn attempts(answer: Answer) -> (usize, usize) {
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let mut client = client(&Script::new([answer]), &attempts);
    let reading = async { while client.next().await.is_some() {} };
    let _ = tokio::time::timeout(MINUTE * 30, reading).await;
    let attempts = attempts.lock().unwrap();
    let within_a_minute = |first: &Instant| {
        let last = *first + MINUTE;
        attempts
            .iter()
            .filter(|attempt| (first..&last).contains(attempt))
            .count()
    };
    let busiest = attempts.iter().map(within_a_minute).max().unwrap();
    (attempts.len(), busiest)
}

#[tokio::test(start_paused = true)]
async fn attempts_have_a_bound_and_become_rare() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<ha>";
    let error = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n";
    let at_once = "HTTP/1.1 503 No\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
    for answer in ["", "\0garbage", page, error, at_once, &open(15_000, 0)] {
        let (all, busiest) = attempts(Answer::Closed(answer.to_owned())).await;
        assert!(busiest <= 60, "{answer}: {busiest} in a minute");
        // Waits have grown to a minute at most, half of it on average; a round has four transports.
        assert!((20..400).contains(&all), "{answer}: {all} in half an hour");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_always_brings_something_and_ends_is_asked_once_a_second() {
    let bait = open(15_000, 0) + &event(1);
    let (all, busiest) = attempts(Answer::Closed(bait)).await;
    assert!(busiest <= 60, "{busiest} in a minute");
    assert!(all <= 30 * 60 + 60, "{all} in half an hour");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_not_followed_and_says_where_to() {
    let redirect =
        "HTTP/1.1 307 Moved\r\nlocation: http://test/events\r\ncontent-length: 0\r\n\r\n";
    let script = Script::new([Answer::Closed(redirect.to_owned())]);
    let attempts = Arc::default();
    let mut client = client(&script, &attempts);
    let error = within(async {
        loop {
            if let Err(error) = client.next().await.expect("an error first") {
                return error;
            }
        }
    })
    .await;
    assert!(matches!(error, ClientError::Refused { status, .. } if status == 307));
    assert!(
        error.to_string().ends_with("connect to http://test/events"),
        "{error}"
    );
    assert_eq!(attempts.lock().unwrap().len(), ALL.len());
}

#[tokio::test(start_paused = true)]
async fn polls_that_bring_nothing_are_not_asked_without_a_pause() {
    let polls = Arc::new(AtomicUsize::new(0));
    let polling = Arc::clone(&polls);
    // Each answer moves the position, and has something that is nothing.
    let dial = move |_, _| {
        let (client, mut server) = duplex(4096);
        let polls = Arc::clone(&polling);
        tokio::spawn(async move {
            while !read_head(&mut server).await.is_empty() {
                let count = polls.fetch_add(1, Ordering::SeqCst) + 10_000;
                let body = format!(
                    "{{\"position\":\"00000007-e{count}\",\"events\":[{{\"type\":\"news\"}}]}}"
                );
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\n\r\n"
                );
                let _ = server.write_all((head + &body).as_bytes()).await;
            }
        });
        async { Ok(client) }
    };
    let mut client = support::builder(URL)
        .with_transports([Transport::Poll])
        .with_dialer(dial)
        .connect()
        .unwrap();
    let reading = async { while client.next().await.is_some() {} };
    let _ = tokio::time::timeout(MINUTE, reading).await;
    let polls = polls.load(Ordering::SeqCst);
    assert!((500..=602).contains(&polls), "{polls} polls in a minute");
}

/// A server that writes pieces for as long as they are taken, and counts their bytes.
fn flood(
    taken: &Arc<AtomicUsize>,
    first: String,
    piece: fn(u64) -> String,
) -> impl Fn(String, u16) -> std::future::Ready<io::Result<DuplexStream>> + Send + Sync + use<> {
    let taken = Arc::clone(taken);
    move |_, _| {
        let (client, mut server) = duplex(4096);
        let (taken, first) = (Arc::clone(&taken), first.clone());
        tokio::spawn(async move {
            read_head(&mut server).await;
            let _ = server.write_all(first.as_bytes()).await;
            for count in 10..99 {
                let piece = piece(count);
                if server.write_all(piece.as_bytes()).await.is_err() {
                    return;
                }
                taken.fetch_add(piece.len(), Ordering::SeqCst);
            }
        });
        std::future::ready(Ok(client))
    }
}

/// How many bytes a client takes whose user does not read.
async fn taken(first: String, piece: fn(u64) -> String) -> usize {
    let taken = Arc::new(AtomicUsize::new(0));
    let _client = support::builder(URL)
        .with_transports([Transport::Sse])
        .with_queue(64, 1 << 20)
        .with_dialer(flood(&taken, first, piece))
        .connect()
        .unwrap();
    // Time passes once nothing else can.
    tokio::time::sleep(Duration::from_secs(1)).await;
    taken.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn behind_a_user_who_does_not_read_nothing_piles_up() {
    fn large(count: u64) -> String {
        let text = "x".repeat(100 << 10);
        format!(
            "data: {{\"id\":\"00000007-b{count}\",\"channel\":\"a\",\"data\":\"{text}\"}}\n\
             id: 00000007-b{count}\n\n"
        )
    }
    let bytes = taken(open(15_000, 0), large).await;
    assert!((1 << 20..3 << 19).contains(&bytes), "{bytes} of events");

    fn many_channels(_: u64) -> String {
        let names = vec!["\"channel\""; 10_000].join(",");
        format!("event: eventcast.open\ndata: {{\"channels\":[{names}],\"heartbeat\":1}}\n\n")
    }
    let bytes = taken(open(15_000, 0), many_channels).await;
    assert!(bytes < 3 << 19, "{bytes} of openings");

    fn long_reason(_: u64) -> String {
        let reason = "x".repeat(100 << 10);
        format!(
            "event: eventcast.completed\n\
             data: {{\"channel\":\"b\",\"outcome\":\"failed\",\"reason\":\"{reason}\"}}\n\n"
        )
    }
    let bytes = taken(open(15_000, 0), long_reason).await;
    assert!(bytes < 3 << 19, "{bytes} of reasons");
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_of_garbage_is_short_and_harmless_to_a_terminal() {
    let garbage = format!("data: {{\"id\":\"\\u001b[2J{}\"}}\n\n", "x".repeat(100_000));
    let script = Script::new([Answer::Closed(open(15_000, 0) + &garbage)]);
    let dialing = script.clone();
    let mut client = support::builder(URL)
        .with_transports([Transport::Sse])
        .with_dialer(move |_, _| dialing.dial())
        .connect()
        .unwrap();
    let cause = next(&mut client, reconnecting).await;
    let said = cause.to_string();
    assert!(
        said.len() < 400 && !said.contains(char::is_control),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_that_open_nothing_do_not_keep_a_connection() {
    let dial = |_, _| {
        let (client, mut server) = duplex(4096);
        tokio::spawn(async move {
            read_head(&mut server).await;
            let _ = server.write_all(SSE.as_bytes()).await;
            while server.write_all(b":\n").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        async { Ok(client) }
    };
    let mut client = support::builder(URL)
        .with_transports([Transport::Sse])
        .with_dialer(dial)
        .connect()
        .unwrap();
    let begun = Instant::now();
    let cause = next(&mut client, reconnecting).await;
    assert!(matches!(*cause, Interruption::Silent(_)), "{cause:?}");
    assert!(
        begun.elapsed() <= Duration::from_secs(11),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_comment_of_any_length_is_passed_over() {
    let comment = format!("{SSE}:{}", "x".repeat(20 << 20));
    let script = Script::new([Answer::Closed(comment)]);
    let dialing = script.clone();
    let mut client = support::builder(URL)
        .with_transports([Transport::Sse])
        .with_max_message(64 << 10)
        .with_dialer(move |_, _| dialing.dial())
        .connect()
        .unwrap();
    let cause = next(&mut client, reconnecting).await;
    assert!(matches!(*cause, Interruption::Cut(_)), "{cause:?}");
}

#[allow(clippy::needless_pass_by_value, reason = "`next` gives it away")]
fn reconnecting(delivery: Delivery) -> Option<Arc<Interruption>> {
    match delivery {
        Delivery::Reconnecting { cause, .. } => Some(cause),
        _ => None,
    }
}
