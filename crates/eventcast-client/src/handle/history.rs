//! What a channel retains, when it is added and when it is asked for.

use eventcast_core::{ChannelName, ChannelSelector, HistoryQuery, Position};
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Handle;
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

/// What a channel retains: up to where the session goes on, or what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryPage {
    /// The channel.
    pub channel: ChannelName,
    /// Oldest first, unless asked for otherwise. Their ids are none to resume by.
    pub events: Vec<Event>,
    /// There are more: [`Handle::history`] goes on from this id.
    pub next: Option<Position>,
    /// Events are missing at the page's old end.
    pub trimmed: bool,
    /// The hub's id as the page was read, if it was asked for by itself: a client that resumes by
    /// it goes on where the newest page ends.
    pub position: Option<Position>,
}

impl Handle {
    /// A page of what a channel retains. A channel that is not there is an empty page.
    ///
    /// ```
    /// use eventcast_client::Client;
    /// use eventcast_core::{ChannelName, HistoryQuery};
    /// # use eventcast::{Event, EventService, Hub, Server, ServiceConfig};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let hub = Hub::new();
    /// # hub.try_publish_batch("news", ["a", "b", "c"].map(Event::text))?;
    /// # let service = EventService::new(hub, ServiceConfig::new());
    /// # let server = Server::bind("127.0.0.1:0", service).await?;
    /// # let address = server.local_addr();
    /// # tokio::spawn(server.run(std::future::pending()));
    /// let handle = Client::builder(&format!("http://{address}/events"))?.handle()?;
    /// let news = ChannelName::new("news")?;
    /// let mut query = HistoryQuery::newest_first().with_limit(2);
    /// let page = handle.history(&news, query).await?;
    /// assert_eq!(page.events[0].payload.as_str(), Some("c"));
    /// query = query.from(page.next.expect("there is an older one"));
    /// assert_eq!(handle.history(&news, query).await?.events.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RequestError`].
    ///
    /// # Cancel safety
    /// Dropped before it is done, nothing has changed.
    pub async fn history(
        &self,
        channel: &ChannelName,
        query: HistoryQuery,
    ) -> Result<HistoryPage, RequestError> {
        let order = match query.is_newest_first() {
            true => "newest",
            false => "oldest",
        };
        let limit = query.limit().to_string();
        let from = query.position().map(|id| id.to_string());
        let from = from.iter().map(|id| ("from", id.as_str()));
        let parameters = [("order", order), ("limit", &limit)]
            .into_iter()
            .chain(from);
        let page = format!("{channel}/history");
        let uri = self.context.target.resource("channels", &page, parameters);
        let uri = uri.map_err(RequestError::Invalid)?;
        let (_, body) = self.ask(Method::GET, uri, None, &[]).await?;
        let page = serde_json::from_slice(&body).map_err(garbled);
        page.and_then(HistoryPage::read)
            .map_err(|error| RequestError::Garbled(error.to_string()))
    }
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
    position: Option<String>,
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
            position: page.position.as_deref().map(position).transpose()?,
        })
    }
}
