//! One connection: a future that moves a session's events out and a client's requests in.

mod closing;
mod inbound;
mod join;
mod outbound;
mod queue;
mod state;
mod watch;
mod wire;

pub use state::{Connection, serve};

#[cfg(test)]
mod tests;
