//! A hub to publish to, and what became of it on the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eventcast_core::{
    Clock, Delivery, Event, Hub, HubConfig, Position, Retention, Sleep, Start, Timer, Timestamp,
};
use tokio::time::Instant;

use super::check::shown;
use super::harness::{Capabilities, Capability};
use super::seen::Seen;
use super::sessions::Seat;
use crate::ledger::{Ledger, Observer};
use crate::reader::drain;
use crate::verdict::ensure;

/// A channel that is only ever subscribed to: it exists as long as its session does.
const WITNESS: &str = "witness";

pub(super) struct Stage {
    pub(super) hub: Hub,
    ledger: Ledger,
    /// Every payload is another: what it was published as.
    published: BTreeMap<Vec<u8>, (Position, String)>,
    channels: BTreeSet<String>,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::keeping(100_000)
    }

    /// With so many events retained a channel.
    pub(super) fn keeping(count: usize) -> Self {
        let retention = Retention::new().with_count(count).with_bytes(64 << 20);
        Self::with_hub(Hub::with_config(HubConfig::new().with_retention(retention)))
    }

    /// In simulated time, with drivers, and with events that soon are too old.
    pub(super) fn aging(age: Duration, collect_after: Duration) -> Self {
        let config = HubConfig::new()
            .with_retention(Retention::new().with_age(age))
            .with_collect_after(collect_after)
            .with_clock(SimulatedClock(Instant::now()));
        let hub = Hub::with_config(config);
        for driver in hub.drivers(SimulatedTimer) {
            tokio::spawn(driver);
        }
        Self::with_hub(hub)
    }

    fn with_hub(hub: Hub) -> Self {
        Self {
            hub,
            ledger: Ledger::new(),
            published: BTreeMap::new(),
            channels: BTreeSet::new(),
        }
    }

    pub(super) fn publish(&mut self, channel: &str, event: Event) -> Result<Position, String> {
        let payload = event.payload().as_bytes().to_vec();
        let id = self.hub.try_publish(channel, event);
        let id = id.map_err(|error| error.to_string())?;
        self.ledger.published(channel, id.sequence());
        self.published.insert(payload, (id, channel.to_owned()));
        self.channels.insert(channel.to_owned());
        Ok(id)
    }

    /// Publishes so many short texts, to these channels in turn.
    pub(super) fn publish_many(&mut self, channels: &[&str], count: usize) -> Result<(), String> {
        for channel in channels.iter().cycle().take(count) {
            let number = self.published.len();
            self.publish(channel, Event::text(format!("event {number}")))?;
        }
        Ok(())
    }

    pub(super) fn session(&self, channels: &[&str], start: Start) -> Result<Seat, String> {
        let builder = self.hub.session().start(start);
        let builder = channels.iter().fold(builder, |b, name| b.channel(*name));
        let session = builder.open().map_err(|error| error.to_string())?;
        // Who begins live later begins where this one did.
        let begins = session.opening().position.filter(|_| start == Start::Live);
        let id = begins.map(|id| id.to_string());
        Ok(Seat::new(&self.hub, channels, session, id))
    }

    pub(super) fn resume(&self, channels: &[&str], id: &str) -> Result<Seat, String> {
        let builder = self.hub.session().resume(id);
        let builder = channels.iter().fold(builder, |b, name| b.channel(*name));
        let session = builder.open().map_err(|error| error.to_string())?;
        let id = Some(id.to_owned());
        Ok(Seat::new(&self.hub, channels, session, id))
    }

    /// A live session of one channel that [`dropped`](Self::dropped) can tell about.
    pub(super) fn watched_session(&self, channel: &str) -> Result<Seat, String> {
        self.session(&[channel, WITNESS], Start::Live)
    }

    /// Whether the watched session is gone.
    pub(super) fn dropped(&self) -> Result<(), String> {
        let channels = self.hub.stats().channels;
        ensure!(
            channels == self.channels.len(),
            "the connection is over but its session is not dropped"
        );
        Ok(())
    }

    pub(super) fn check(&self, watcher: &Watcher) -> Result<(), String> {
        let checked = watcher.observer.check(&self.ledger);
        checked.map_err(|violation| format!("{violation:?}"))
    }
}

/// The runtime's time, which is simulated.
struct SimulatedClock(Instant);

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000 + self.0.elapsed().as_millis() as u64)
    }
}

struct SimulatedTimer;

impl Timer for SimulatedTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// One client over any number of connections.
pub(super) struct Watcher {
    pub(super) observer: Observer,
    capabilities: Capabilities,
    /// What it would resume with.
    pub(super) last_id: Option<String>,
}

impl Watcher {
    pub(super) fn new(channels: &[&str], start: u64, capabilities: Capabilities) -> Self {
        Self {
            observer: Observer::new(channels.iter().copied(), start),
            capabilities,
            last_id: None,
        }
    }

    pub(super) fn see(&mut self, seen: &[Seen], stage: &Stage) -> Result<(), String> {
        seen.iter().try_for_each(|seen| self.see_one(seen, stage))
    }

    fn see_one(&mut self, seen: &Seen, stage: &Stage) -> Result<(), String> {
        let id = seen.id().map(sequence).transpose()?;
        match seen {
            Seen::Event(event) => {
                let published = stage.published.get(&event.payload);
                let (position, channel) = published.ok_or_else(|| {
                    let payload = shown(&event.payload);
                    format!("an event comes that was never published: {payload:?}")
                })?;
                if self.capabilities.has(Capability::Ids) {
                    let (told, expected) = (event.id.as_deref(), position.to_string());
                    ensure!(
                        told == Some(&expected),
                        "event {expected} comes with the id {told:?}"
                    );
                }
                self.observer.event(channel, position.sequence());
            }
            Seen::Gap {
                channel, missed, ..
            } => {
                let channel = channel
                    .as_deref()
                    .ok_or("a gap does not tell its channel")?;
                self.observer.gap(channel, *missed, id);
            }
            _ => {
                if let Some(id) = id {
                    self.observer.id(id);
                }
            }
        }
        if let Some(id) = seen.id() {
            self.last_id = Some(id.to_owned());
        }
        Ok(())
    }
}

fn sequence(id: &str) -> Result<u64, String> {
    let id: Position = id.parse().map_err(|error| format!("{id:?}: {error}"))?;
    Ok(id.sequence())
}

/// What a twin of the connection's session has: what the wire has to bring.
pub(super) fn twin(mut seat: Seat) -> Vec<Delivery> {
    drain(&mut seat.session)
}
