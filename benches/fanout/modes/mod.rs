//! What is asked of the contestants.

mod channels;
mod flat;
mod growth;
mod linger;
mod metrics;
mod paced;
mod replay;

use std::error::Error;

use super::contestant::{Contestant, Settings};
use super::report::Report;
use super::rounds::Row;
use super::spec::{Kind, Shape};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Twenty events a second.
    Paced,
    /// As fast as the slowest client takes them.
    Flat,
    /// The same work with ever more subscribers.
    Growth,
    /// Many channels, with few subscribers each.
    Channels,
    /// Subscribers that are behind.
    Replay,
    /// Events that wait a moment for others.
    Linger,
    /// With and without a recorder of metrics.
    Metrics,
}

impl Mode {
    pub(crate) const ALL: [Self; 7] = [
        Self::Paced,
        Self::Flat,
        Self::Growth,
        Self::Channels,
        Self::Replay,
        Self::Linger,
        Self::Metrics,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Paced => "paced",
            Self::Flat => "flat",
            Self::Growth => "growth",
            Self::Channels => "channels",
            Self::Replay => "replay",
            Self::Linger => "linger",
            Self::Metrics => "metrics",
        }
    }

    pub(crate) fn run(self, options: &Options, report: &mut Report) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Paced => paced::run(options, report),
            Self::Flat => flat::run(options, report),
            Self::Growth => growth::run(options, report),
            Self::Channels => channels::run(options, report),
            Self::Replay => replay::run(options, report),
            Self::Linger => linger::run(options, report),
            Self::Metrics => metrics::run(options, report),
        }
    }
}

/// What was asked for on the command line.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    /// The threads of a tokio server's runtime.
    pub(crate) workers: usize,
    pub(crate) modes: Vec<Mode>,
    /// Only these, if any.
    pub(crate) kinds: Vec<Kind>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quick: false,
            workers: 2,
            modes: Vec::new(),
            kinds: Vec::new(),
        }
    }
}

impl Options {
    fn start(&self, kinds: &[Kind], shape: Shape) -> Result<Vec<Contestant>, Box<dyn Error>> {
        kinds
            .iter()
            .map(|kind| Contestant::start(*kind, shape, self.settings()))
            .collect()
    }

    fn settings(&self) -> Settings {
        Settings {
            workers: self.workers,
            retained: None,
            linger_millis: 0,
            prometheus: false,
            note: "",
        }
    }

    /// Of these servers, those that were asked for, and the floors.
    fn chosen(&self, kinds: &[Kind]) -> Vec<Kind> {
        let is_floor = |kind| matches!(kind, Kind::Epoll | Kind::Epoll16 | Kind::Notify);
        let is_asked = |kind| self.kinds.is_empty() || self.kinds.contains(&kind);
        let kinds = kinds.iter().copied();
        kinds
            .filter(|kind| is_floor(*kind) || is_asked(*kind))
            .collect()
    }

    /// One figure for a run of two minutes, another for a whole one.
    fn pick<T>(&self, quick: T, whole: T) -> T {
        if self.quick { quick } else { whole }
    }
}

fn row_of(rows: &[Row], kind: Kind) -> &Row {
    let row = rows.iter().find(|row| row.kind == kind);
    row.expect("the floors are always there")
}

fn number(value: f64, digits: usize) -> String {
    format!("{value:.digits$}")
}

/// Nanoseconds as milliseconds.
fn millis(nanos: f64) -> String {
    format!("{:.2}", nanos / 1e6)
}
