#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod append;
mod backplane;
mod config;
mod failure;
mod follow;
mod keys;
mod link;
mod queue;
mod read;
mod server;
mod shared;
mod wire;

pub use backplane::RedisBackplane;
pub use config::RedisConfig;
