//! Pages of what a channel retains.

use std::sync::Arc;

use crate::backplane::PageQuery;
use crate::id::Position;
use crate::log::Log;
use crate::name::ChannelName;
use crate::ring::RingState;
use crate::stored::StoredEvent;

/// Which part of a channel's history: forwards from a position, or backwards from one.
///
/// ```
/// use eventcast_core::{Event, HistoryQuery, Hub};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new();
/// hub.try_publish_batch("news", ["a", "b", "c"].map(Event::text))?;
/// let newest = hub.history("news", HistoryQuery::newest_first().with_limit(2))?;
/// assert_eq!(newest.events[0].payload().as_str(), Some("c"));
/// let older = HistoryQuery::newest_first().from(newest.next.unwrap());
/// assert_eq!(hub.history("news", older)?.events.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct HistoryQuery {
    backwards: bool,
    from: Option<Position>,
    limit: usize,
    bytes: usize,
}

impl HistoryQuery {
    /// From the oldest retained event on.
    pub fn oldest_first() -> Self {
        Self {
            backwards: false,
            from: None,
            limit: Self::MAX_LIMIT,
            bytes: Self::MAX_BYTES,
        }
    }

    /// From the newest event back.
    pub fn newest_first() -> Self {
        Self {
            backwards: true,
            ..Self::oldest_first()
        }
    }

    /// Starts at a position: forwards with the first event after it, backwards with the last one
    /// before it. A position of another run of the log counts as none.
    pub fn from(mut self, position: Position) -> Self {
        self.from = Some(position);
        self
    }

    /// At most so many events, from 1 to [`HistoryQuery::MAX_LIMIT`].
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit.clamp(1, Self::MAX_LIMIT);
        self
    }

    /// For one of so many pages that are held at once.
    pub(crate) fn one_of(mut self, pages: usize) -> Self {
        self.bytes = PageQuery::share_of_bytes(pages);
        self
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it goes back from the newest event.
    #[must_use]
    pub fn is_newest_first(&self) -> bool {
        self.backwards
    }

    /// Where it starts, unless at the end that it comes from.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.from
    }

    /// How many events its page has at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The longest page.
    pub const MAX_LIMIT: usize = 1_000;
    /// The payloads of a page, in bytes: it ends with the event that exceeds them.
    pub const MAX_BYTES: usize = PageQuery::MAX_BYTES;
}

/// What may still come into a page.
struct Room {
    events: usize,
    bytes: usize,
}

impl Room {
    /// What a page leaves of its limits.
    fn left(query: HistoryQuery, page: &HistoryPage) -> Self {
        let payloads = page.events.iter().map(|event| event.payload().len());
        Self {
            events: query.limit.saturating_sub(page.events.len()),
            bytes: query.bytes.saturating_sub(payloads.sum()),
        }
    }

    /// Whether one more event has its place.
    fn take(&mut self, event: &StoredEvent) -> bool {
        let fits = self.events > 0 && self.bytes > 0;
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(event.payload().len());
        fits
    }
}

/// Some of a channel's events; see [`Hub::history`](crate::Hub::history).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HistoryPage {
    /// The events, in the order asked for.
    pub events: Vec<Arc<StoredEvent>>,
    /// Where the next page starts; absent after the last one.
    pub next: Option<Position>,
    /// Whether events are missing at the page's old end because they were trimmed.
    pub trimmed: bool,
    /// The position of the hub as the page was read: a session resumed there goes on where the
    /// newest page ends.
    pub position: Position,
}

impl HistoryPage {
    pub(crate) fn empty(position: Position) -> Self {
        Self {
            events: Vec::new(),
            next: None,
            trimmed: false,
            position,
        }
    }
}

impl Log {
    pub(crate) fn history(&self, name: &ChannelName, query: HistoryQuery) -> HistoryPage {
        let from = query.from.filter(|from| from.epoch() == self.epoch);
        let from = from.map(Position::sequence);
        let mut page = HistoryPage::empty(self.position(self.committed()));
        if let Some(ring) = self.find(name) {
            let state = ring.state.lock();
            let until = page.position.sequence();
            if query.backwards {
                let before = from.unwrap_or(u64::MAX).min(until.saturating_add(1));
                self.read_back(&state, before, query, &mut page);
            } else {
                self.read_on(&state, (from.unwrap_or(0), until), query, &mut page);
            }
        } else {
            // Of a channel that was forgotten, only that is known.
            page.trimmed = from.is_some_and(|from| from < self.floor().sequence);
        }
        page
    }

    /// Reads the events in `(after, until]`, oldest first, as far as they fit into the page.
    pub(crate) fn read_on(
        &self,
        state: &RingState,
        (after, until): (u64, u64),
        query: HistoryQuery,
        page: &mut HistoryPage,
    ) {
        page.trimmed |= after < state.trim_mark();
        let first = state.number_after(after).unwrap_or_else(|| state.trimmed());
        let events = (first..)
            .map_while(|number| state.at(number))
            .take_while(|event| event.sequence() <= until);
        let mut room = Room::left(query, page);
        for event in events {
            if !room.take(&event) {
                let last = page.events.last().map_or(after, |event| event.sequence());
                page.next = Some(self.position(last));
                return;
            }
            page.events.push(event);
        }
    }

    fn read_back(
        &self,
        state: &RingState,
        before: u64,
        query: HistoryQuery,
        page: &mut HistoryPage,
    ) {
        let end = state
            .number_after(before.saturating_sub(1))
            .unwrap_or_else(|| state.trimmed());
        let mut room = Room::left(query, page);
        for event in (state.trimmed()..end)
            .rev()
            .filter_map(|number| state.at(number))
        {
            if !room.take(&event) {
                page.next = page.events.last().map(|oldest| oldest.id());
                return;
            }
            page.events.push(event);
        }
        page.trimmed = state.trim_mark() > 0;
    }
}
