#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod faulty;
mod ledger;
mod reader;
pub mod replay;
pub mod transport;
mod verdict;

pub use clock::ManualClock;
pub use faulty::{Faults, FaultyIo, Stall};
pub use ledger::{Ledger, Observer, Violation};
pub use reader::{drain, poll_once};
pub use verdict::Verdict;
