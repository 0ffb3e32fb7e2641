#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod channel;
mod config;
mod delivery;
mod driver;
#[cfg(feature = "json")]
mod envelope;
mod error;
mod event;
mod format;
mod hub;
mod id;
mod log;
mod name;
mod replay;
mod ring;
mod sequencer;
mod session;
mod shard;
mod stored;
mod sync;
mod time;
mod transport;

pub use channel::{Channel, ChannelHandle};
pub use config::HubConfig;
pub use delivery::{Delivery, End, Gap, GapReason, Open};
pub use driver::Driver;
pub use error::{PublishError, SubscribeError};
#[cfg(feature = "json")]
pub use event::JsonError;
pub use event::{Event, Payload, PayloadKind};
pub use format::{Format, FormatId};
pub use hub::{Hub, HubStats};
pub use id::{Epoch, EventId, ParsePositionError, Position, PositionText};
pub use name::{ChannelName, EventName, NameError};
pub use replay::{MemoryBuffer, ReplayBuffer, Retention};
pub use session::{BatchLimits, Session, SessionBuilder, SessionHandle, Start};
pub use stored::{StoredEvent, Timestamp};
pub use time::{Clock, Sleep, SystemClock, Timer};
pub use transport::{Batch, Transport, drive};
