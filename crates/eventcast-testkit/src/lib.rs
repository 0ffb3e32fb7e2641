#![doc = include_str!("../README.md")]

mod clock;
mod ledger;
mod reader;

pub use clock::ManualClock;
pub use ledger::{Ledger, Observer, Violation};
pub use reader::{drain, poll_once};
