//! Reading.

use eventcast_core::{AppendError, Body, ChannelFacts, Outcome, PageQuery};

use super::super::ledger::Ledger;
use super::super::node::{append, body, name, wide};
use super::super::pages::{one, read, read_with};
use super::super::stage::{Stage, now};
use crate::verdict::ensure;

/// Every range, limit by limit.
pub async fn pages_forwards_are_exact(stage: Stage) -> Result<(), String> {
    pages_are_exact(&stage, false).await
}

/// The same from the newest back.
pub async fn pages_backwards_are_exact(stage: Stage) -> Result<(), String> {
    pages_are_exact(&stage, true).await
}

async fn pages_are_exact(stage: &Stage, backwards: bool) -> Result<(), String> {
    let node = stage.node().await?;
    let mut ledger = Ledger::default();
    for _ in 0..4 {
        node.publish(&mut ledger, "a", vec![body("x"), body("y")])
            .await?;
        node.publish(&mut ledger, "b", vec![body("z")]).await?;
    }
    let stored = ledger.of("a");
    let mut bounds = vec![0, u64::MAX];
    bounds.extend(stored.iter().flat_map(|s| [s - 1, *s]));
    for after in bounds.clone() {
        for until in bounds.clone() {
            let within = stored.iter().copied().filter(|s| *s > after && *s <= until);
            let mut expected: Vec<_> = within.collect();
            if backwards {
                expected.reverse();
            }
            for limit in [1, 3, 100] {
                let query = PageQuery {
                    after,
                    until,
                    limit,
                    bytes: PageQuery::MAX_BYTES,
                    backwards,
                };
                let page = one(&*node.plane, "a", query).await?;
                let first: Vec<_> = page.records.iter().map(|r| r.position.sequence()).collect();
                ensure!(
                    expected.starts_with(&first),
                    "{query:?} gives {first:?} of {expected:?}"
                );
                ensure!(
                    !page.complete || first.len() == expected.len(),
                    "{query:?} is called complete with {first:?} of {expected:?}"
                );
                if limit == 3 {
                    let all = read_with(&*node.plane, "a", query).await?;
                    ledger.compare(&all.records, &expected, &format!("{query:?}"))?;
                }
            }
        }
    }
    Ok(())
}

/// A page ends with the record at which its payloads come to the bytes asked for, and the next one
/// goes on; a larger record passes.
pub async fn pages_are_bounded_by_bytes(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    let mut ledger = Ledger::default();
    for size in [400, 400, 400, 9_000, 1, 1, 1, 400, 9_000, 400] {
        let body = body(&"x".repeat(size));
        node.publish(&mut ledger, "a", vec![body.clone(), body])
            .await?;
    }
    for backwards in [false, true] {
        let mut expected = ledger.of("a");
        if backwards {
            expected.reverse();
        }
        for bytes in [1, 400, 1_000, 10_000, PageQuery::MAX_BYTES] {
            let query = PageQuery {
                after: 0,
                until: u64::MAX,
                limit: 100,
                bytes,
                backwards,
            };
            let all = read_with(&*node.plane, "a", query).await?;
            ledger.compare(&all.records, &expected, &format!("{query:?}"))?;
        }
    }
    Ok(())
}

/// What was acknowledged is in the next page, on every node.
pub async fn pages_hold_what_was_acknowledged(stage: Stage) -> Result<(), String> {
    let (node, other) = stage.two_nodes().await?;
    let mut ledger = Ledger::default();
    for number in 0..30 {
        let given = node
            .publish(&mut ledger, "a", vec![body(&number.to_string())])
            .await?[0];
        for reader in [&node, &other] {
            let page = read(&*reader.plane, "a", given - 1, u64::MAX).await?;
            ledger.compare(&page.records, &[given], "the page")?;
            let facts = reader.facts("a").await?;
            ensure!(
                facts.last == given,
                "{given} is acknowledged, the facts are {facts:?}"
            );
        }
    }
    Ok(())
}

/// Channels whose names begin alike, or look like something to the log, share nothing.
pub async fn pages_are_of_one_channel(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    let long = "l".repeat(200);
    let longer = format!("{}m", &long[1..]);
    let names = [
        "a",
        "ab",
        "a/b",
        "a.b",
        "a:b",
        "A",
        " a",
        "a ",
        "{a}",
        "a>",
        "ä",
        "\u{10ffff}",
        &long,
        &longer,
    ];
    let mut ledger = Ledger::default();
    for round in 0..3 {
        for channel in names {
            node.publish(
                &mut ledger,
                channel,
                vec![body(&format!("{channel} {round}"))],
            )
            .await?;
        }
    }
    for channel in names {
        let all = read(&*node.plane, channel, 0, u64::MAX).await?;
        ledger.compare(&all.records, &ledger.of(channel), channel)?;
    }
    Ok(())
}

/// A channel that the log never had has no records and the facts of none.
pub async fn an_unknown_channel_is_empty(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    node.text("a", "x").await?;
    for channel in ["b", "a/", "A"] {
        let all = read(&*node.plane, channel, 0, u64::MAX).await?;
        ensure!(
            all.records.is_empty() && all.trim_mark == 0,
            "{channel} has records"
        );
        let facts = node.facts(channel).await?;
        ensure!(facts == ChannelFacts::default(), "{channel} has {facts:?}");
    }
    Ok(())
}

/// `channels` lists by prefix those with a record after a sequence, and no more than asked for.
pub async fn channels_are_listed_by_prefix_and_sequence(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    let mut firsts = Vec::new();
    for channel in ["a", "ab", "abc", "b", "b[", "b[x", "ü", "üb"] {
        firsts.push((channel, node.text(channel, "x").await?));
    }
    for prefix in ["", "a", "ab", "b", "b[", "c", "ü", "a*"] {
        for after in [0, firsts[2].1, firsts[7].1] {
            let listed = node.plane.channels(prefix, after, 100).await;
            let listed = listed.map_err(|error| format!("{error:?}"))?;
            let mut listed: Vec<_> = listed.iter().map(|name| name.as_str()).collect();
            listed.sort_unstable();
            let matching = firsts
                .iter()
                .filter(|(c, s)| c.starts_with(prefix) && *s > after);
            let expected: Vec<_> = matching.map(|(channel, _)| *channel).collect();
            ensure!(
                listed == expected,
                "for {prefix:?} after {after} are listed {listed:?} instead of {expected:?}"
            );
            let few = node.plane.channels(prefix, after, 2).await;
            let few = few.map_err(|error| format!("{error:?}"))?.len();
            ensure!(
                few == expected.len().min(2),
                "{few} channels are listed instead of 2"
            );
        }
    }
    Ok(())
}

/// The facts tell a channel's last sequence, on every node.
pub async fn facts_tell_the_last_sequence(stage: Stage) -> Result<(), String> {
    let (node, other) = stage.two_nodes().await?;
    for round in 0..3 {
        for channel in ["a", "b"] {
            let given = node.text(channel, &round.to_string()).await?;
            for reader in [&node, &other] {
                let facts = reader.facts(channel).await?;
                let expected = ChannelFacts {
                    last: given,
                    ..ChannelFacts::default()
                };
                ensure!(
                    facts == expected,
                    "{channel} has {facts:?} instead of {expected:?}"
                );
            }
        }
    }
    Ok(())
}

/// The end of a channel is its last record, in sink and page, and one of its facts.
pub async fn a_completion_is_a_record_and_a_fact(stage: Stage) -> Result<(), String> {
    let (node, other) = stage.two_nodes().await?;
    node.want(&["a", "b"]).await?;
    let mut ledger = Ledger::default();
    for (channel, outcome) in [("a", Outcome::Complete), ("b", Outcome::Failed("ü".into()))] {
        node.publish(&mut ledger, channel, vec![body("x")]).await?;
        let end = Body::Completion(outcome);
        let given = node.publish(&mut ledger, channel, vec![end]).await?[0];
        for reader in [&node, &other] {
            let facts = reader.facts(channel).await?;
            let Some(completion) = facts.completion else {
                return Err(format!("{channel} is completed, and no fact tells"));
            };
            ledger.is(&completion, "the fact")?;
            ensure!(
                facts.last == given,
                "the end is {given}, the last {}",
                facts.last
            );
        }
        let all = read(&*node.plane, channel, 0, u64::MAX).await?;
        ledger.compare(&all.records, &ledger.of(channel), "the page")?;
    }
    node.given(&ledger).await
}

/// A completed channel takes nothing more, on no node; the others do.
pub async fn a_completed_channel_takes_nothing(stage: Stage) -> Result<(), String> {
    let (node, other) = stage.two_nodes().await?;
    node.want(&["a", "b"]).await?;
    let end = || Body::Completion(Outcome::Complete);
    let mut ledger = Ledger::default();
    node.publish(&mut ledger, "a", vec![body("x"), end()])
        .await?;
    for plane in [&node.plane, &other.plane] {
        for bodies in [vec![body("y")], vec![end()], vec![body("y"), end()]] {
            let late = append(&**plane, "a", bodies, wide(), now()).await;
            let refused = matches!(late, Err(AppendError::Completed));
            ensure!(
                refused,
                "an append to a completed channel is answered {late:?}"
            );
        }
    }
    node.publish(&mut ledger, "b", vec![body("z")]).await?;
    node.given(&ledger).await?;
    let all = read(&*node.plane, "a", 0, u64::MAX).await?;
    ledger.compare(&all.records, &ledger.of("a"), "the channel")?;
    let facts = node.plane.facts(&name("a")).await;
    ensure!(
        facts.is_ok_and(|f| f.completion.is_some()),
        "the completion is forgotten"
    );
    Ok(())
}
