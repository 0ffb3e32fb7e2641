#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backplane;
mod clock;
mod faulty;
mod ledger;
mod memory;
mod reader;
pub mod replay;
mod sink;
pub mod transport;
mod verdict;

pub use clock::ManualClock;
pub use faulty::{Faults, FaultyIo, Stall};
pub use ledger::{Ledger, Observer, Violation};
pub use memory::{AppendFault, MemoryLog, MemoryNode};
pub use reader::{drain, poll_once};
pub use sink::{RecordedSink, SinkCall};
pub use verdict::Verdict;
