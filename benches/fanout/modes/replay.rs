//! Subscribers that are behind, beside others that are not.

use std::error::Error;

use super::{Options, millis, number};
use crate::fanout::contestant::{Contestant, Settings};
use crate::fanout::report::{Report, Table};
use crate::fanout::rounds::Row;
use crate::fanout::spec::{Kind, Outcome, Shape, Turn};

pub(super) fn run(options: &Options, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let mut table = Table::new(&[
        "server",
        "1000 events/s",
        "CPU µs an event",
        "live p50 ms",
        "beside a replay",
        "live p99 ms",
        "beside a replay",
    ]);
    let mut all = Vec::new();
    let kinds = [Kind::Sse, Kind::Ws, Kind::Stream, Kind::WsJson];
    for kind in &kinds[..options.pick(2, 4)] {
        let kind = *kind;
        if !options.chosen(&[kind]).contains(&kind) {
            continue;
        }
        let settings = Settings {
            retained: Some(BEHIND as usize),
            ..options.settings()
        };
        let mut live = Contestant::start(kind, Shape::one_channel(LIVE), settings)?;
        let mut late = live.second_load()?;
        live.take(Turn::Fill { events: BEHIND })?;
        let rounds = options.pick(2, 7);
        let catch_up = Turn::CatchUp {
            events: BEHIND,
            clients: 20,
        };
        let row = |name: &str| Row {
            name: format!("{}, {name}", kind.name()),
            kind,
            outcomes: Vec::new(),
        };
        let (mut replay, mut alone, mut beside) = (row("replay"), row("alone"), row("beside"));
        let turn = Turn::Paced {
            ticks: 20.0,
            events: 1,
            seconds: 1.0,
        };
        for _ in 0..rounds {
            replay.outcomes.push(late.take(catch_up)?);
            alone.outcomes.push(live.take(turn)?);
            // One replay after the other, for as long as the turn lasts and longer.
            live.begin(turn)?;
            late.take(Turn::CatchUp {
                events: BEHIND,
                clients: 60,
            })?;
            beside.outcomes.push(live.end()?);
        }
        let p50 = |outcome: &Outcome| outcome.latency_p50 as f64;
        let p99 = |outcome: &Outcome| outcome.latency_p99 as f64;
        table.push(vec![
            kind.name().to_owned(),
            number(replay.middle(Outcome::rate) / 1e3, 0),
            number(replay.middle(Outcome::cpu), 3),
            millis(alone.middle(p50)),
            beside.ratio(&alone, p50).text(),
            millis(alone.middle(p99)),
            beside.ratio(&alone, p99).text(),
        ]);
        all.extend([replay, alone, beside]);
    }
    let title = format!("Replay: {BEHIND} events to one who is behind, {LIVE} live subscribers");
    report.add(&title, &table, &all);
    Ok(())
}

const BEHIND: u64 = 10_000;
const LIVE: usize = 200;
