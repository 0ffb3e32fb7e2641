//! How the drain went, and whether it was one.

use std::fmt;
use std::time::{Duration, Instant};

use crate::client::{Outcome, Transport};

pub(crate) struct Report {
    window: Duration,
    ended: Duration,
    clients: usize,
    events: usize,
    by_transport: Vec<(Transport, usize)>,
    /// Without polls, which are told when they ask again, and are spread by `retry` alone.
    left: Histogram,
    back: Histogram,
}

/// How many fell into each tenth of the window.
struct Histogram {
    bucket: Duration,
    counts: Vec<usize>,
}

impl Report {
    pub(crate) fn new(
        begin: Instant,
        window: Duration,
        ended: Duration,
        outcomes: &[Outcome],
    ) -> Self {
        let after = |moment: Instant| moment.saturating_duration_since(begin);
        let count = |kind| outcomes.iter().filter(|it| it.transport == kind).count();
        Self {
            window,
            ended,
            clients: outcomes.len(),
            events: outcomes.iter().map(Outcome::events).sum(),
            by_transport: Transport::ALL.map(|kind| (kind, count(kind))).to_vec(),
            left: Histogram::new(
                window,
                outcomes
                    .iter()
                    .filter(|it| it.transport != Transport::Poll)
                    .map(|it| after(it.left)),
            ),
            back: Histogram::new(window, outcomes.iter().map(|it| after(it.back))),
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        println!("{self}");
        let limit = self.window + GRACE;
        if self.ended > limit {
            return Err(format!(
                "the hub took {:?}, {limit:?} are allowed",
                self.ended
            ));
        }
        for (what, histogram) in [("ends", &self.left), ("reconnects", &self.back)] {
            let most = histogram.counts.iter().max().copied().unwrap_or_default();
            // Even would be a tenth.
            let all: usize = histogram.counts.iter().sum();
            if most * 4 > all && !self.window.is_zero() {
                return Err(format!("{most} {what} in a tenth of the window"));
            }
        }
        Ok(())
    }
}

impl Histogram {
    fn new(window: Duration, moments: impl Iterator<Item = Duration>) -> Self {
        let bucket = (window / 10).max(Duration::from_millis(100));
        let mut counts = Vec::new();
        for moment in moments {
            let place = (moment.as_nanos() / bucket.as_nanos()) as usize;
            counts.resize(counts.len().max(place + 1), 0);
            counts[place] += 1;
        }
        Self { bucket, counts }
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.counts.iter().max().copied().unwrap_or(1).max(1);
        for (place, count) in self.counts.iter().enumerate() {
            let from = (self.bucket * place as u32).as_secs_f64();
            let bar = "#".repeat(count * 40 / most);
            writeln!(f, "  {from:>6.1} s {count:>6}  {bar}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "streams and WebSockets ended, by time after SIGTERM:\n{}",
            self.left
        )?;
        writeln!(f, "all clients back at the second hub:\n{}", self.back)?;
        let (window, ended) = (self.window.as_secs_f64(), self.ended.as_secs_f64());
        write!(
            f,
            "drain: clients={} window={window:.1} exit={ended:.2} events={}",
            self.clients, self.events
        )?;
        for (transport, count) in &self.by_transport {
            write!(f, " {transport:?}={count}")?;
        }
        Ok(())
    }
}

/// What a shutdown may take after its window.
const GRACE: Duration = Duration::from_secs(10);
