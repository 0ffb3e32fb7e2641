//! A ready server.

mod chunk;
mod config;
mod http1;
mod http2;
mod link;
mod preface;
mod seats;
mod serve;
mod socket;
mod stall;
mod streams;
mod takeover;
#[cfg(feature = "tls")]
mod tls;
mod unsent;

pub use config::ServerConfig;
pub(crate) use link::Peer;
pub use serve::{Server, serve_connection};
pub(crate) use streams::Stream;
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsError};
