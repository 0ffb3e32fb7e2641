#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod address;
mod attendance;
mod body;
mod change;
mod client;
mod config;
mod cors;
mod disconnect;
mod drain;
mod figures;
mod history;
mod key;
mod limits;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub mod metrics;
mod origin;
mod presence;
mod problem;
mod publish;
mod query;
mod refresh;
mod registry;
mod request;
mod retired;
mod server;
mod service;
mod sessions;
mod spread;
mod stats;
mod subscribe;
mod target;
mod tickets;
mod timer;
mod trace;
mod upload;

pub use access::{Action, Authenticator, Denied, Permissions, Revocation, Scope, SubscribeOnly};
pub use address::{ClientAddress, NetworkError, TrustedProxies};
pub use body::ResponseBody;
pub use config::ServiceConfig;
pub use disconnect::{DisconnectReason, Disconnected, TransportKind};
pub use limits::{Limits, Refusals};
pub use origin::AllowedOrigins;
pub use registry::Subscribers;
pub use request::{ClientRequest, RequestHandler};
#[doc(hidden)]
pub use server::serve_connection;
pub use server::{Server, ServerConfig};
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use server::{TlsConfig, TlsError};
pub use service::EventService;
pub use timer::TokioTimer;

pub use eventcast_core::*;
pub use eventcast_poll as poll;
pub use eventcast_sse as sse;
pub use eventcast_ws as ws;
pub use eventcast_ws::{ErrorCode, Refusal};
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use rustls;
