#![doc = include_str!("../README.md")]

mod backplane;
mod channel;
mod config;
mod failure;
mod group;
mod journal;
mod mark;
mod open;
mod queue;
mod read;
mod retain;
mod store;
mod writer;

pub use backplane::FjallBackplane;
pub use config::{FjallConfig, Fsync};
