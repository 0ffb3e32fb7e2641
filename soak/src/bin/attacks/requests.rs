//! Requests that are too large, too many, or guesses.

use crate::raw::{self, get, post, scramble};
use crate::tally::{Tally, many};
use crate::{Field, NEWS};

/// Heads and queries without measure.
pub(crate) async fn heads(field: Field) -> Result<Tally, String> {
    let address = field.address;
    let tally = many(field.scale(2_000, 150), 32, move |number| async move {
        let events = format!("/events?channel={NEWS}");
        let request = match number % 5 {
            0 => get(&events, &format!("X-Bomb: {}\r\n", "x".repeat(100_000))),
            1 => get(&events, &"X: y\r\n".repeat(10_000)),
            2 => get(&format!("/events?channel={}", "x".repeat(100_000)), ""),
            3 => get(
                &format!("/events?{}", "channel=a&".repeat(1_600)),
                "Accept: nothing/at-all\r\n",
            ),
            _ => get(&format!("/events?{}", "c=%00&".repeat(2_000)), ""),
        };
        raw::ask(address, request).await.outcome
    });
    tally
        .await
        .only("heads", &["400", "406", "414", "431", "cut"])
}

/// Tickets that are guessed, used twice, and hoarded.
pub(crate) async fn tickets(field: Field) -> Result<Tally, String> {
    let address = field.address;
    let subscribe = |ticket: &str| get(&format!("/events?channel={NEWS}&ticket={ticket}"), "");
    let guesses = many(field.scale(20_000, 500), 64, move |number| async move {
        let (high, low) = (scramble(number as u64), scramble(!number as u64));
        let asked = raw::ask(address, subscribe(&format!("{high:016x}{low:016x}"))).await;
        format!("guess {}", asked.outcome)
    });
    let mut tally = guesses.await.only("tickets", &["guess 401"])?;
    let issue = |name: &str| post("/tickets", &format!("Authorization: Bearer {name}\r\n"), "");
    let issued = raw::ask(address, issue("holder")).await;
    let ticket = issued.body.split('"').find(|part| part.len() == 32);
    let ticket = ticket
        .ok_or_else(|| format!("no ticket: {issued:?}"))?
        .to_owned();
    let replays = many(50, 50, move |_| {
        let request = subscribe(&ticket);
        async move { format!("replay {}", raw::ask(address, request).await.outcome) }
    });
    let replays = replays
        .await
        .only("replays", &["replay 200", "replay 401"])?;
    if replays.count("replay 200") != 1 {
        return Err(format!("a ticket is good once: {replays}"));
    }
    tally.join(replays);
    // A name of its own each time: what one hoards stays for half a minute.
    let name = format!(
        "hoarder-{}",
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |it| it.as_nanos())
    );
    let hoard = many(60, 8, move |_| {
        let request = issue(&name);
        async move { format!("hoard {}", raw::ask(address, request).await.outcome) }
    });
    let hoard = hoard.await.only("hoard", &["hoard 200", "hoard 429"])?;
    if hoard.count("hoard 200") != 20 {
        return Err(format!("twenty tickets are one's own: {hoard}"));
    }
    tally.join(hoard);
    Ok(tally)
}

/// Keys of sessions that are guessed, from one address.
pub(crate) async fn keys(field: Field) -> Result<Tally, String> {
    let address = field.address;
    let tally = many(field.scale(20_000, 500), 64, move |number| async move {
        let key = format!("{:016x}", scramble(number as u64)).repeat(2);
        let from = "X-Forwarded-For: 203.0.113.9\r\n";
        let request = match number % 3 {
            0 => post(&format!("/sessions/{key}?channel={NEWS}"), from, ""),
            1 => post(&format!("/sessions/{key}/refresh"), from, ""),
            _ => {
                post(&format!("/sessions/{key}?channel={NEWS}"), from, "").replace("POST", "DELETE")
            }
        };
        raw::ask(address, request).await.outcome
    });
    tally.await.only("keys", &["404", "429"])
}

/// Names of channels that nobody has heard of.
pub(crate) async fn names(field: Field) -> Result<Tally, String> {
    let address = field.address;
    let tally = many(field.scale(10_000, 600), 32, move |number| async move {
        let name = format!("made-up-{number}");
        let request = match number % 4 {
            0 => get(&format!("/events?channel={name}"), ""),
            1 => get(&format!("/channels/{name}/history"), ""),
            2 => {
                let many: String = (0..500)
                    .map(|n| format!("channel=n{number}-{n}&"))
                    .collect();
                get(&format!("/events?{many}"), "")
            }
            _ => post(
                &format!("/channels/{name}"),
                "Authorization: Bearer namer\r\n",
                "hello",
            ),
        };
        raw::ask(address, request).await.outcome
    });
    tally.await.only("names", &["200", "429", "503"])
}
