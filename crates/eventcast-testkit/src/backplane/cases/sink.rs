//! What a sink is given.

use std::sync::Arc;

use bytes::Bytes;
use eventcast_core::{Backplane, Sink};

use super::super::ledger::Ledger;
use super::super::node::{Node, body, name};
use super::super::pages::read;
use super::super::stage::Stage;
use super::{joined, publish};
use crate::sink::RecordedSink;
use crate::verdict::ensure;

/// Everything that is acknowledged, once, in the order of sequences.
pub async fn the_sink_is_given_every_record_once_in_order(stage: Stage) -> Result<(), String> {
    let node = stage.node().await?;
    node.want(&["a", "b", "c"]).await?;
    let tasks = ["one", "two", "three", "four"];
    let tasks = tasks.map(|tag| publish(&node.plane, tag, &["a", "b", "c"], 60, 2));
    let ledger = joined(tasks.into()).await?;
    node.given(&ledger).await
}

/// Those that another node appends too, and both nodes in the same order.
pub async fn the_sink_is_given_the_records_of_other_nodes(stage: Stage) -> Result<(), String> {
    let (one, other) = stage.two_nodes().await?;
    one.want(&["a", "b"]).await?;
    other.want(&["a", "b"]).await?;
    let tasks = vec![
        publish(&one.plane, "one", &["a", "b"], 60, 1),
        publish(&other.plane, "other", &["b", "a"], 60, 2),
    ];
    let ledger = joined(tasks).await?;
    one.given(&ledger).await?;
    other.given(&ledger).await
}

/// A record that is in a sink is in the pages of every node.
pub async fn what_is_seen_is_stored(stage: Stage) -> Result<(), String> {
    let (node, reader) = stage.two_nodes().await?;
    node.want(&["a"]).await?;
    let mut publishing = publish(&node.plane, "one", &["a"], 100, 1);
    let mut seen = node.attached.committed;
    for _ in 0..30 {
        let more = node.sink.until_reached(seen + 1);
        tokio::select! {
            biased;
            more = stage.soon("the sink is given more", more) => more?,
            published = &mut publishing => {
                published.map_err(|error| error.to_string())??;
                return Ok(());
            }
        }
        seen = node.sink.sequences().pop().unwrap_or(seen);
        let page = read(&*reader.plane, "a", seen - 1, seen).await?;
        ensure!(
            page.sequences() == [seen],
            "the sink has {seen}, and no page does"
        );
    }
    publishing.await.map_err(|error| error.to_string())??;
    Ok(())
}

/// While others append: what is at or below the position of the attachment is in pages, what is
/// above it is given, nothing is missing and nothing is in both.
pub async fn attaching_joins_pages_and_sink_exactly(stage: Stage) -> Result<(), String> {
    for round in 0..5 {
        let stage = Stage::open(Arc::clone(&stage.harness)).await?;
        let joining = stage.unattached().await?;
        let publisher: Arc<dyn Backplane> = if stage.has(super::super::Need::Shared) {
            let publisher = stage.node().await?;
            publisher.text("a", "before").await?;
            publisher.plane
        } else {
            Arc::clone(&joining)
        };
        for channel in ["a", "b"] {
            let wanted = joining.want(&name(channel), true).await;
            wanted.map_err(|error| format!("{error:?}"))?;
        }
        let tasks = ["one", "two"].map(|tag| publish(&publisher, tag, &["a", "b"], 60, 2));
        for _ in 0..round * 20 {
            tokio::task::yield_now().await;
        }
        let node = Node::attach(joining, stage.harness.patience()).await?;
        let mut ledger = joined(tasks.into()).await?;
        node.publish(&mut ledger, "a", vec![body("after")]).await?;
        let committed = node.attached.committed;
        let reached = node.sink.until_reached(ledger.last());
        stage.soon("the sink is given all", reached).await?;
        node.sink.check()?;
        let given = node.sink.sequences();
        ensure!(
            given.first().is_none_or(|first| *first > committed),
            "attached at {committed}, the sink is given {given:?}"
        );
        let mut all = given;
        for channel in ["a", "b"] {
            all.extend(read(&*node.plane, channel, 0, committed).await?.sequences());
        }
        all.sort_unstable();
        let missing = ledger.after(0).into_iter().find(|s| !all.contains(s));
        if let Some(missing) = missing {
            return Err(format!("attached at {committed}, {missing} is nowhere"));
        }
        ensure!(
            all.is_sorted_by(|a, b| a < b),
            "attached at {committed}, one comes twice: {all:?}"
        );
    }
    Ok(())
}

/// `want` answers from where on all of the channel is given; what is before is in pages. What
/// nobody wants may be left out, and the watermark goes past it.
pub async fn want_tells_from_where_all_is_given(stage: Stage) -> Result<(), String> {
    let (node, other) = stage.two_nodes().await?;
    let publishing = publish(&other.plane, "one", &["a", "b"], 80, 1);
    tokio::task::yield_now().await;
    let from = node.plane.want(&name("a"), true).await;
    let from = from.map_err(|error| format!("{error:?}"))?;
    let mut ledger = publishing.await.map_err(|error| error.to_string())??;
    node.publish(&mut ledger, "a", vec![body("wanted")]).await?;
    node.publish(&mut ledger, "b", vec![body("not wanted")])
        .await?;
    let passed = node.sink.until_reached(ledger.last());
    stage
        .soon("the watermark passes what nobody wants", passed)
        .await?;
    node.sink.check()?;
    let given = node.sink.sequences();
    let wanted = ledger.of("a").into_iter().filter(|s| *s > from);
    let missing = wanted.into_iter().find(|s| !given.contains(s));
    ensure!(
        missing.is_none(),
        "wanted from {from}, {missing:?} is not given: {given:?}"
    );
    let unwanted = node.plane.want(&name("a"), false).await;
    unwanted.map_err(|error| format!("{error:?}"))?;
    Ok(())
}

/// A node that is closed gives its sink nothing more and lets go of it.
pub async fn closing_lets_go_of_the_sink(stage: Stage) -> Result<(), String> {
    let plane = stage.unattached().await?;
    let sink = Arc::new(RecordedSink::new());
    let attached = plane.attach(Arc::clone(&sink) as Arc<dyn Sink>).await;
    attached.map_err(|error| format!("{error:?}"))?;
    let node = Node::attach(Arc::clone(&plane), stage.harness.patience()).await;
    ensure!(node.is_err(), "two sinks are attached to one node");
    let closed = plane.close().await;
    closed.map_err(|error| format!("a node cannot be closed: {error:?}"))?;
    let held = Arc::strong_count(&sink) - 1;
    ensure!(held == 0, "a closed node still holds its sink");
    let appended = super::super::node::append(
        &*plane,
        "a",
        vec![body("late")],
        super::super::node::wide(),
        super::super::stage::now(),
    );
    let appended = stage
        .soon("an append to a closed node is answered", appended)
        .await?;
    ensure!(appended.is_err(), "a closed node takes an append");
    Ok(())
}

/// A message reaches every other node once, and not its own.
pub async fn broadcasts_reach_the_other_nodes_only(stage: Stage) -> Result<(), String> {
    let (one, other) = stage.two_nodes().await?;
    let third = stage.node().await?;
    let hello = Bytes::from_static(b"hello \0\xff");
    let back = Bytes::from_static(b"back");
    for (from, message) in [(&one.plane, &hello), (&other.plane, &back)] {
        let sent = from.broadcast(message.clone()).await;
        sent.map_err(|error| format!("no broadcast: {error:?}"))?;
    }
    let two = |sink: &RecordedSink| sink.messages().len() >= 2;
    stage
        .soon("both messages reach a third node", third.sink.until(two))
        .await?;
    let some = |sink: &RecordedSink| !sink.messages().is_empty();
    stage
        .soon("a message reaches the other node", other.sink.until(some))
        .await?;
    stage
        .soon("a message comes back", one.sink.until(some))
        .await?;
    // Whatever else was on its way is there after a record that follows it.
    let mut ledger = Ledger::default();
    one.want(&["a"]).await?;
    other.want(&["a"]).await?;
    other.publish(&mut ledger, "a", vec![body("x")]).await?;
    one.given(&ledger).await?;
    let (at_one, at_other) = (one.sink.messages(), other.sink.messages());
    ensure!(at_one == [back], "the first node is given {at_one:?}");
    ensure!(at_other == [hello], "the other node is given {at_other:?}");
    Ok(())
}
