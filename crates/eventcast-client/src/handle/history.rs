//! What came before a channel was added.

use eventcast_core::{ChannelName, ChannelSelector, Position};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{Delivery, Event};
use crate::error::{Interruption, RequestError};
use crate::message::{Kind, Message, garbled, position};

/// The answer to a change of the channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribed {
    /// All channels of the session now.
    pub channels: Vec<ChannelSelector>,
    /// With a start, what is retained of each channel from there to where the session goes on.
    pub history: Vec<HistoryPage>,
}

/// What a channel retains, up to where the session goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryPage {
    /// The channel.
    pub channel: ChannelName,
    /// Oldest first. Their ids are none to resume by.
    pub events: Vec<Event>,
    /// There are more, after this id: ask for the channel's history.
    pub next: Option<Position>,
    /// Events after the start are lost.
    pub trimmed: bool,
}

#[derive(Deserialize)]
struct Body<'a> {
    channels: Vec<String>,
    #[serde(borrow, default)]
    history: Vec<Page<'a>>,
}

#[derive(Deserialize)]
struct Page<'a> {
    channel: String,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    next: Option<String>,
    trimmed: bool,
}

impl Subscribed {
    pub(super) fn read(text: &str) -> Result<Self, RequestError> {
        Self::parse(text).map_err(|error| RequestError::Garbled(error.to_string()))
    }

    fn parse(text: &str) -> Result<Self, Interruption> {
        let body: Body<'_> = serde_json::from_str(text).map_err(garbled)?;
        let channels = body.channels.iter().map(|name| name.as_str().try_into());
        Ok(Self {
            channels: channels.collect::<Result<_, _>>().map_err(garbled)?,
            history: body
                .history
                .into_iter()
                .map(HistoryPage::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl HistoryPage {
    fn read(page: Page<'_>) -> Result<Self, Interruption> {
        let event = |raw: &RawValue| match Message::read(raw.get())?.kind {
            Kind::Deliver(Delivery::Event(event)) => Ok(event),
            _ => Err(garbled("a page of something else than events")),
        };
        Ok(Self {
            channel: ChannelName::new(&page.channel).map_err(garbled)?,
            events: page
                .events
                .into_iter()
                .map(event)
                .collect::<Result<_, _>>()?,
            next: page.next.as_deref().map(position).transpose()?,
            trimmed: page.trimmed,
        })
    }
}
