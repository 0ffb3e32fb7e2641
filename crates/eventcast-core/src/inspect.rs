//! What a hub holds, for who looks at it from outside.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::delivery::Outcome;
use crate::hub::Hub;
use crate::id::Position;
use crate::log::Log;
use crate::name::ChannelName;
use crate::ring::Ring;

/// What a hub knows of one channel; see [`Hub::channels`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStats {
    /// Its name.
    pub name: ChannelName,
    /// Sessions that have it, by its name or by a pattern.
    pub subscribers: usize,
    /// How many events it retains.
    pub events: usize,
    /// What they are charged for, in bytes.
    pub bytes: u64,
    /// The id of the oldest event that is retained.
    pub first: Option<Position>,
    /// The id of the newest event that is retained.
    pub last: Option<Position>,
    /// How it ended, once it is completed.
    pub completed: Option<Outcome>,
}

impl Hub {
    /// The channels in the order of their names: at most `limit` of those that come after `after`,
    /// the name that the page before ended with. Names are compared byte by byte.
    ///
    /// A page costs about what it holds, however many channels there are, and no lock is held for
    /// longer than a part of it. Channels that come and go meanwhile are in it or not; every other
    /// one is on exactly one page.
    ///
    /// ```
    /// use eventcast_core::{Event, Hub};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::new();
    /// for name in ["b", "c", "a"] {
    ///     hub.try_publish(name, Event::text("x"))?;
    /// }
    /// let page = hub.channels(None, 2);
    /// let names: Vec<_> = page.iter().map(|channel| channel.name.as_str()).collect();
    /// assert_eq!(names, ["a", "b"]);
    /// let rest = hub.channels(Some(&page[1].name), 2);
    /// assert_eq!((rest[0].name.as_str(), rest[0].events), ("c", 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn channels(&self, after: Option<&ChannelName>, limit: usize) -> Vec<ChannelStats> {
        let page = self.log.page_of_channels(after, limit);
        let stats = page.into_values();
        stats.map(|ring| self.log.stats_of(&ring)).collect()
    }
}

impl Log {
    fn stats_of(&self, ring: &Ring) -> ChannelStats {
        let state = ring.state.lock();
        let id = |sequence| self.position(sequence);
        ChannelStats {
            name: ring.name.clone(),
            subscribers: state.readers(),
            events: state.len(),
            bytes: state.charged(),
            first: state.oldest().map(|event| id(event.sequence())),
            last: state.newest().map(|event| id(event.sequence())),
            completed: state.completion().map(|end| end.outcome.clone()),
        }
    }
}

/// How many events all channels retain. Nothing depends on it, so it is no part of what models have
/// to look at.
#[derive(Debug, Default)]
pub(crate) struct Retained(AtomicUsize);

impl Retained {
    pub(crate) fn change(&self, added: usize, dropped: usize) {
        if added != dropped {
            // Both at once: the difference wraps, and so does the sum.
            let difference = added.wrapping_sub(dropped);
            self.0.fetch_add(difference, Ordering::Relaxed);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
