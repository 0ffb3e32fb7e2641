//! Turns, and what they come to side by side.

use std::error::Error;

use serde_json::{Value, json};

use super::contestant::Contestant;
use super::spec::{Kind, Outcome, Turn};

/// All turns of one contestant.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Has each contestant take the same turn, so often, by turns: whoever was first in a round is last
/// in the next.
pub(crate) fn run(
    contestants: &mut [Contestant],
    turn: Turn,
    rounds: usize,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows: Vec<Row> = contestants
        .iter()
        .map(|contestant| Row {
            name: contestant.name(),
            kind: contestant.kind,
            outcomes: Vec::new(),
        })
        .collect();
    let count = contestants.len();
    for round in 0..rounds {
        for step in 0..count {
            let index = (step + round) % count;
            rows[index].outcomes.push(contestants[index].take(turn)?);
        }
    }
    Ok(rows)
}

impl Row {
    pub(crate) fn middle(&self, of: impl Fn(&Outcome) -> f64) -> f64 {
        Spread::of(self.outcomes.iter().map(of)).middle
    }

    /// The ratio to another contestant's turn of the same round.
    pub(crate) fn ratio(&self, base: &Self, of: impl Fn(&Outcome) -> f64) -> Spread {
        let pairs = self.outcomes.iter().zip(&base.outcomes);
        Spread::of(pairs.map(|(this, base)| of(this) / of(base)))
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "name": self.name, "turns": self.outcomes })
    }
}

/// The median of some figures, and what most of them lie between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) middle: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// The interval leaves out as many at either end as it may to hold the median with 90 % certainty
    /// or more, whatever the distribution: none of 5 or 7, one of 8 to 10, two of 11 to 12.
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let count = figures.len();
        let left_out = match count {
            0..=7 => 0,
            8..=10 => 1,
            11..=12 => 2,
            _ => count / 2 - (count as f64).sqrt() as usize,
        };
        let middle = (figures[(count - 1) / 2] + figures[count / 2]) / 2.0;
        Self {
            middle,
            low: figures[left_out],
            high: figures[count - 1 - left_out],
        }
    }

    pub(crate) fn text(self) -> String {
        format!("{:.2} [{:.2}–{:.2}]", self.middle, self.low, self.high)
    }
}
