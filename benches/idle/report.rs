//! The figures, for people and for programs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::memory::Memory;
use crate::run::{RECONNECTS, Run};
use crate::serve::{BURST, PAYLOAD};

/// The table, in KiB per session.
pub(crate) fn table(sessions: usize, runs: &[Run]) -> String {
    let mut text = format!(
        "Memory of a server with {sessions} sessions, KiB per session.\n\
         Burst: {BURST} events of {PAYLOAD} bytes to each, all read. Reconnected: all closed and opened \
         {RECONNECTS} times.\nIn brackets: private memory only.\n\n\
         | transport         | idle          | after a burst | all closed    | reconnected   |\n\
         |-------------------|---------------|---------------|---------------|---------------|\n"
    );
    for run in runs {
        let cell = |memory: Memory| {
            let share = Share::of(run, memory, sessions);
            format!("{:.1} ({:.1})", share.resident, share.private)
        };
        text.push_str(&format!(
            "| {:<17} | {:<13} | {:<13} | {:<13} | {:<13} |\n",
            run.kind.name(),
            cell(run.idle),
            cell(run.after_burst),
            cell(run.closed),
            cell(run.reconnected)
        ));
    }
    text
}

/// Writes the figures to `bench/idle.json` in the target directory.
pub(crate) fn write_json(sessions: usize, runs: &[Run]) -> io::Result<PathBuf> {
    let runs: Vec<Value> = runs.iter().map(|run| entry(sessions, run)).collect();
    let document = json!({
        "sessions": sessions,
        "reconnects": RECONNECTS,
        "burst": { "events": BURST, "payload_bytes": PAYLOAD },
        "unit": "KiB per session",
        "runs": runs,
    });
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it lies in the target directory");
    let path = target.join("bench").join("idle.json");
    fs::create_dir_all(target.join("bench"))?;
    fs::write(&path, format!("{document:#}\n"))?;
    Ok(path)
}

fn entry(sessions: usize, run: &Run) -> Value {
    let share = |memory| {
        let share = Share::of(run, memory, sessions);
        json!({ "resident": share.resident, "private": share.private })
    };
    json!({
        "transport": run.kind.name(),
        "before_kib": { "resident": run.before.resident, "private": run.before.private },
        "idle": share(run.idle),
        "after_burst": share(run.after_burst),
        "closed": share(run.closed),
        "reconnected": share(run.reconnected),
    })
}

/// One session's part of what the server holds beyond its start.
struct Share {
    resident: f64,
    private: f64,
}

impl Share {
    fn of(run: &Run, memory: Memory, sessions: usize) -> Self {
        let part = |now: u64, before: u64| (now as f64 - before as f64) / sessions as f64;
        Self {
            resident: part(memory.resident, run.before.resident),
            private: part(memory.private, run.before.private),
        }
    }
}
