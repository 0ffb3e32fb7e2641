//! Presence: members of one node, of several that lose messages, and of hubs on one log.
#![allow(clippy::unwrap_used, reason = "tests fail so")]

mod backplane;
mod cluster;
mod members;
mod model;
