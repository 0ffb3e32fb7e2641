#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backplane;
mod chain;
mod config;
mod connect;
mod failure;
mod feed;
mod lane;
mod link;
mod message;
mod publish;
mod read;
mod scan;
mod shared;
mod subject;

pub use backplane::NatsBackplane;
pub use config::{NatsAuth, NatsConfig, StreamLimits};
