//! What the fuzzer asks of every decoder, and of the hub: one function a target, which panics when
//! the contract is broken.
//!
//! Built without the fuzzer, each target's program reads the files it is given: a finding can be
//! looked at in a debugger, and the tests run the seeds.

mod http_target;
mod ops;
mod position;
mod sse_parser;
mod sse_reference;
mod ws_reference;
mod ws_requests;
mod ws_wire;

use std::io;

pub use http_target::http_target;
pub use ops::ops;
pub use position::position;
pub use sse_parser::sse_parser;
pub use ws_requests::ws_requests;

/// Every target, by name.
pub const TARGETS: &[(&str, Check)] = &[
    ("http_target", http_target),
    ("ops", ops),
    ("position", position),
    ("sse_parser", sse_parser),
    ("ws_requests", ws_requests),
];

/// One input of a target.
pub type Check = fn(&[u8]);

/// Runs a target over the files that the command line names.
///
/// # Errors
/// Those of reading the files.
pub fn replay(check: Check) -> io::Result<()> {
    for path in std::env::args_os().skip(1) {
        check(&std::fs::read(path)?);
    }
    Ok(())
}
