#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod codec;
mod config;
mod response;

pub use body::SseBody;
pub use codec::{DecodeError, JsonFormat, ParseError, ParsedEvent, Parser, ParserConfig};
pub use codec::{PlainFormat, SseFormat};
pub use config::SseConfig;
pub use response::{head_response, response};
