//! A process's resident memory.

use std::fs;
use std::io;

/// What a process holds, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// All that is resident.
    pub(crate) resident: u64,
    /// What is resident and its own: the heap and the stacks, not the program's text.
    pub(crate) private: u64,
}

impl Memory {
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let field = |name| {
            rollup
                .lines()
                .find_map(|line| line.strip_prefix(name)?.split_whitespace().next())
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| io::Error::other(format!("smaps_rollup lacks {name}")))
        };
        Ok(Self {
            resident: field("Rss:")?,
            private: field("Private_Dirty:")?,
        })
    }
}
