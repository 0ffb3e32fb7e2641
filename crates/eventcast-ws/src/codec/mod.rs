//! The messages, without IO: deliveries and replies to frames, texts to requests.

mod frame;
mod json;
mod plain;
mod reply;
mod request;
#[cfg(test)]
mod request_tests;

pub use json::JsonFormat;
pub use plain::PlainFormat;
pub(crate) use plain::plain_frame;
pub(crate) use reply::{Channels, Reply};
pub(crate) use request::{Action, Rejected, Request, RequestRef, Subscribe, decode};
