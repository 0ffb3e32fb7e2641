//! How a subscription begins and behaves.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::Position;
use crate::name::EventName;
use crate::stored::{StoredEvent, Timestamp};

/// Where a channel starts when the session does not resume. An id that the session resumes with
/// replaces it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// After this position; if it cannot be honoured, with a gap.
    After(Position),
    /// With the oldest event that is retained.
    Earliest,
    /// With the last so many events, as far as they are retained.
    Last(usize),
    /// With what is published from now on. A completed channel has no more to come: there it is
    /// as `Earliest`.
    #[default]
    Live,
    /// With the first event published at this time or later. If such events were trimmed already,
    /// with a gap.
    Since(Timestamp),
}

/// Reads what protocols write: `live`, `earliest`, `last:N`, `since:MILLIS` (since 1970) or
/// `after:ID`.
impl FromStr for Start {
    type Err = ParseOptionError;

    fn from_str(text: &str) -> Result<Self, ParseOptionError> {
        let error = ParseOptionError("`live`, `earliest`, `last:N`, `since:MILLIS` or `after:ID`");
        let (kind, value) = text.split_once(':').unwrap_or((text, ""));
        let start = match kind {
            "after" => value.parse().ok().map(Self::After),
            "earliest" => value.is_empty().then_some(Self::Earliest),
            "last" => value.parse().ok().map(Self::Last),
            "live" => value.is_empty().then_some(Self::Live),
            "since" => value
                .parse()
                .ok()
                .map(Timestamp::from_millis)
                .map(Self::Since),
            _ => None,
        };
        start.ok_or(error)
    }
}

/// What happens to a subscriber that is slower than retention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// While it is behind, it gets only the newest event of each [key](crate::Event::keyed), in
    /// the order of those, and is told how many were left out. Events without a key all come.
    /// What was trimmed without a newer event of its key is a gap.
    Conflate,
    /// It is disconnected with [`End::Slow`](crate::End::Slow) where it would find a gap.
    Disconnect,
    /// It goes on from the oldest event that is retained, with a gap.
    #[default]
    Gap,
}

/// Reads what protocols write: `gap`, `conflate` or `disconnect`.
impl FromStr for SlowPolicy {
    type Err = ParseOptionError;

    fn from_str(text: &str) -> Result<Self, ParseOptionError> {
        match text {
            "conflate" => Ok(Self::Conflate),
            "disconnect" => Ok(Self::Disconnect),
            "gap" => Ok(Self::Gap),
            _ => Err(ParseOptionError("`gap`, `conflate` or `disconnect`")),
        }
    }
}

/// A text that names no start, or no policy. It reads as a list of those there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct ParseOptionError(&'static str);

/// How a subscription begins and behaves: where it starts, what it lets through, and what happens
/// when its reader is slow.
///
/// ```
/// use eventcast_core::{Hub, SlowPolicy, Start, SubscriptionOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ticker = SubscriptionOptions::new()
///     .with_start(Start::Last(10))
///     .with_slow(SlowPolicy::Conflate)
///     .with_filter(|event| event.name().is_some_and(|name| name.as_str() == "trade"));
/// let session = Hub::new().session().options(ticker).channel("ticker").open()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct SubscriptionOptions {
    pub(crate) start: Start,
    pub(crate) slow: SlowPolicy,
    pub(crate) filter: Option<Arc<Filter>>,
    pub(crate) presence: bool,
}

/// What a subscription lets through.
#[derive(Clone, Default)]
pub(crate) struct Filter {
    names: Vec<String>,
    events: Option<Arc<EventFilter>>,
}

type EventFilter = dyn Fn(&StoredEvent) -> bool + Send + Sync;

impl Filter {
    pub(crate) fn takes(&self, event: &StoredEvent) -> bool {
        self.takes_name(event.name()) && self.events.as_ref().is_none_or(|takes| takes(event))
    }

    pub(crate) fn takes_name(&self, name: Option<&EventName>) -> bool {
        let name = name.map_or("message", EventName::as_str);
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}

impl SubscriptionOptions {
    /// From now on, everything, with a gap when slow.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where it starts.
    pub fn with_start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// What happens when its reader is slow.
    pub fn with_slow(mut self, slow: SlowPolicy) -> Self {
        self.slow = slow;
        self
    }

    /// Which events come; ephemeral ones all do. What a filter leaves out is no loss, and the
    /// position moves past it. It is called under the channel's lock, so it has to be quick.
    pub fn with_filter(
        mut self,
        filter: impl Fn(&StoredEvent) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.filter_mut().events = Some(Arc::new(filter));
        self
    }

    /// Only events of these names, ephemeral ones included. An event without a name is a `message`,
    /// as browsers have it. None at all lets everything through.
    pub fn with_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.filter_mut().names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Whether the events come that tell who joins and leaves; see [`Presence`](crate::Presence).
    /// They do not by default, and whatever the [names](Self::with_names) are.
    pub fn with_presence(mut self, presence: bool) -> Self {
        self.presence = presence;
        self
    }

    fn filter_mut(&mut self) -> &mut Filter {
        Arc::make_mut(self.filter.get_or_insert_default())
    }
}

impl fmt::Debug for SubscriptionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionOptions")
            .field("start", &self.start)
            .field("slow", &self.slow)
            .field("filtered", &self.filter.is_some())
            .field("presence", &self.presence)
            .finish()
    }
}
