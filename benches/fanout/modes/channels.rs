//! Many channels, with few subscribers each.

use std::error::Error;

use super::{Options, number, row_of};
use crate::fanout::contestant::Contestant;
use crate::fanout::report::{Report, Table};
use crate::fanout::rounds;
use crate::fanout::spec::{Kind, Outcome, Shape, Turn};

pub(super) fn run(options: &Options, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let kinds = options.chosen(&[Kind::Epoll, Kind::Notify, Kind::Sse, Kind::Ws, Kind::WsJson]);
    let shared = Shape {
        sessions: 5_000,
        groups: 1_000,
        channels: 1,
    };
    let own = Shape {
        sessions: 5_000,
        groups: 5_000,
        channels: 20,
    };
    for (shape, events) in options.pick(&[(shared, 200)][..], &[(shared, 200), (own, 500)]) {
        let mut contestants = options.start(&kinds, *shape)?;
        let turn = Turn::Paced {
            ticks: 20.0,
            events: *events,
            seconds: options.pick(0.6, 1.0),
        };
        let rows = rounds::run(&mut contestants, turn, options.pick(3, 7))?;
        let (floor, notify) = (row_of(&rows, Kind::Epoll), row_of(&rows, Kind::Notify));
        let mut table = Table::new(&[
            "server",
            "CPU µs",
            "to notify",
            "to epoll",
            "publish µs p50",
        ]);
        for row in &rows {
            table.push(vec![
                row.name.clone(),
                number(row.middle(Outcome::cpu), 2),
                row.ratio(notify, Outcome::cpu).text(),
                row.ratio(floor, Outcome::cpu).text(),
                number(row.middle(|outcome| outcome.publish_p50 as f64 / 1e3), 2),
            ]);
        }
        let title = format!(
            "Many channels: {} channels, {} subscribers with {} each, a delivery",
            shape.all_channels(),
            shape.sessions,
            shape.channels
        );
        report.add(&title, &table, &rows);
    }
    if options.quick {
        return Ok(());
    }
    memory(own, options, report)
}

/// What an idle channel holds that somebody subscribed to: the same sessions with one and with
/// twenty.
fn memory(many: Shape, options: &Options, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let one = Shape {
        channels: 1,
        ..many
    };
    let mut table = Table::new(&["server", "bytes a channel"]);
    for kind in [Kind::Sse, Kind::Ws] {
        let resident = |shape| {
            let contestant = Contestant::start(kind, shape, options.settings())?;
            contestant.resident_kib()
        };
        let (few, all) = (resident(one)?, resident(many)?);
        let channels = many.all_channels() - one.all_channels();
        let bytes = all.saturating_sub(few) as f64 * 1024.0 / channels as f64;
        table.push(vec![kind.name().to_owned(), number(bytes, 0)]);
    }
    report.add("Memory of a subscribed channel without events", &table, &[]);
    Ok(())
}
