//! What it costs to count: the same server with and without a Prometheus recorder.

use std::error::Error;

use super::{Options, number};
use crate::fanout::contestant::{Contestant, Settings};
use crate::fanout::report::{Report, Table};
use crate::fanout::rounds;
use crate::fanout::spec::{Kind, Outcome, Shape, Turn};

pub(super) fn run(options: &Options, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let mut contestants = Vec::new();
    for kind in options.chosen(&[Kind::Notify, Kind::Sse, Kind::Ws]) {
        for (prometheus, note) in [(false, ""), (true, "Prometheus")] {
            if prometheus && (kind == Kind::Notify || !cfg!(feature = "metrics")) {
                continue;
            }
            let settings = Settings {
                prometheus,
                note,
                ..options.settings()
            };
            let shape = Shape::one_channel(1_000);
            contestants.push(Contestant::start(kind, shape, settings)?);
        }
    }
    let paced = Turn::Paced {
        ticks: 20.0,
        events: 1,
        seconds: options.pick(0.6, 1.0),
    };
    let flat = Turn::Flat {
        window: 64,
        seconds: options.pick(0.5, 0.8),
    };
    for (turn, title) in [(paced, "20 events a second"), (flat, "flat out")] {
        let rows = rounds::run(&mut contestants, turn, options.pick(3, 9))?;
        let mut table = Table::new(&["server", "CPU µs", "to notify", "to none"]);
        for row in &rows {
            let without = rows.iter().find(|other| other.kind == row.kind);
            table.push(vec![
                row.name.clone(),
                number(row.middle(Outcome::cpu), 3),
                row.ratio(&rows[0], Outcome::cpu).text(),
                row.ratio(without.unwrap_or(row), Outcome::cpu).text(),
            ]);
        }
        let counted = if cfg!(feature = "metrics") {
            "with the feature"
        } else {
            "without the feature"
        };
        let title = format!("Metrics, {counted}: {title} to 1,000 subscribers, a delivery");
        report.add(&title, &table, &rows);
    }
    Ok(())
}
