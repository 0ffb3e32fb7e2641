#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod codec;
mod config;
mod connection;
mod end;
mod handler;
mod handshake;
mod refusal;
mod upgrade;

pub use codec::{JsonFormat, PlainFormat};
pub use config::{Mode, WsConfig};
pub use connection::{Connection, serve};
pub use end::{CloseCode, WsEnd};
pub use handler::{ClientHandler, SubscribeOnly};
pub use handshake::{UpgradeError, is_upgrade};
pub use refusal::{ErrorCode, Refusal};
pub use tokio_tungstenite;
pub use upgrade::{Upgrade, UpgradedConnection, upgrade};
