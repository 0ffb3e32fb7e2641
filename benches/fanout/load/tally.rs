//! What came, and whether it is what was to come.

use hdrhistogram::Histogram;

use crate::fanout::control::LONGEST;
use crate::fanout::spec::Shape;
use crate::fanout::system::now;

pub(crate) struct Tally {
    shape: Shape,
    /// The number of each session's next event.
    next: Vec<u64>,
    /// How many sessions have which number next, for shapes of one group.
    at: Vec<u32>,
    slowest: u64,
    pub(crate) received: u64,
    pub(crate) expected: u64,
    pub(crate) latency: Histogram<u64>,
    pub(crate) error: Option<String>,
    now: u64,
}

impl Tally {
    pub(crate) fn new(shape: Shape) -> Self {
        let mut at = vec![0; AHEAD];
        at[0] = shape.sessions as u32;
        Self {
            next: (0..shape.sessions)
                .map(|s| (s % shape.groups) as u64)
                .collect(),
            shape,
            at,
            slowest: 0,
            received: 0,
            expected: 0,
            latency: Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order"),
            error: None,
            now: 0,
        }
    }

    /// Events are published up to this number.
    pub(crate) fn expect(&mut self, asked: u64) {
        self.expected = asked * self.shape.audience();
    }

    /// Something was read, just now.
    pub(crate) fn note_time(&mut self) {
        self.now = now();
    }

    /// An event has come to a session.
    pub(crate) fn note(&mut self, session: usize, number: u64, time: u64) {
        let next = &mut self.next[session];
        if number != *next {
            let (was, due) = (number, *next);
            self.error
                .get_or_insert_with(|| format!("session {session} got {was}, {due} was due"));
            return;
        }
        *next += self.shape.groups as u64;
        self.received += 1;
        self.latency
            .saturating_record(self.now.saturating_sub(time));
        if self.shape.groups == 1 {
            self.at[number as usize % AHEAD] -= 1;
            self.at[(number + 1) as usize % AHEAD] += 1;
            while self.at[self.slowest as usize % AHEAD] == 0 {
                self.slowest += 1;
            }
        }
    }

    /// How many events everybody has.
    pub(crate) fn slowest(&self) -> u64 {
        self.slowest
    }
}

/// More than anybody is ever ahead of the slowest.
const AHEAD: usize = 1 << 14;
