//! A ready server.

mod config;
mod serve;
mod socket;
mod stall;
mod takeover;

pub use config::ServerConfig;
pub use serve::Server;
