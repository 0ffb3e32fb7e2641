//! How cost grows: the ratio to the floor at the same number should not.

use std::error::Error;

use super::{Options, number, row_of};
use crate::fanout::report::{Report, Table};
use crate::fanout::rounds;
use crate::fanout::spec::{Kind, Outcome, Shape, Turn};

pub(super) fn run(options: &Options, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let kinds = options.chosen(&[Kind::Epoll, Kind::Notify, Kind::Sse, Kind::Ws]);
    let mut table = Table::new(&[
        "subscribers",
        "channels each",
        "server",
        "CPU µs",
        "to epoll",
        "to notify",
    ]);
    let mut all = Vec::new();
    for channels in options.pick(&[1][..], &[1, 10, 100]) {
        for sessions in options.pick(&[3_000][..], &[100, 1_000, 9_000]) {
            let shape = Shape {
                channels: *channels,
                ..Shape::one_channel(*sessions)
            };
            let mut contestants = options.start(&kinds, shape)?;
            let turn = Turn::Paced {
                ticks: 10.0,
                events: 1,
                // Few deliveries need longer to be measured.
                seconds: if *sessions < 1_000 { 2.5 } else { 1.0 },
            };
            let rows = rounds::run(&mut contestants, turn, options.pick(3, 5))?;
            let (floor, notify) = (row_of(&rows, Kind::Epoll), row_of(&rows, Kind::Notify));
            for row in &rows {
                table.push(vec![
                    sessions.to_string(),
                    channels.to_string(),
                    row.name.clone(),
                    number(row.middle(Outcome::cpu), 2),
                    row.ratio(floor, Outcome::cpu).text(),
                    row.ratio(notify, Outcome::cpu).text(),
                ]);
            }
            all.extend(rows);
        }
    }
    report.add("Growth: 10 events a second, a delivery", &table, &all);
    Ok(())
}
