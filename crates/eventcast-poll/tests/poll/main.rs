//! The bytes, the waiting and the bounds, through the public interface.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod bounds;
mod document;
mod http;
mod lossy;
mod stream;
mod support;
mod waiting;
