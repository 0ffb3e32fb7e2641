//! The figures, for people and for programs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::modes::Options;
use super::rounds::Row;

pub(crate) struct Report {
    quick: bool,
    sections: Vec<Value>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            quick: options.quick,
            sections: Vec::new(),
        }
    }

    /// Prints a table and keeps the figures that it was made from.
    pub(crate) fn add(&mut self, title: &str, table: &Table, rows: &[Row]) {
        println!("\n{title}\n\n{}", table.text());
        let rows: Vec<Value> = rows.iter().map(Row::to_json).collect();
        self.sections
            .push(json!({ "title": title, "table": table.to_json(), "rows": rows }));
    }

    /// Writes all figures to `bench/fanout.json` in the target directory.
    pub(crate) fn write_json(&self) -> io::Result<PathBuf> {
        let document = json!({
            "quick": self.quick,
            "payload_bytes": super::payload::PAYLOAD,
            "machine": machine(),
            "sections": self.sections,
        });
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("it lies in the target directory");
        let path = target.join("bench").join("fanout.json");
        fs::create_dir_all(target.join("bench"))?;
        fs::write(&path, format!("{document:#}\n"))?;
        Ok(path)
    }
}

fn machine() -> Value {
    let first = |path: &str, start: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(start));
        line.unwrap_or_default().to_owned()
    };
    json!({
        "processor": first("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": first("/proc/meminfo", "MemTotal"),
        "system": first("/proc/version", ""),
        "load": first("/proc/loadavg", ""),
    })
}

/// A table of text, the first column to the left and the others to the right.
pub(crate) struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            lines: vec![head.iter().map(|cell| (*cell).to_owned()).collect()],
        }
    }

    pub(crate) fn push(&mut self, line: Vec<String>) {
        self.lines.push(line);
    }

    fn text(&self) -> String {
        let columns = self.lines[0].len();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.lines.iter().map(|line| line[column].chars().count());
                cells.max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                text += &if column == 0 {
                    format!("| {cell:<width$} |")
                } else {
                    format!(" {cell:>width$} |")
                };
            }
            text.push('\n');
            if index == 0 {
                for (column, width) in widths.iter().enumerate() {
                    text += &match column {
                        0 => format!("|{:-<width$}|", "", width = width + 2),
                        _ => format!("{:-<width$}:|", "", width = width + 1),
                    };
                }
                text.push('\n');
            }
        }
        text
    }

    fn to_json(&self) -> Value {
        json!(self.lines)
    }
}
