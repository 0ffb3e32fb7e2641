//! A node with its sink, and what is asked of it.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{
    Append, AppendError, Attached, Backplane, Body, ChannelFacts, ChannelName, Event, Position,
    Retention, Sink, Timestamp,
};

use super::ledger::Ledger;
use super::stage::{now, soon};
use crate::sink::RecordedSink;
use crate::verdict::ensure;

pub(super) struct Node {
    pub(super) plane: Arc<dyn Backplane>,
    pub(super) sink: Arc<RecordedSink>,
    pub(super) attached: Attached,
    patience: Duration,
}

impl Node {
    pub(super) async fn attach(
        plane: Arc<dyn Backplane>,
        patience: Duration,
    ) -> Result<Self, String> {
        let sink = Arc::new(RecordedSink::new());
        let attached = plane.attach(Arc::clone(&sink) as Arc<dyn Sink>).await;
        let attached = attached.map_err(|error| format!("nothing can be attached: {error:?}"))?;
        Ok(Self {
            plane,
            sink,
            attached,
            patience,
        })
    }

    /// Says that all of these channels are wanted here.
    pub(super) async fn want(&self, channels: &[&str]) -> Result<(), String> {
        for channel in channels {
            let wanted = self.plane.want(&name(channel), true).await;
            wanted.map_err(|error| format!("{channel} cannot be wanted: {error:?}"))?;
        }
        Ok(())
    }

    /// Appends, and has the ledger note it.
    pub(super) async fn publish(
        &self,
        ledger: &mut Ledger,
        channel: &str,
        bodies: Vec<Body>,
    ) -> Result<Vec<u64>, String> {
        ledger.publish(&*self.plane, channel, bodies, wide()).await
    }

    /// One text.
    pub(super) async fn text(&self, channel: &str, text: &str) -> Result<u64, String> {
        let appended = append(&*self.plane, channel, vec![body(text)], wide(), now()).await;
        Ok(appended.map_err(|error| refused(channel, &error))?[0].sequence())
    }

    pub(super) async fn facts(&self, channel: &str) -> Result<ChannelFacts, String> {
        let facts = self.plane.facts(&name(channel)).await;
        facts.map_err(|error| format!("no facts of {channel}: {error:?}"))
    }

    pub(super) async fn maintain(&self) -> Result<(), String> {
        let maintained = self.plane.maintain(now()).await;
        maintained.map_err(|error| format!("maintenance fails: {error:?}"))
    }

    /// Waits until the sink has all of the ledger, and compares.
    pub(super) async fn given(&self, ledger: &Ledger) -> Result<(), String> {
        let last = ledger.last();
        let reached = self.sink.until_reached(last);
        let what = format!("the sink is given everything up to {last}");
        if let Err(late) = soon(self.patience, &what, reached).await {
            self.sink.check()?;
            return Err(format!("{late}; it has {:?}", self.sink.sequences()));
        }
        self.sink.check()?;
        let given = self.sink.records();
        let expected = ledger.after(self.attached.committed);
        ledger.compare(&given, &expected, "the sink")
    }
}

/// Appends to one channel.
pub(super) async fn append(
    plane: &dyn Backplane,
    channel: &str,
    bodies: Vec<Body>,
    retention: Retention,
    time: Timestamp,
) -> Result<Vec<Position>, AppendError> {
    let append = Append {
        channel: name(channel),
        bodies,
        retention,
        time,
    };
    plane.append(append).await
}

/// Checks that what an attachment tells fits together.
pub(super) fn is_sound(attached: &Attached) -> Result<(), String> {
    ensure!(
        attached.floor <= attached.committed,
        "the floor {} is above what is committed, {}",
        attached.floor,
        attached.committed
    );
    Ok(())
}

pub(super) fn refused(channel: &str, error: &AppendError) -> String {
    format!("an append to {channel} fails: {error:?}")
}

pub(super) fn name(channel: &str) -> ChannelName {
    ChannelName::new(channel).expect("the kit's names are valid")
}

pub(super) fn body(text: &str) -> Body {
    Body::Event(Event::text(text))
}

pub(super) fn keyed(text: &str, key: &str) -> Body {
    let event = Event::text(text).with_idempotency_key(key);
    Body::Event(event.expect("the kit's keys are valid"))
}

/// A retention that removes nothing of what a case publishes.
pub(super) fn wide() -> Retention {
    Retention::new()
        .with_count(1_000_000)
        .with_bytes(1 << 32)
        .with_age(Duration::from_secs(86_400))
}
