#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod document;
mod format;
mod polling;
mod response;
mod stream;

pub use config::{PollConfig, StreamConfig};
pub use document::PollBody;
pub use format::LineFormat;
pub use polling::Polling;
pub use response::{poll, poll_head, stream, stream_head};
pub use stream::StreamBody;
