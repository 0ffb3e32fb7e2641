//! Twenty events a second: what one event costs that comes alone, and how soon it is there.

use std::error::Error;

use super::{Options, millis, number, row_of};
use crate::fanout::report::{Report, Table};
use crate::fanout::rounds;
use crate::fanout::spec::{Kind, Outcome, Shape, Turn};

pub(super) fn run(options: &Options, report: &mut Report) -> Result<(), Box<dyn Error>> {
    for sessions in options.pick(&[1_000][..], &[1_000, 5_000]) {
        let kinds: Vec<Kind> = options
            .chosen(&Kind::ALL)
            .into_iter()
            .filter(|kind| *kind != Kind::Epoll16)
            .filter(|kind| *kind != Kind::Poll || *sessions <= 1_000)
            .collect();
        let mut contestants = options.start(&kinds, Shape::one_channel(*sessions))?;
        let turn = Turn::Paced {
            ticks: 20.0,
            events: 1,
            seconds: options.pick(0.6, 1.0),
        };
        let rows = rounds::run(&mut contestants, turn, options.pick(3, 9))?;
        let (floor, notify) = (row_of(&rows, Kind::Epoll), row_of(&rows, Kind::Notify));
        let mut table = Table::new(&[
            "server",
            "CPU µs",
            "to notify",
            "to epoll",
            "p50 ms",
            "to notify",
            "p99 ms",
            "to notify",
            "publish µs p50",
            "p99",
            "client CPU µs",
        ]);
        for row in &rows {
            let p50 = |outcome: &Outcome| outcome.latency_p50 as f64;
            let p99 = |outcome: &Outcome| outcome.latency_p99 as f64;
            table.push(vec![
                row.name.clone(),
                number(row.middle(Outcome::cpu), 2),
                row.ratio(notify, Outcome::cpu).text(),
                row.ratio(floor, Outcome::cpu).text(),
                millis(row.middle(p50)),
                row.ratio(notify, p50).text(),
                millis(row.middle(p99)),
                row.ratio(notify, p99).text(),
                number(row.middle(|outcome| outcome.publish_p50 as f64 / 1e3), 1),
                number(row.middle(|outcome| outcome.publish_p99 as f64 / 1e3), 1),
                number(row.middle(Outcome::client_cpu), 2),
            ]);
        }
        let title = format!("Paced: 20 events a second to {sessions} subscribers, a delivery");
        report.add(&title, &table, &rows);
    }
    Ok(())
}
