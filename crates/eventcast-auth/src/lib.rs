#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bearer;
mod claims;
mod denylist;
mod jwt;
mod keys;
mod tokens;

pub use claims::Claims;
pub use jwt::JwtAuthenticator;
pub use keys::{JwtKeys, KeyError};
pub use tokens::StaticTokens;
