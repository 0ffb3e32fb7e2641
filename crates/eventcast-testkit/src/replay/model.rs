//! Random operations, compared with a plain deque.

use std::collections::VecDeque;

use eventcast_core::ReplayBuffer;

use super::events::{event, is};
use crate::verdict::ensure;

/// Thousands of operations from one seed.
pub(super) fn run(buffer: &mut impl ReplayBuffer, seed: u64) -> Result<(), String> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut model = VecDeque::new();
    let mut sequence = 0;
    for step in 0..2_000 {
        // Pushes prevail, then pops: the buffer fills and drains by turns.
        let filling = step / 250 % 2 == 0;
        if random.below(10) < if filling { 7 } else { 3 } {
            sequence += 1 + random.below(4).pow(6);
            buffer.push(event(sequence));
            model.push_back(sequence);
        } else {
            is(buffer.pop(), model.pop_front(), "pop()")
                .map_err(|found| format!("seed {seed}, step {step}: {found}"))?;
        }
        compare(buffer, &model, &mut random, sequence)
            .map_err(|found| format!("seed {seed}, step {step}: {found}"))?;
    }
    Ok(())
}

fn compare(
    buffer: &impl ReplayBuffer,
    model: &VecDeque<u64>,
    random: &mut Random,
    last: u64,
) -> Result<(), String> {
    let length = buffer.len();
    ensure!(
        length == model.len(),
        "len() is {length} instead of {}",
        model.len()
    );
    for index in [0, random.below(length as u64 + 1) as usize, length] {
        let expected = model.get(index).copied();
        is(buffer.get(index), expected, &format!("get({index})"))?;
    }
    let probe = random.below(last + 2);
    let (rank, expected) = (
        buffer.rank(probe),
        model.partition_point(|sequence| *sequence <= probe),
    );
    ensure!(
        rank == expected,
        "rank({probe}) is {rank} instead of {expected}"
    );
    Ok(())
}

/// Marsaglia's xorshift: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
