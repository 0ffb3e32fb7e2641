//! Presence: members of one node, and of several that lose messages.
#![allow(clippy::unwrap_used, reason = "tests fail so")]

mod cluster;
mod members;
mod model;
