//! As fast as it goes: the publisher is so many events ahead of the slowest client.

use std::error::Error;

use super::{Options, number, row_of};
use crate::fanout::report::{Report, Table};
use crate::fanout::rounds;
use crate::fanout::spec::{Kind, Outcome, Shape, Turn};

pub(super) fn run(options: &Options, report: &mut Report) -> Result<(), Box<dyn Error>> {
    for sessions in options.pick(&[1_000][..], &[1_000, 5_000]) {
        let kinds: Vec<Kind> = options
            .chosen(&Kind::ALL)
            .into_iter()
            .filter(|kind| *kind != Kind::Poll)
            .collect();
        for window in options.pick(&[64][..], &[16, 64]) {
            // Anew, as floors that write sixteen at a time count from zero.
            let mut contestants = options.start(&kinds, Shape::one_channel(*sessions))?;
            let turn = Turn::Flat {
                window: *window,
                seconds: options.pick(0.5, 0.8),
            };
            let rows = rounds::run(&mut contestants, turn, options.pick(3, 5))?;
            let notify = row_of(&rows, Kind::Notify);
            let gathered = row_of(&rows, Kind::Epoll16);
            let mut table = Table::new(&[
                "server",
                "1000/s",
                "to notify",
                "to epoll, 16",
                "CPU µs",
                "to notify",
                "client CPU µs",
            ]);
            for row in &rows {
                table.push(vec![
                    row.name.clone(),
                    number(row.middle(Outcome::rate) / 1e3, 0),
                    row.ratio(notify, Outcome::rate).text(),
                    row.ratio(gathered, Outcome::rate).text(),
                    number(row.middle(Outcome::cpu), 3),
                    row.ratio(notify, Outcome::cpu).text(),
                    number(row.middle(Outcome::client_cpu), 3),
                ]);
            }
            let title =
                format!("Flat out: {window} events ahead of the slowest of {sessions} subscribers");
            report.add(&title, &table, &rows);
        }
    }
    Ok(())
}
