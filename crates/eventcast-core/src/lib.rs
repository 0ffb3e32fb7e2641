#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backplane;
mod channel;
mod config;
mod dedup;
mod delivery;
mod driver;
#[cfg(feature = "json")]
mod envelope;
mod ephemeral;
mod error;
mod event;
mod format;
mod history;
mod hub;
mod id;
mod inspect;
mod linger;
mod log;
mod name;
mod observer;
mod patterns;
mod presence;
mod pull;
mod remote;
mod replay;
mod ring;
mod selector;
mod sequencer;
mod session;
mod shard;
mod stored;
mod sync;
mod time;
mod tombstones;
mod transport;
mod waiting;
mod write;

pub use backplane::{
    Append, AppendError, Attached, Backplane, BackplaneError, Body, Capabilities, ChannelFacts,
    DecodeError, Durability, Lineage, OutcomeKnown, Page, PageQuery, Record, ReplayStore, Sink,
};
pub use channel::{Channel, ChannelHandle};
pub use config::HubConfig;
pub use delivery::{
    Completed, Conflated, Delivery, End, EphemeralEvent, Gap, GapReason, Open, Outcome, Subscribed,
};
pub use driver::Driver;
pub use error::{HistoryError, PublishError, SubscribeError};
#[cfg(feature = "json")]
pub use event::JsonError;
pub use event::{Event, Payload, PayloadKind};
pub use format::{Format, FormatId};
pub use history::{HistoryPage, HistoryQuery};
pub use hub::{Health, Hub, HubStats};
pub use id::{Epoch, EventId, ParsePositionError, Position, PositionText};
pub use inspect::ChannelStats;
pub use linger::Linger;
pub use name::{ChannelName, EventName, Key, MemberId, NameError};
pub use observer::Observer;
pub use presence::{
    Entered, Member, NodeId, Occupancy, Presence, PresenceConfig, PresenceError,
    PresenceMessageError, PresencePage, PresenceQuery, PresenceStats, Present,
};
pub use pull::Pull;
pub use remote::IntoBackplane;
pub use replay::{MemoryBuffer, ReplayBuffer, Retention};
pub use selector::{ChannelPattern, ChannelSelector};
pub use session::{
    BatchLimits, ChangeError, Joined, Joining, ParseOptionError, Session, SessionBuilder,
    SessionHandle, SessionProgress, SlowPolicy, Start, SubscriptionOptions,
};
pub use stored::{StoredEvent, Timestamp};
pub use time::{Clock, Sleep, SystemClock, Timer};
pub use transport::{Batch, Transport, drive};
