//! Events that wait a moment for others, to be written together.

use std::error::Error;

use super::{Options, millis, number};
use crate::fanout::contestant::{Contestant, Settings};
use crate::fanout::report::{Report, Table};
use crate::fanout::rounds;
use crate::fanout::spec::{Kind, Outcome, Shape, Turn};

pub(super) fn run(options: &Options, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let mut contestants = Vec::new();
    for kind in options.chosen(&[Kind::Sse, Kind::Ws]) {
        for (linger_millis, note) in [(0, ""), (5, "linger 5 ms")] {
            let settings = Settings {
                linger_millis,
                note,
                ..options.settings()
            };
            let shape = Shape::one_channel(200);
            contestants.push(Contestant::start(kind, shape, settings)?);
        }
    }
    let turn = Turn::Paced {
        ticks: 1_000.0,
        events: 1,
        seconds: options.pick(0.6, 1.0),
    };
    let rows = rounds::run(&mut contestants, turn, options.pick(3, 7))?;
    let mut table = Table::new(&["server", "CPU µs", "to none", "p50 ms", "p99 ms"]);
    for pair in rows.chunks(2) {
        for row in pair {
            table.push(vec![
                row.name.clone(),
                number(row.middle(Outcome::cpu), 2),
                row.ratio(&pair[0], Outcome::cpu).text(),
                millis(row.middle(|outcome| outcome.latency_p50 as f64)),
                millis(row.middle(|outcome| outcome.latency_p99 as f64)),
            ]);
        }
    }
    let title = "Linger: 1,000 events a second to 200 subscribers, a delivery";
    report.add(title, &table, &rows);
    Ok(())
}
