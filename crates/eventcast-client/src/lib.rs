#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod auth;
mod backoff;
mod builder;
mod client;
mod connection;
mod delivery;
mod dial;
mod driver;
mod ended;
mod error;
mod exchange;
mod feed;
mod handle;
mod message;
mod options;
mod pace;
mod proxy;
mod state;
mod target;
#[cfg(feature = "tls")]
mod tls;
mod transport;

pub use builder::ClientBuilder;
pub use client::Client;
pub use delivery::{Completed, Delivery, Ephemeral, Event, Gap, Loss};
pub use dial::Io;
pub use error::{BoxError, BuildError, ClientError, Interruption, RequestError};
pub use handle::{Handle, HistoryPage, PresencePage, Present, Subscribed};
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use rustls;
pub use transport::Transport;
